"""COMMAND INFO and COMMAND DOCS of every delivered command beside Valkey's."""

import pytest

from differential import delivered
from harness.process import ServerProcess
from harness.wire import Reply

# Explanations, which are each project's own words: they are left out wherever they stand.
OWN_WORDS = {b"summary", b"complexity", b"history", b"notes"}
CONTAINERS = sorted({name.split("|")[0] for name in delivered.delivered_commands() if "|" in name})


def canonical(reply: Reply) -> object:
    """The reply without explanations, and with flags and categories (arrays in RESP2) in one order."""
    if isinstance(reply.value, tuple):
        explained = {index for index, item in enumerate(reply.value) if item.kind == b"$" and item.value in OWN_WORDS}
        explained |= {index + 1 for index in explained}
        items = [canonical(item) for index, item in enumerate(reply.value) if index not in explained]
        if reply.items and all(item.kind == b"+" for item in reply.items):
            items.sort(key=repr)
        return (reply.kind, items)
    return (reply.kind, reply.value)


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("name", delivered.delivered_commands())
def test_command_info_equals_valkeys(name: str, protocol: int, server: ServerProcess, valkey: ServerProcess) -> None:
    with server.connect(protocol=protocol) as ours, valkey.connect(protocol=protocol) as theirs:
        assert canonical(ours.call("COMMAND", "INFO", name)) == canonical(theirs.call("COMMAND", "INFO", name))


@pytest.mark.parametrize("name", CONTAINERS)
def test_command_info_of_a_container_lists_subcommands(name: str, server: ServerProcess, valkey: ServerProcess) -> None:
    """Its own fields equal Valkey's; of the subcommands those that are delivered are there."""
    with server.connect() as ours, valkey.connect() as theirs:
        mine, other = (wire.call("COMMAND", "INFO", name).items[0] for wire in (ours, theirs))
    assert [canonical(item) for item in mine.items[:9]] == [canonical(item) for item in other.items[:9]]
    expected = {n.lower().encode() for n in delivered.delivered_commands() if n.startswith(f"{name}|")}
    assert expected <= {subcommand.items[0].text for subcommand in mine.items[9].items}


def documented(reply: Reply) -> dict[bytes, object]:
    """One command's COMMAND DOCS without the fields that hold each project's own words."""
    document = reply.items[1]
    fields = dict(zip((item.text for item in document.items[::2]), document.items[1::2], strict=True))
    return {field: canonical(value) for field, value in fields.items() if field not in OWN_WORDS | {b"subcommands"}}


@pytest.mark.parametrize("name", delivered.delivered_commands())
def test_command_docs_equal_valkeys(name: str, server: ServerProcess, valkey: ServerProcess) -> None:
    with server.connect(protocol=3) as ours, valkey.connect(protocol=3) as theirs:
        mine, other = (wire.call("COMMAND", "DOCS", name) for wire in (ours, theirs))
    assert documented(mine) == documented(other)
    assert b"summary" in mine.raw


def test_command_list_filters_equal_valkeys(server: ServerProcess, valkey: ServerProcess) -> None:
    wanted = {name.lower().encode() for name in delivered.delivered_commands() if "|" not in name}
    filters = [("ACLCAT", "string"), ("ACLCAT", "nosuch"), ("PATTERN", "g*t*"), ("PATTERN", ""), ("MODULE", "none")]
    with server.connect() as ours, valkey.connect() as theirs:
        for kind, value in filters:
            mine, other = (wire.call("COMMAND", "LIST", "FILTERBY", kind, value) for wire in (ours, theirs))
            names = ({item.text for item in reply.items} for reply in (mine, other))
            assert next(names) & wanted == next(names) & wanted


def test_command_count_is_the_length_of_the_list(server: ServerProcess) -> None:
    with server.connect() as wire:
        names = [item.text for item in wire.call("COMMAND", "LIST").items]
        top_level = [name for name in names if b"|" not in name]
        assert wire.call("COMMAND", "COUNT").number == len(wire.call("COMMAND").items) == len(top_level)
        assert len(set(names)) == len(names)
