"""COMMAND and its subcommands say what Valkey 9.1.2 says, for every command that Ranvier has.

The handlers are called directly and their values compared with what the reference answers in RESP3. Left out, because
Ranvier writes its own: summaries, key specs' notes, history, and complexities beyond their first O(...).
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.process import ServerProcess
from harness.wire import Reply, Wire
from ranvier.commands import BoundCommand, bind_table, command
from ranvier.commands.spec import CommandTable, load_table
from ranvier.commands.surroundings import Client
from ranvier.errors import CommandError
from ranvier.values import Members, Pairs, Status


def client_knowing(*, everything: bool) -> Client:
    """A client of a server that has the implemented commands, or everything in the table that Valkey knows, too."""
    table = load_table()
    records = [record for record in (table if everything else table.implemented())
               if record.group != "sentinel"
               and (not record.own or (" " in record.name and record.handler is not None))]
    commands = bind_table(None, CommandTable(
        replace(record, handler="native:any") if everything or record.handler is not None else record
        for record in records
    ))
    return cast(Client, SimpleNamespace(server=SimpleNamespace(commands=commands)))


HERE = client_knowing(everything=False)
ALL = client_knowing(everything=True)


@pytest.fixture(scope="module")
def reference(valkey: ServerProcess) -> Wire:
    return valkey.connect(protocol=3)


def plain(value: Any) -> Any:
    """A reply of either side: maps are dicts, sets are sets, strings of any kind bytes."""
    if isinstance(value, Reply):
        if value.kind == b"%":
            items = [plain(item) for item in value.items]
            return dict(zip(items[::2], items[1::2], strict=True))
        if value.kind == b"~":
            items = [plain(item) for item in value.items]
            return items if any(isinstance(item, (dict, list)) for item in items) else set(items)
        return [plain(item) for item in value.items] if isinstance(value.value, tuple) else value.value
    if isinstance(value, Status):
        return value.encode()
    if isinstance(value, Members):
        items = [plain(item) for item in value]
        return items if any(isinstance(item, (dict, list)) for item in items) else set(items)
    if isinstance(value, Pairs):
        return {key: plain(item) for key, item in value}
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def without(value: Any, names: set[bytes]) -> Any:
    """The same without these keys of maps, at any depth."""
    if isinstance(value, dict):
        return {key: without(item, names) for key, item in value.items() if key not in names}
    return [without(item, names) for item in value] if isinstance(value, list) else value


# What Valkey does not have.
OWN = {record.full_name.encode() for record in load_table() if record.own}


def implemented() -> list[BoundCommand]:
    return list(HERE.server.commands.values())


def info_by_name(info: list[Any]) -> tuple[list[Any], dict[bytes, Any]]:
    """An entry of COMMAND INFO: its own nine fields, and its subcommands by name."""
    return without(info[:9], {b"notes"}), {sub[0]: info_by_name(sub) for sub in info[9] if sub[0] not in OWN}


@pytest.mark.parametrize("name", [bound.command.name.lower().encode() for bound in implemented()])
def test_info(name: bytes, reference: Wire) -> None:
    (ours,) = plain(command.command_info(HERE, [name]))
    (theirs,) = plain(reference.call("COMMAND", "INFO", name))
    own, subcommands = info_by_name(ours)
    expected, expected_subcommands = info_by_name(theirs)
    assert own == expected
    assert subcommands.items() <= expected_subcommands.items()


def test_info_of_the_whole_table(reference: Wire) -> None:
    ours = {info[0]: info_by_name(info) for info in plain(command.command(ALL, []))}
    theirs = {info[0]: info_by_name(info) for info in plain(reference.call("COMMAND"))}
    assert ours == theirs


def test_flags_and_categories_keep_the_reference_order_in_resp2(valkey: ServerProcess) -> None:
    with valkey.connect() as wire:
        theirs = {info.items[0].text: [field.plain() for field in info.items[2:7:4]] for info in
                  wire.call("COMMAND").items}
    ours = {
        info[0]: [[bytes(flag, "ascii") for flag in info[2]], [bytes(category, "ascii") for category in info[6]]]
        for info in cast(list[Any], command.command(ALL, []))
    }
    assert ours == theirs


def first_order(complexity: bytes) -> bytes:
    found = re.search(rb"O\(.*?\)", complexity)
    return found[0] if found else b""


def check_docs(ours: dict[bytes, Any], theirs: dict[bytes, Any]) -> None:
    written_here = {b"summary", b"history"}
    assert first_order(ours.pop(b"complexity", b"")) == first_order(theirs.pop(b"complexity", b""))
    subcommands, theirs_by_name = ours.pop(b"subcommands", {}), theirs.pop(b"subcommands", {})
    assert without(ours, written_here) == without(theirs, written_here)
    for name, docs in ((name, docs) for name, docs in subcommands.items() if name not in OWN):
        check_docs(docs, theirs_by_name[name])


@pytest.mark.parametrize("bound", list(ALL.server.commands.values()), ids=lambda bound: bound.command.full_name)
def test_docs(bound: BoundCommand, reference: Wire) -> None:
    name = bound.command.name.lower().encode()
    ours = plain(command.command_docs(ALL, [name]))
    theirs = plain(reference.call("COMMAND", "DOCS", name))
    if name == b"migrate":      # no complexity to compare: ours and theirs are prose
        ours[name].pop(b"complexity")
        theirs[name].pop(b"complexity")
    check_docs(ours[name], theirs[name])


def test_what_does_not_exist() -> None:
    assert command.command_info(HERE, [b"nosuch", b"eval", b"client|nosuch"]) == [None, None, None]
    assert command.command_docs(HERE, [b"nosuch", b"client|nosuch", b"client id"]) == []
    assert plain(command.command_info(HERE, [b"CLIENT|ID"]))[0][0] == b"client|id"
    assert [name for name, _ in cast(Pairs, command.command_docs(HERE, [b"Client|Id"] * 2))] == [b"client|id"] * 2


def test_count_and_list(reference: Wire) -> None:
    assert command.command_count(HERE, []) == len(HERE.server.commands)
    assert command.command_count(ALL, []) == reference.call("COMMAND", "COUNT").number


@pytest.mark.parametrize("words", [
    "", "FILTERBY PATTERN xinfo*", "filterby pattern *|GET", "FILTERBY ACLCAT hyperloglog", "FILTERBY aclcat STRING",
    "FILTERBY ACLCAT @string", "FILTERBY ACLCAT nosuch", "FILTERBY MODULE nosuch",
])
def test_list(words: str, reference: Wire) -> None:
    args = words.encode().split()
    theirs = plain(reference.call("COMMAND", "LIST", *args))
    assert sorted(set(cast(list[bytes], command.command_list(ALL, args))) - OWN) == sorted(theirs)


@pytest.mark.parametrize("words", ["foo", "filterby", "filterby pattern", "filterby foo bar", "filterby pattern a b"])
def test_list_with_bad_words(words: str, reference: Wire) -> None:
    args = words.encode().split()
    with pytest.raises(CommandError) as caught:
        command.command_list(HERE, args)
    assert str(caught.value).encode() == reference.call("COMMAND", "LIST", *args).text


LINES = """
get k
GET k
get
nosuch k
mset a 1 b 2
mset a
del a b c
rename a b
ping
echo x
client id
client nosuch
client
object encoding k
object encoding
object foo k
memory usage k
xgroup create k g 1
publish a b
spublish a b
config get
command foo
eval s 0
eval s 1 a b
eval s 5 a
eval s -1 a
eval s x a
fcall f 2 a b
fcall_ro f 0
zunionstore d 2 a b weights 1 2
zunionstore d 0 a
zunionstore d 9 a
zinter 2 a b
zdiff 1 a
lmpop 2 a b left
lmpop 0 a left
blmpop 0 2 a b left
zmpop 1 a min
bzmpop 0 1 a min
sintercard 2 a b limit 1
xread streams a b 1 2
xread streams a b 1
xread count 2 streams a 1
xread count 2 streams
xread block 0 STREAMS a b c 1 2 3
xreadgroup group g c streams a 1
xreadgroup group g c count 1 streams a b 1 2
sort k
sort k by w* get store store d limit 0 store
sort k store d store e
sort k store
sort_ro k by w
migrate h 1 k 0 9
migrate h 1 k 0 9 copy replace
migrate h 1 k 0 9 keys a
migrate h 1 k 0 9 auth keys
georadius k 1 2 3 km
georadius k 1 2 3 km store d
georadius k 1 2 3 km store b storedist c
georadius k 1 2 3 km store
georadiusbymember k m 3 km storedist d
geosearchstore d s fromlonlat 1 2 byradius 3 km
set k v
set k v get
set k v nx get ex 3
set k v ifeq x
bitfield k
bitfield k get u8 0
bitfield k overflow wrap get u8 0
bitfield k get u8 0 set u8 0 1
bitfield_ro k get u8 0
msetex 2 a 1 b 2 ex 3
msetex 3 a 1
blpop a b 0
bitop and d a b
pfcount a b
pfmerge d a
lcs a b
copy a b
watch a b
xinfo stream k
smove a b m
cluster keyslot k
restore k 0 v
sunionstore d a b
hset k f v
""".strip().splitlines()


def ours_or_error(handler: Any, argv: list[bytes]) -> Any:
    try:
        return plain(handler(ALL, argv))
    except CommandError as error:
        return str(error).encode()


@pytest.mark.parametrize("line", LINES)
def test_keys_and_flags(line: str, reference: Wire) -> None:
    argv = line.encode().split()
    assert ours_or_error(command.command_getkeys, argv) == plain(reference.call("COMMAND", "GETKEYS", *argv))
    theirs = plain(reference.call("COMMAND", "GETKEYSANDFLAGS", *argv))
    assert ours_or_error(command.command_getkeysandflags, argv) == theirs


def test_migrate_with_an_empty_key(reference: Wire) -> None:
    for line in (["COPY", "KEYS", "a", "b"], ["KEYS"], []):
        argv = [b"migrate", b"h", b"1", b"", b"0", b"9", *(word.encode() for word in line)]
        assert ours_or_error(command.command_getkeys, argv) == plain(reference.call("COMMAND", "GETKEYS", *argv))


def test_help_is_lines_of_status() -> None:
    lines = cast(list[Any], command.command_help(HERE, []))
    assert lines[0] == "COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"
    assert all(isinstance(line, Status) for line in lines)
