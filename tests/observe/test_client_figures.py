"""INFO's figures about clients and the loop (lifecycle A16), beside Valkey where both can be asked the same."""

from contextlib import ExitStack

import pytest

from harness.memory import memory_client, memory_server, received, socket_client, turn
from harness.process import ServerProcess, StartServer, parse_info
from harness.programs import only_ranvier
from harness.waiting import eventually
from harness.wire import encode_command
from ranvier import limits
from ranvier.clock import VirtualClock
from ranvier.observe.info import render
from ranvier.server.server import Server


def figures(server: Server, section: str) -> dict[str, str]:
    return parse_info(render(server.figures, [section]).encode())


def a_second_later(server: Server) -> None:
    """What the cron does in a second: every client is looked at."""
    assert isinstance(server.clock, VirtualClock)
    server.clock.advance(1000)
    turn(server)
    server.engine.check_clients(server.engine.client_count)


# ---- the largest buffers of the last seconds ------------------------------------------------------------------------

def test_a16_the_largest_query_buffer_of_the_last_eight_seconds() -> None:
    with memory_server() as server:
        with socket_client(server) as peer:
            peer.send(encode_command("ECHO", "x" * 30_000)[:-1])
            turn(server)
            assert int(figures(server, "clients")["client_recent_max_input_buffer"]) >= 30_000
            peer.send(b"\n" + encode_command("ECHO", "x" * 100)[:-1])
            turn(server)
            seen = []
            for _ in range(10):
                a_second_later(server)
                seen.append(int(figures(server, "clients")["client_recent_max_input_buffer"]))
            assert [size >= 30_000 for size in seen] == [True] * 7 + [False] * 3
            assert seen[-1] >= 100, "it still holds that much"
        turn(server)
        for _ in range(9):
            a_second_later(server)
        assert figures(server, "clients")["client_recent_max_input_buffer"] == "0"


def test_a16_the_largest_output_buffer_of_the_last_eight_seconds() -> None:
    """Also of one that neither reads nor is written to any more."""
    with memory_server() as server, socket_client(server, send_buffer_bytes=4096) as peer:
        peer.send(encode_command("SET", "k", "v" * 50_000) + encode_command("GET", "k") * 20)
        turn(server, 3)
        held = int(figures(server, "clients")["client_recent_max_output_buffer"])
        assert held > 900_000
        for _ in range(20):
            a_second_later(server)
        assert 900_000 < int(figures(server, "clients")["client_recent_max_output_buffer"]) <= held
        while received(peer)[0]:
            turn(server)
        for _ in range(9):
            a_second_later(server)
        assert figures(server, "clients")["client_recent_max_output_buffer"] == "0"


def test_a16_a_leap_of_the_clock_forgets_all_seconds() -> None:
    with memory_server() as server:
        with socket_client(server) as peer:
            peer.send(encode_command("ECHO", "x" * 30_000)[:-1])
            turn(server)
        turn(server)
        assert isinstance(server.clock, VirtualClock)
        server.clock.advance(3_600_000)
        turn(server)
        server.engine.check_clients(1)
        assert figures(server, "clients")["client_recent_max_input_buffer"] == "0"


# ---- reply buffers --------------------------------------------------------------------------------------------------

def test_a5_4_a_client_borrows_a_block_while_it_is_owed_replies() -> None:
    with memory_server() as server, socket_client(server, send_buffer_bytes=4096) as peer:
        (handle,) = server.engine.clients
        assert (handle.describe()["rbs"], handle.describe()["rbp"]) == (0, 0)
        peer.send(encode_command("ECHO", "x" * 10_000) * 2)
        turn(server)
        described = handle.describe()
        assert described["rbs"] == 16384
        assert 10_000 < described["rbp"] <= described["rbs"], "the most that has stood in it"
        assert described["obl"] <= described["rbp"]
        while received(peer)[0]:
            turn(server)
        assert (handle.describe()["rbs"], handle.describe()["rbp"], handle.describe()["obl"]) == (0, 0, 0)


def test_a5_4_the_store_of_blocks_expands_and_shrinks() -> None:
    """Instead of each client's buffer: blocks come from the allocator, and go back beyond those that are kept."""
    with memory_server() as server, socket_client(server, send_buffer_bytes=4096) as peer:
        with memory_client(server) as other:
            for _ in range(100):
                other.talk(encode_command("RPUSH", "l", *["e" * 1000] * 60))
        assert figures(server, "stats")["reply_buffer_shrinks"] == "0"
        peer.send(encode_command("LRANGE", "l", 0, -1))
        turn(server)
        needed = 6_000_000 // 16384
        expanded = int(figures(server, "stats")["reply_buffer_expands"])
        assert needed <= expanded < needed + 30
        while received(peer)[0]:
            turn(server)
        assert int(figures(server, "stats")["reply_buffer_shrinks"]) == expanded - limits.FREE_BLOCKS
        with memory_client(server) as other:
            other.talk(b"PING\r\n")
        assert int(figures(server, "stats")["reply_buffer_expands"]) == expanded, "taken from what is kept"


# ---- the loop -------------------------------------------------------------------------------------------------------

