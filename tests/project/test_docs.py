"""The documentation says what the code does."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from differential.differences import ON_PURPOSE
from ranvier.commands.spec import load_table

ROOT = Path(__file__).resolve().parents[2]


def check(tree: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, tree / "tools" / "write_docs.py", "--check"], capture_output=True, text=True, check=False
    )


def test_the_generated_parts_are_fresh() -> None:
    outcome = check(ROOT)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


@pytest.mark.parametrize(("file", "old", "new"), [
    ("src/ranvier/server/before_sleep.py", "    engine.free_closed()\n", ""),
    ("src/ranvier/server/before_sleep.py", "# Replies leave after", "# Replies leave long after"),
    ("src/ranvier/engine/client.pyx", "# 5. WATCH:", "# 5. Watches:"),
    ("src/ranvier/engine/phase.pxd", "# QUIT\n", "# the client said so\n"),
    ("src/ranvier/limits.py", "LINGER_BYTES = 1024**2", "LINGER_BYTES = 1024**3"),
    ("docs/lifecycle.md", "    READY --> BLOCKED\n", ""),
    ("docs/commands.md", "| GET | 1.0.0 |", "| GET | 2.0.0 |"),
    ("docs/compatibility.md", "| list | BLMOVE, ", "| list | "),
])
def test_a_stale_page_is_found(file: str, old: str, new: str, tmp_path: Path) -> None:
    for path in (
        *(ROOT / "docs").glob("*.md"), *(ROOT / "src/ranvier/engine").rglob("*.pyx"), ROOT / "tools/write_docs.py",
        ROOT / "src/ranvier/limits.py", ROOT / "src/ranvier/server/before_sleep.py",
        ROOT / "src/ranvier/engine/phase.pxd",
    ):
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(path.read_text())
    assert check(tmp_path).returncode == 0
    text = (tmp_path / file).read_text()
    assert old in text
    (tmp_path / file).write_text(text.replace(old, new))
    outcome = check(tmp_path)
    page = {"docs/compatibility.md": "compatibility.md", "docs/commands.md": "commands.md"}.get(file, "lifecycle.md")
    assert (outcome.returncode, outcome.stdout) == (1, f"{page} stale: run tools/write_docs.py\n")


def test_every_missing_command_says_what_brings_it() -> None:
    page = (ROOT / "docs" / "commands.md").read_text()
    rows = {row.split(" | ")[0].removeprefix("| "): row for row in page.splitlines() if row.startswith("| ")}
    for record in load_table():
        if record.group == "sentinel" or load_table().subcommands(record.name):
            continue
        where = rows[record.name].rpartition(" | ")[2]
        if record.handler is None:
            assert where.startswith(("**missing**, comes with ", "**missing**, not planned: ")), record.name
        else:
            file = re.fullmatch(r"`(.+)` \|", where)
            assert file and (ROOT / "src" / "ranvier" / file[1]).exists(), record.name


def test_every_step_of_teardown_is_told() -> None:
    """Each call that undoes something stands below a numbered comment of its own."""
    body = (ROOT / "src/ranvier/engine/client.pyx").read_text().partition("cdef void teardown(")[2]
    body = body.partition("\ncdef ")[0]
    told = re.findall(r"# (\d+)\. ", body)
    assert told == [str(number) for number in range(1, len(told) + 1)]
    for leave in re.findall(r"^    (\w+(?:_leave|_free)|leave_\w+)\(client\)\n", body, re.MULTILINE):
        assert re.search(rf"    # \d+\. [^\n]+\n    {leave}\(client\)", body), leave


def test_every_difference_on_purpose_is_told() -> None:
    page = " ".join((ROOT / "docs" / "compatibility.md").read_text().split())
    assert [known.reason for known in ON_PURPOSE if known.reason not in page] == []


def test_every_decision_has_its_number_and_says_what_was_decided() -> None:
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert [page.name[:4] for page in pages] == [f"{number:04}" for number in range(1, len(pages) + 1)]
    for number, page in enumerate(pages, 1):
        text = page.read_text()
        assert text.startswith(f"# {number}. ")
        assert "**Decided.**" in text or "Three facts" in text, page.name
