"""Every numbered point of the specification of a connection's life has a test, or an owner who will bring it.

The points stand in `specification.tsv`: number, what it is about, owner, the owner's reason. A test carries a number

- in its name: `test_a3_09_...` is A3-9, `test_lesson_20_...` is lesson 20;
- in its docstring, or its class's: `A3-9`, `A4-9v`, `A11 PAUSE`, `A13 MULTI-2`, `lesson 20`;
- in its data: a string that is nothing but the number (`"a3_09"`, `"A3-9"`), so that a table of cases can say it.

A number in a comment, or in the docstring of a module, proves nothing and is not looked at.
"""

import ast
import csv
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
TABLE = Path(__file__).with_name("specification.tsv")

# What a later part of the work brings.
OWNERS = {"ACL", "TLS", "persistence", "replication", "scripts", "cluster", "not planned"}

# Each series runs from 1 to this without a gap: a row that gets lost is missed.
LAST = {
    "A0": 2, "A0 ORDER": 5, "A1": 16, "A2": 12, "A3": 20, "A4": 27, "A5": 6, "A6": 10, "A7": 6, "A8": 18, "A9": 3,
    "A10": 2, "A12": 1, "A13 BLOCKED": 4, "A13 MULTI": 6, "A13 PUBSUB": 4, "A13 REPLICA": 2, "A13 TRACKING": 2,
    "A14": 17, "A15": 2, "A17": 27, "lesson": 22,
}  # fmt: skip
NAMED = {"A4-9v", "A4 ORDER", "A7 AFTER", "A7 ASAP", "A7 NOW", "A13 MONITOR", *(
    f"A11 {name}" for name in (
        "AUTH", "CACHING", "CAPA", "FLAGS", "GETNAME", "GETREDIR", "HELLO", "HELP", "ID", "IMPORT-SOURCE", "INFO",
        "KILL", "LINE", "LIST", "NO-EVICT", "NO-TOUCH", "PAUSE", "PING", "REPLY", "RESET", "SELECT", "SETINFO",
        "SETNAME", "TRACKING", "TRACKINGINFO", "UNBLOCK", "UNPAUSE",
    )
), *(f"A16 {name}" for name in ("CLIENTS", "ERRORSTATS", "LOG", "MEMORY", "STATS"))}  # fmt: skip

IN_NAME = re.compile(r"^test_a(\d+)_0*(\d+)(v?)(?:_|$)")
LESSON_IN_NAME = re.compile(r"^test_lesson_0*(\d+)(?:_|$)")
IN_TEXT = re.compile(r"\b(?:A\d+-\d+v?|A\d+ [A-Z]{2,}(?:-[A-Z]+)*(?:-\d+)?|lesson \d+)(?![\w-])")
AS_DATA = re.compile(r"[Aa](\d+)[-_]0*(\d+)(v?)")


@dataclass(frozen=True)
class Point:
    """A row of the table."""

    number: str
    summary: str
    owner: str
    reason: str


def read_table() -> list[Point]:
    with TABLE.open(newline="") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    assert rows[0] == ["number", "summary", "owner", "reason"]
    return [Point(*row) for row in rows[1:]]


def numbers_in(tree: ast.AST) -> Iterator[str]:
    """The numbers that a file's tests carry, in the spelling of the table."""
    nodes = list(ast.walk(tree))
    docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            if found := IN_NAME.match(node.name):
                yield "A{}-{}{}".format(*found.groups())
            if found := LESSON_IN_NAME.match(node.name):
                yield f"lesson {found[1]}"
            if node.name.startswith(("test_", "Test")):
                yield from IN_TEXT.findall(ast.get_docstring(node) or "")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            if found := AS_DATA.fullmatch(node.value):
                yield "A{}-{}{}".format(*found.groups())
            elif IN_TEXT.fullmatch(node.value):
                yield node.value


@pytest.fixture(scope="module")
def carried() -> dict[str, set[str]]:
    """Number -> the files whose tests carry it."""
    found = defaultdict(set)
    for path in sorted(TESTS.rglob("*.py")):
        if path != Path(__file__):
            for number in numbers_in(ast.parse(path.read_text(), str(path))):
                found[number].add(str(path.relative_to(TESTS)))
    return found


def test_the_table_is_whole() -> None:
    points = read_table()
    numbers = [point.number for point in points]
    expected = {f"{series}{' ' if series == 'lesson' else '-'}{number}"
                for series, last in LAST.items() for number in range(1, last + 1)}
    assert len(numbers) == len(set(numbers))
    assert set(numbers) == expected | NAMED
    assert [point for point in points if not point.summary or bool(point.owner) != bool(point.reason)] == []


def test_every_point_has_a_test_or_an_owner(carried: dict[str, set[str]]) -> None:
    assert [point for point in read_table() if point.number not in carried and not point.owner] == []


def test_every_owner_is_one_of_the_list() -> None:
    assert [point for point in read_table() if point.owner and point.owner not in OWNERS] == []


def test_who_has_a_test_has_no_owner(carried: dict[str, set[str]]) -> None:
    """What has arrived waits for nobody: one of the two is out of date."""
    late = [point for point in read_table() if point.owner and point.number in carried]
    assert [(point.number, point.owner, carried[point.number]) for point in late] == []


def test_tests_carry_no_number_that_is_not_in_the_table(carried: dict[str, set[str]]) -> None:
    known = {point.number for point in read_table()}
    assert {number: files for number, files in carried.items() if number not in known} == {}


@pytest.mark.parametrize(("source", "numbers"), [
    ("def test_a3_09_inline() -> None: ...", ["A3-9"]),
    ("def test_lesson_04_shutdown() -> None: ...", ["lesson 4"]),
    ("def test_a4_9v() -> None: ...", ["A4-9v"]),
    ('def test_it() -> None:\n    """About A13 MULTI-2, A11 NO-EVICT and A6-8 (lesson 7)."""',
     ["A13 MULTI-2", "A11 NO-EVICT", "A6-8", "lesson 7"]),
    ('class TestIt:\n    """A10-1"""', ["A10-1"]),
    ('CASES = ["a3_09", "A11 PAUSE", "see A3-8"]', ["A3-9", "A11 PAUSE"]),
    ('"""A module about A3-9."""\n# A3-8\ndef helper():\n    """A3-7"""\ndef test_a13_it(): ...', []),
])  # fmt: skip
def test_where_numbers_are_looked_for(source: str, numbers: list[str]) -> None:
    assert list(numbers_in(ast.parse(source))) == numbers