def test_a16_the_time_of_turns_and_of_commands() -> None:
    with memory_server() as server, socket_client(server) as peer:
        before = figures(server, "stats")
        for _ in range(50):
            peer.send(encode_command("KEYS", "*") * 50)
            turn(server)
            received(peer)
        after = figures(server, "stats")
        grown = {name: int(after[name]) - int(before[name])
                 for name in ("eventloop_cycles", "eventloop_duration_sum", "eventloop_duration_cmd_sum")}
        assert grown["eventloop_cycles"] == 50
        assert grown["eventloop_duration_sum"] >= grown["eventloop_duration_cmd_sum"] > 0
        server.figures.sample()
        for _ in range(10):
            assert isinstance(server.clock, VirtualClock)
            server.clock.advance(100)
            turn(server, 3)
        server.figures.sample()
        now = figures(server, "stats")
        assert now["instantaneous_eventloop_cycles_per_sec"] == "30"
        assert int(now["instantaneous_eventloop_duration_usec"]) <= int(now["eventloop_duration_sum"])
        server.reset_statistics()
        assert {figures(server, "stats")[name] for name in grown} == {"0"}


# ---- beside Valkey --------------------------------------------------------------------------------------------------

GAUGES = (
    "connected_clients", "blocked_clients", "pubsub_clients", "watching_clients", "clients_in_timeout_table",
    "total_watched_keys", "total_blocking_keys", "total_blocking_keys_on_nokey", "tracking_clients", "maxclients",
    "paused_reason", "paused_actions", "cluster_connections",
)  # fmt: skip


def gauges(server: ServerProcess) -> list[dict[str, str]]:
    """INFO clients through a day of clients that wait, watch and listen."""
    found = []
    admin, a, b, c = (server.connect() for _ in range(4))

    def note() -> None:
        for _ in range(2):       # what was sent before has been read by then
            admin.call("PING")
        shown = parse_info(admin.call("INFO", "clients").text)
        found.append({name: shown[name] for name in GAUGES})

    note()
    a.send_command("BLPOP", "k1", "k2", 0)
    note()
    b.send_command("BLPOP", "k2", "k3", 100)
    c.send_command("BLMOVE", "k4", "k5", "LEFT", "LEFT", 100)
    note()
    admin.call("RPUSH", "k3", "e")
    note()
    b.reply()
    b.pipeline([("DEL", "k3"), ("WATCH", "w1", "w2"), ("WATCH", "w2", "w3")])
    note()
    admin.call("SET", "w1", "v")
    note()
    b.pipeline([("UNWATCH",), ("SUBSCRIBE", "x")])
    note()
    admin.call("CLIENT", "UNBLOCK", 1 << 40)
    admin.call("CLIENT", "PAUSE", 100_000, "WRITE")
    note()
    admin.call("CLIENT", "UNPAUSE")
    for wire in (a, b, c):
        wire.close()
    eventually(lambda: parse_info(admin.call("INFO", "clients").text)["connected_clients"] == "1", "they are gone")
    note()
    admin.call("DEL", "w1")
    admin.close()
    return found


def test_a16_the_gauges_are_those_of_the_reference(server: ServerProcess, valkey: ServerProcess) -> None:
    assert gauges(server) == gauges(valkey)


COUNTERS = (
    "total_commands_processed", "total_net_input_bytes", "total_reads_processed", "total_writes_processed",
    "total_error_replies", "unexpected_error_replies", "evicted_clients", "rejected_connections",
    "client_query_buffer_limit_disconnections", "client_output_buffer_limit_disconnections",
    "total_connections_received", "total_net_repl_input_bytes", "total_net_repl_output_bytes",
)  # fmt: skip


def counted(server: ServerProcess) -> dict[str, int]:
    """What the counters grow by in a conversation."""
    with server.connect() as wire, ExitStack() as later:
        before = parse_info(wire.call("INFO", "stats").text)
        for words in (("PING",), ("NOSUCH",), ("GET",), ("SET", "k", "v"), ("LPUSH", "k", "e"), ("MULTI",), ("EXEC",)):
            wire.call(*words)
        wire.pipeline([("PING",)] * 100)
        wire.call("DEL", "k")
        later.enter_context(server.connect()).call("PING")
        after = parse_info(wire.call("INFO", "stats").text)
        return {name: int(after[name]) - int(before[name]) for name in COUNTERS}


def test_a16_the_counters_count_as_those_of_the_reference(server: ServerProcess, valkey: ServerProcess) -> None:
    assert counted(server) == counted(valkey)


def test_a16_bytes_written_are_all_counted(server: ServerProcess) -> None:
    with server.connect() as wire:
        first = wire.call("INFO", "stats")
        before = int(parse_info(first.text)["total_net_output_bytes"])
        sent = len(first.raw) + sum(len(reply.raw) for reply in wire.pipeline([("ECHO", "x" * 1000)] * 50))
        after = int(parse_info(wire.call("INFO", "stats").text)["total_net_output_bytes"])
        assert after - before == sent


@pytest.mark.parametrize("section", ["stats"])
def test_a16_resetstat_zeroes_the_counters(start_server: StartServer, section: str) -> None:
    server = start_server("--maxmemory-clients", "200kb", "--client-query-buffer-limit", "1mb")
    only_ranvier(server.kind, "the names are compared elsewhere")
    with server.connect() as wire, server.connect() as admin:
        wire.send(encode_command("MULTI") + encode_command("ECHO", "x" * 8192) * 60)
        wire.read_to_end()
        admin.call("NOSUCH")
        assert parse_info(admin.call("INFO", section).text)["evicted_clients"] == "1"
        admin.call("CONFIG", "RESETSTAT")
        shown = parse_info(admin.call("INFO", section).text)
        for name in COUNTERS:
            assert int(shown[name]) <= {"total_net_input_bytes": 40}.get(name, 1), name
