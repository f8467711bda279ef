"""An example of every command of the data types, as its documentation would show it, beside Valkey 9.1.2.

A line of tests/data/examples.txt is a conversation: requests between slashes, words as a shell reads them. Whatever
commands it has in it count as shown; times are far away, so that the machine's pace does not matter.
"""

import csv
import shlex

import pytest

from differential.delivered import COMMANDS_TABLE
from differential.differences import CONTAINERS, equal
from harness.process import ServerProcess

GROUPS = (
    "bitmap", "generic", "geo", "hash", "hyperloglog", "list", "set", "sorted-set", "stream", "string", "transactions",
)  # fmt: skip
# They end, wait for or change more than a conversation holds; each has tests of its own.
ELSEWHERE = {"MIGRATE", "OBJECT HELP", "XGROUP HELP", "XINFO HELP", "WAITAOF"}
CONTAINER_NAMES = {*(name.decode() for name in CONTAINERS), "XGROUP", "XINFO"}

EXAMPLES = COMMANDS_TABLE.with_name("examples.txt").read_text().splitlines()


def requests(line: str) -> list[tuple[bytes, ...]]:
    return [
        tuple(word.encode().decode("unicode_escape").encode("latin-1") for word in shlex.split(request))
        for request in line.replace("\\", "\\\\").split(" / ")
    ]


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("line", EXAMPLES)
def test_examples_go_as_on_valkey(server: ServerProcess, valkey: ServerProcess, line: str, protocol: int) -> None:
    with server.connect(protocol=protocol) as ours, valkey.connect(protocol=protocol) as theirs:
        for wire in (ours, theirs):
            wire.call("FLUSHALL")
        for request in requests(line):
            mine, other = (wire.call(*request) for wire in (ours, theirs))
            assert equal(request, mine, other), request
        for wire in (ours, theirs):
            wire.call("FLUSHALL")


def test_every_command_has_an_example() -> None:
    with COMMANDS_TABLE.open(newline="") as table:
        rows = list(csv.DictReader(table, delimiter="\t"))
    expected = {
        row["name"] for row in rows
        if row["group"] in GROUPS and row["in_valkey_9.1"] == "yes" and row["subcommand"] != "(container)"
        and row["name"] not in CONTAINER_NAMES
    }
    shown = set()
    for line in EXAMPLES:
        for request in requests(line):
            name = request[0].decode()
            shown.add(f"{name} {request[1].decode()}" if name in CONTAINER_NAMES else name)
    assert expected - shown == ELSEWHERE
