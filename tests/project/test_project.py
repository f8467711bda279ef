"""The project's own files agree with each other and hold what newcomers are told."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import ranvier

TEXT_SUFFIXES = {".py", ".pyx", ".pxd", ".pyi", ".md", ".toml", ".sh", ".c", ".tsv", ""}
MACHINE_PATHS = re.compile(r"(?<![\w.])/(?:work|root|home)/|\bpypi\.org|files\.pythonhosted|\bnpmjs\b|deb\.debian")


def tracked_files(repository: Path) -> list[Path]:
    outcome = subprocess.run(["git", "ls-files"], cwd=repository, capture_output=True, text=True, check=False)
    if outcome.returncode != 0:
        pytest.skip("not a git clone")
    return [repository / line for line in outcome.stdout.splitlines()]


def test_the_version_stands_in_two_places_that_agree(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text())
    assert project["project"]["version"] == ranvier.__version__
    assert f"## {ranvier.__version__}" in (repository / "CHANGELOG.md").read_text()


def test_make_help_names_every_target(repository: Path) -> None:
    outcome = subprocess.run(["make", "help"], cwd=repository, capture_output=True, text=True, check=True)
    for target in ("serve", "test", "bench", "fuzz", "sentinel", "faults", "lint", "wheel", "clean"):
        assert re.search(rf"^  make {target} +\w.*$", outcome.stdout, re.MULTILINE), target


def test_nothing_names_a_machine_or_a_registry(repository: Path) -> None:
    found = [
        f"{path.relative_to(repository)}: {line.strip()}"
        for path in tracked_files(repository)
        if path.suffix in TEXT_SUFFIXES and path.name != Path(__file__).name and path.is_file()
        for line in path.read_text(errors="replace").splitlines()
        if MACHINE_PATHS.search(line)
    ]
    assert not found


def test_files_are_short_enough_to_read(repository: Path) -> None:
    """Below 600 lines, the yardstick that is kept as it was agreed on aside."""
    long = {
        str(path.relative_to(repository)): count
        for path in tracked_files(repository)
        if path.suffix in {".py", ".pyx", ".pxd", ".c"} and path.is_file()
        if (count := len(path.read_text().splitlines())) > 600
    }
    assert not long


def test_documents_name_files_that_exist(repository: Path) -> None:
    text = (repository / "docs" / "architecture.md").read_text()
    for name in re.findall(r"`((?:[a-z_]+/)*[a-z_0-9]+\.(?:pyx?|md))`", text):
        candidates = [repository / name, repository / "src" / "ranvier" / name]
        assert any(path.exists() for path in candidates), name


def test_importing_ranvier_is_free_of_side_effects() -> None:
    """No thread, no module-level server: any number of servers may follow, or none."""
    code = "import threading, ranvier; assert threading.active_count() == 1, threading.enumerate()"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
