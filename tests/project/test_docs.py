"""The documentation says what the code does."""

import subprocess
import sys
from pathlib import Path

from differential.differences import ON_PURPOSE

ROOT = Path(__file__).resolve().parents[2]


def test_the_list_of_commands_is_fresh() -> None:
    outcome = subprocess.run(
        [sys.executable, ROOT / "tools" / "write_docs.py", "--check"], capture_output=True, text=True, check=False
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


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
