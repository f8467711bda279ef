"""The command table is complete in itself: every record can be read, and says what the server needs to know."""

import re
from importlib import resources
from pathlib import Path

import pytest

from ranvier.commands import bind_table
from ranvier.commands.gates import GATES, Gate, gates_of
from ranvier.commands.keys import KeysError, extract_keys, parse_key_specs
from ranvier.commands.spec import Command, CommandTable, load_table
from ranvier.commands.syntax import Argument, parse_arguments

TABLE = load_table()


def by_name(name: str) -> Command:
    record = TABLE.get(name)
    assert record is not None
    return record


@pytest.mark.parametrize("record", list(TABLE), ids=lambda record: record.full_name)
def test_record_is_complete_and_readable(record: Command) -> None:
    assert record.group and record.since and record.summary.endswith(".")
    assert record.arity != 0
    assert record.visible_flags is not None and record.acl_categories and gates_of(record)
    for argument in record.argument_tree:
        assert argument.key_spec_index is None or argument.key_spec_index < len(record.key_specs)
    subcommands = TABLE.subcommands(record.name)
    assert not (subcommands and record.argument_tree and record.name != "COMMAND")
    if "write" in record.flag_set and (record.handler is not None or not record.own):
        assert record.propagated, "every write says what replicas receive"


def test_table_has_every_command_of_valkey() -> None:
    assert len([record for record in TABLE if not record.own]) == 425
    # Sentinel's container beside Valkey's 257
    assert len([record for record in TABLE.top_level() if not record.own]) == 258


def test_table_has_every_command_of_redis_and_valkey() -> None:
    """Those of the lists that came with the design; modules are told of as wholes."""
    path = Path(__file__).resolve().parents[1] / "data" / "commands.tsv"
    rows = [line.split("\t") for line in path.read_text().splitlines()[1:]]
    expected = {row[0] for row in rows if not row[1].startswith("module:") or row[1] == "module:vectorset"}
    assert expected <= {record.name for record in TABLE}


def test_only_commands_with_handlers_are_announced() -> None:
    names = {record.name for record in TABLE.implemented()}
    assert {"GET", "CLIENT", "CLIENT ID", "COMMAND", "LMOVE", "HSET"} <= names
    assert not {"EVAL", "CLUSTER", "CLUSTER INFO", "SENTINEL"} & names


def test_a_subcommand_without_container_is_refused() -> None:
    with pytest.raises(ValueError, match="container FOO"):
        CommandTable([Command("FOO BAR", 2)])


def test_binding_names_the_missing_handler() -> None:
    with pytest.raises(LookupError, match="no native handler 'get'"):
        bind_table(frozenset({"set"}), CommandTable([Command("GET", 2, group="string", handler="native:get")]))
    with pytest.raises(LookupError, match=r"no module ranvier\.commands\.nowhere"):
        bind_table(None, CommandTable([Command("GET", 2, group="string", handler="nowhere:get")]))
    with pytest.raises(LookupError, match="no function 'nothing'"):
        bind_table(None, CommandTable([Command("GET", 2, group="string", handler="spec:nothing")]))


def test_unknown_words_in_a_record_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown flags"):
        _ = Command("X", 1, "wirte").flag_set
    with pytest.raises(ValueError, match="unknown categories"):
        _ = Command("X", 1, categories="strings").acl_categories
    with pytest.raises(ValueError, match="unknown flags"):
        parse_key_specs("1 RO acess")
    with pytest.raises(ValueError, match="cannot read the place"):
        parse_key_specs("one RO")


# The notation of arguments

def test_argument_notation() -> None:
    notation = 'key@0 [LIMIT limit(offset:integer count:integer)^2.0.0] [GET... pattern:pattern<p>...]'
    assert parse_arguments(notation) == (
        Argument("key", "key", key_spec_index=0),
        Argument("limit", "block", "LIMIT", since="2.0.0", optional=True, arguments=(
            Argument("offset", "integer"), Argument("count", "integer"),
        )),
        Argument("pattern", "pattern", "GET", display="p", optional=True, multiple=True, multiple_token=True),
    )


def test_tokens_alone_before_a_comma_and_with_a_name() -> None:
    assert parse_arguments('NODE, node how(equal="=" | NX) old^^1.2') == (
        Argument("node", "pure-token", "NODE"),
        Argument("node", "string"),
        Argument("how", "oneof", arguments=(Argument("equal", "pure-token", "="), Argument("nx", "pure-token", "NX"))),
        Argument("old", "string", deprecated_since="1.2"),
    )


@pytest.mark.parametrize("notation", ["a | b", "a]", "(a", "x(a", "[a", "a $", "name=", "[a b]"])
def test_bad_argument_notation_is_refused(notation: str) -> None:
    with pytest.raises(ValueError, match="argument notation"):
        parse_arguments(notation)


# Keys

def keys_of(line: str) -> list[str]:
    argv = [word.encode() for word in line.split()]
    record = by_name(line.split()[0].upper())
    return [argv[key.index].decode() for key in extract_keys(
        record.name, record.key_specs, argv, keys_required="no_mandatory_keys" not in record.flag_set,
    )]


