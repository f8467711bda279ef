"""Differential tests that random requests cannot make: whole iterations, options, statistics, long values."""

from collections.abc import Iterator

import pytest

from harness.process import ServerProcess, StartServer
from harness.wire import Argument, Wire, encode_command

Wires = tuple[Wire, Wire]


@pytest.fixture
def both(server: ServerProcess, valkey: ServerProcess) -> Iterator[Wires]:
    """An empty server under test and an empty reference."""
    with server.connect() as ours, valkey.connect() as theirs:
        for wire in (ours, theirs):
            assert wire.call("FLUSHALL").raw == b"+OK\r\n"
        yield ours, theirs


def scan_all(wire: Wire, *options: bytes | str) -> set[bytes]:
    """Every name that one whole SCAN iteration returns."""
    found: set[bytes] = set()
    cursor = b"0"
    for _ in range(100_000):
        reply = wire.call("SCAN", cursor, *options)
        cursor = reply.items[0].text
        found.update(item.text for item in reply.items[1].items)
        if cursor == b"0":
            return found
    raise AssertionError("the iteration does not end")


@pytest.mark.parametrize("count", [1, 7, 10, 1000, 1_000_000])
@pytest.mark.parametrize("options", [(), ("MATCH", "*3*"), ("TYPE", "list"), ("MATCH", "k:1??", "TYPE", "STRING")])
def test_a_whole_scan_finds_what_valkeys_finds(both: Wires, count: int, options: tuple[str, ...]) -> None:
    for wire in both:
        wire.pipeline([("SET", f"k:{n}", n) for n in range(500)] + [("RPUSH", f"l:{n}", n) for n in range(50)])
    ours, theirs = (scan_all(wire, *options, "COUNT", str(count)) for wire in both)
    assert ours == theirs


def test_scan_finds_every_key_that_stays_while_the_table_grows_and_shrinks(both: Wires) -> None:
    wire = both[0]
    staying = {f"stay:{n}".encode() for n in range(2000)}
    wire.pipeline([("SET", key, "1") for key in sorted(staying)])
    found: set[bytes] = set()
    cursor, turn = b"0", 0
    while True:
        reply = wire.call("SCAN", cursor, "COUNT", "20")
        cursor = reply.items[0].text
        found.update(item.text for item in reply.items[1].items)
        if cursor == b"0":
            break
        turn += 1
        first = 500 * (turn % 60)
        verb = ("DEL",) if turn // 60 % 2 else ("MSET",)
        keys = [f"pass:{n}" for n in range(first, first + 500)]
        wire.call(*verb, *(keys if verb == ("DEL",) else [x for key in keys for x in (key, "v")]))
    assert staying <= found