@pytest.mark.parametrize(("line", "keys"), [
    ("get a", ["a"]),
    ("mset a 1 b 2", ["a", "b"]),
    ("blpop a b 0", ["a", "b"]),
    ("eval script 2 a b c", ["a", "b"]),
    ("eval script 0 c", []),
    ("eval script 02 a b", ["a", "b"]),
    ("zunionstore d 2x a b", ["a", "b", "d"]),
    ("zunionstore d 2 a b weights 1 2", ["d", "a", "b"]),
    ("xread count 2 streams a b 1 2", ["a", "b"]),
    ("xreadgroup group g c streams a 1", ["a"]),
    ("sort a by w* get store store d limit 0 store", ["a", "d"]),
    ("sort a store d store e", ["a", "e"]),
    ("migrate host 1 k 0 9", ["k"]),
    ("migrate host 1 k 0 9 auth keys", ["k"]),
    ("georadius k 1 2 3 km store d", ["k", "d"]),
    ("georadiusbymember k m 3 km storedist d", ["k", "d"]),
    ("msetex 2 a 1 b 2 ex 3", ["a", "b"]),
    ("rename a b", ["a", "b"]),
])
def test_keys_of_a_command_line(line: str, keys: list[str]) -> None:
    assert keys_of(line) == keys


def test_migrate_with_an_empty_key_takes_those_behind_keys() -> None:
    argv = [b"migrate", b"h", b"1", b"", b"0", b"9", b"COPY", b"KEYS", b"a", b"b"]
    assert [key.index for key in extract_keys("MIGRATE", by_name("MIGRATE").key_specs, argv)] == [8, 9]


@pytest.mark.parametrize("line", [
    "eval s -1 a", "eval s 3 a b", "eval s x a", "eval s 3x a b", "msetex 02 a 1 b 2", "zunionstore d 0 a",
    "xread count 2 streams",
])
def test_arguments_that_contradict_the_specs(line: str) -> None:
    with pytest.raises(KeysError):
        keys_of(line)


# Gates

# The contract's list (A4), in the order that Valkey 9.1 checks it.
GATES_OF_THE_CONTRACT = [
    (6, "AUTHENTICATION"), (5, "PROTECTED"), (7, "NO_MULTI"), (8, "ACL"), (9, "CLUSTER"), (9, "REDIRECT"),
    (10, "EVICT_CLIENTS"), (11, "EVICT_KEYS"), (11, "OUT_OF_MEMORY"), (12, "TRACKING_TABLE"), (13, "DISK_ERROR"),
    (14, "GOOD_REPLICAS"), (15, "READ_ONLY"), (16, "SUBSCRIBED"), (17, "STALE"), (18, "LOADING"), (19, "ASYNC_LOADING"),
    (20, "BUSY"), (21, "REPLICA"), (22, "PAUSED_WRITE"), (22, "PAUSED_ALL"), (22, "ENDING"),
    (23, "QUEUE"), (24, "MONITOR"),
]


def test_gates_stand_in_the_order_of_the_contract() -> None:
    """A4 ORDER."""
    assert [(rule.number, rule.gate.name) for rule in GATES] == GATES_OF_THE_CONTRACT
    assert sorted(rule.gate for rule in GATES) == list(Gate), "one rule for each gate"


def test_the_engine_declares_the_same_bits() -> None:
    text = resources.files("ranvier.engine").joinpath("core.pxd").read_text()
    declared = {name: 1 << int(bit) for name, bit in re.findall(r"GATE_(\w+) = 1 << (\d+)", text)}
    assert declared
    assert declared.items() <= {str(gate.name): gate.value for gate in Gate}.items()


def test_no_gate_takes_the_bit_of_the_surroundings() -> None:
    """The mark lies in the same mask (engine/modes/surroundings), but no command is concerned by it."""
    found = re.search(r"SURROUNDED = 1 << (\d+)", resources.files("ranvier.engine").joinpath("core.pxd").read_text())
    assert found and max(Gate) < 1 << int(found[1]) < 1 << 31


@pytest.mark.parametrize(("name", "concerned", "spared"), [
    ("GET", Gate.AUTHENTICATION | Gate.LOADING | Gate.BUSY | Gate.QUEUE | Gate.SUBSCRIBED | Gate.STALE | Gate.MONITOR,
     Gate.OUT_OF_MEMORY | Gate.READ_ONLY | Gate.DISK_ERROR | Gate.NO_MULTI | Gate.PAUSED_WRITE | Gate.PROTECTED),
    ("SET", Gate.OUT_OF_MEMORY | Gate.READ_ONLY | Gate.DISK_ERROR | Gate.PAUSED_WRITE | Gate.GOOD_REPLICAS,
     Gate.NO_MULTI),
    ("DEL", Gate.READ_ONLY | Gate.PAUSED_WRITE | Gate.ENDING, Gate.OUT_OF_MEMORY),
    ("PING", Gate.DISK_ERROR | Gate.AUTHENTICATION | Gate.LOADING, Gate.SUBSCRIBED | Gate.READ_ONLY),
    ("HELLO", Gate.QUEUE | Gate.SUBSCRIBED, Gate.AUTHENTICATION | Gate.LOADING | Gate.BUSY | Gate.STALE),
    ("RESET", Gate.PAUSED_ALL, Gate.AUTHENTICATION | Gate.QUEUE | Gate.SUBSCRIBED | Gate.LOADING),
    ("CONFIG GET", Gate.AUTHENTICATION | Gate.QUEUE, Gate.MONITOR | Gate.LOADING),
    ("PUBLISH", Gate.PAUSED_WRITE | Gate.REPLICA, Gate.READ_ONLY),
    ("EXEC", Gate.OUT_OF_MEMORY | Gate.READ_ONLY | Gate.PAUSED_WRITE | Gate.DISK_ERROR, Gate.QUEUE),
    ("DEBUG", Gate.PROTECTED, Gate.MONITOR | Gate.OUT_OF_MEMORY),
    ("SHUTDOWN", Gate.NO_MULTI, Gate.BUSY | Gate.LOADING | Gate.ENDING),
    ("INFO", Gate.PAUSED_ALL, Gate.ENDING),
])
def test_gates_follow_from_flags(name: str, concerned: Gate, spared: Gate) -> None:
    mask = gates_of(by_name(name))
    assert mask & concerned == concerned
    assert not mask & spared