@pytest.mark.parametrize("size", [1, 44, 45, 4095, 4096, 4097, 16383, 16384, 32767, 32768, 65536, 1 << 20, 10 << 20])
def test_values_of_every_size_come_back(both: Wires, size: int) -> None:
    value = bytes(index * 7 % 251 for index in range(min(size, 4096))) * (size // 4096 + 1)
    value = value[:size]
    commands: list[tuple[Argument, ...]] = [
        ("SET", "k", value), ("GET", "k"), ("STRLEN", "k"), ("APPEND", "k", "tail"), ("GETRANGE", "k", "-6", "-1"),
        ("SETRANGE", "k", size // 2, "middle"), ("GET", "k"), ("OBJECT", "ENCODING", "k"), ("GETDEL", "k"),
        ("RPUSH", "l", value, value), ("LRANGE", "l", 0, -1), ("LPOP", "l"), ("DEL", "l"), ("GETSET", "k", value),
    ]  # fmt: skip
    data = b"".join(encode_command(*command) for command in commands)
    for wire in both:
        wire.send(data)
    for _ in commands:
        assert both[0].reply().raw == both[1].reply().raw


CONFIG_SETS = [
    ("nosuch", "1"), ("maxmemory", "x"), ("maxmemory", "-1"), ("maxmemory", "100mb"), ("maxmemory", "1gB"),
    ("maxmemory", "0"), ("timeout", "-1"), ("timeout", "0"), ("hz", "0"), ("hz", "10"), ("databases", "32"),
    ("port", "x"), ("maxmemory-policy", "nosuch"), ("maxmemory-policy", "ALLKEYS-LRU"),
    ("maxmemory-policy", "noeviction"),
    ("appendonly", "maybe"), ("client-output-buffer-limit", "normal 0 0"), ("client-output-buffer-limit", "x 0 0 0"),
    ("client-output-buffer-limit", "master 0 0 0"), ("client-output-buffer-limit", "normal a 0 0"),
    ("client-output-buffer-limit", "normal 0 0 0 pubsub 32mb 8mb 60"), ("proto-max-bulk-len", "1"),
    ("client-query-buffer-limit", "1"), ("maxclients", "0"), ("tcp-keepalive", "x"), ("list-max-listpack-size", "x"),
    ("MAXMEMORY", "1k"), ("maxmemory", "0"), ("loglevel", "loud"), ("slowlog-max-len", "-1"), ("lfu-decay-time", "1"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), CONFIG_SETS)
def test_config_set_answers_as_valkey(both: Wires, name: str, value: str) -> None:
    ours, theirs = (wire.call("CONFIG", "SET", name, value) for wire in both)
    assert ours.raw == theirs.raw
    ours, theirs = (wire.call("CONFIG", "GET", name) for wire in both)
    if name != "port":
        assert ours.raw == theirs.raw


def test_config_set_of_several_is_all_or_nothing(both: Wires) -> None:
    for command in (
        ("CONFIG", "SET", "timeout", "7", "maxmemory", "x"),
        ("CONFIG", "GET", "timeout"),
        ("CONFIG", "SET", "timeout", "7", "timeout", "8"),
        ("CONFIG", "SET", "timeout"),
        ("CONFIG", "SET", "timeout", "7", "hz"),
        ("CONFIG", "SET", "timeout", "7", "hz", "12"),
        ("CONFIG", "GET", "timeout"),
        ("CONFIG", "SET", "timeout", "0", "hz", "10"),
    ):
        ours, theirs = (wire.call(*command) for wire in both)
        assert ours.raw == theirs.raw, command


def test_commandstats_and_errorstats_count_as_valkeys(both: Wires) -> None:
    traffic = [
        ("SET", "k", "v"), ("GET", "k"), ("GET", "none"), ("LPUSH", "k", "x"), ("GET",), ("NOSUCH",), ("INCR", "k"),
        ("CLIENT", "NOSUCH"), ("CLIENT", "GETNAME"), ("OBJECT", "ENCODING", "k"), ("HELLO", "9"), ("SET", "k"),
    ]  # fmt: skip
    counted = []
    for wire in both:
        wire.call("CONFIG", "RESETSTAT")
        for command in traffic:
            wire.call(*command)
        text = wire.call("INFO", "commandstats", "errorstats", "keyspace", "stats").text.decode()
        lines = dict(line.split(":", 1) for line in text.split("\r\n") if ":" in line)
        figures = {}
        for name, value in lines.items():
            if name.startswith(("cmdstat_", "errorstat_")):
                fields = dict(field.split("=") for field in value.split(","))
                figures[name] = {key: fields[key] for key in fields if "usec" not in key}
            elif name in ("keyspace_hits", "keyspace_misses", "expired_keys", "evicted_keys", "total_error_replies"):
                figures[name] = {"": value}
        counted.append(figures)
    assert counted[0] == counted[1]


def test_info_has_valkeys_fields_in_the_delivered_sections(server: ServerProcess) -> None:
    """What clients and exporters read; fields of what Ranvier has not are absent, and its own ones are allowed."""
    wanted = {
        "server": "redis_version server_name redis_git_sha1 redis_mode os arch_bits process_id run_id tcp_port "
        "uptime_in_seconds uptime_in_days hz configured_hz lru_clock executable config_file",
        "clients": "connected_clients maxclients blocked_clients tracking_clients pubsub_clients watching_clients",
        "memory": "used_memory used_memory_human used_memory_rss used_memory_peak maxmemory maxmemory_policy "
        "mem_fragmentation_ratio mem_clients_normal lazyfree_pending_objects",
        "stats": "total_connections_received total_commands_processed instantaneous_ops_per_sec "
        "total_net_input_bytes total_net_output_bytes rejected_connections expired_keys evicted_keys keyspace_hits "
        "keyspace_misses total_error_replies client_query_buffer_limit_disconnections "
        "client_output_buffer_limit_disconnections",
        "cpu": "used_cpu_sys used_cpu_user used_cpu_sys_children used_cpu_user_children",
    }
    for section, names in wanted.items():
        elsewhere = {"redis_mode"} if server.kind == "valkey" else set()      # Valkey 9 says server_mode
        assert not set(names.split()) - set(server.info(section)) - elsewhere, section


def test_reported_versions(server: ServerProcess) -> None:
    if server.kind != "ranvier":
        pytest.skip("only Ranvier reports these")
    info = server.info("server")
    assert (info["redis_version"], info["server_name"]) == ("7.2.4", "ranvier")
    assert info["ranvier_version"]
    with server.connect(protocol=2) as wire:
        hello = wire.call("HELLO").plain()
    assert isinstance(hello, list)
    assert hello[:4] == [b"server", b"redis", b"version", b"7.2.4"]


def test_debug_object_and_set_active_expire(start_server: StartServer) -> None:
    server = start_server()
    with server.connect() as wire:
        wire.pipeline([("SET", "k", "v"), ("SET", "gone", "v", "PXAT", "1")])
        assert wire.call("DEBUG", "OBJECT", "k").kind == b"+"
        assert wire.call("DEBUG", "OBJECT", "none").raw == b"-ERR no such key\r\n"
        assert wire.call("DEBUG", "SET-ACTIVE-EXPIRE", "0").raw == b"+OK\r\n"
        assert wire.call("DEBUG", "SET-ACTIVE-EXPIRE", "1").raw == b"+OK\r\n"
        assert wire.call("DEBUG", "SLEEP", "0").raw == b"+OK\r\n"
