"""LATENCY, COMMANDLOG, MEMORY and the run times of commands."""

from typing import Any

import pytest

from harness.memory import memory_client, memory_server, read_replies
from harness.wire import encode_command
from ranvier.commands.latency import _graph, _histogram
from ranvier.observe.info import render
from ranvier.observe.latency import SAMPLES, LatencyEvent, LatencyMonitor, percentiles
from ranvier.shells.memory import MemoryClient


def ask(client: MemoryClient, *words: str | int) -> Any:
    """The reply to a request, without its types."""
    (reply,) = read_replies(client.talk(encode_command(*words)))
    return reply.plain()


# ---- the monitor ----------------------------------------------------------------------------------------------------

def test_an_event_keeps_the_longest_of_each_second() -> None:
    monitor = LatencyMonitor()
    monitor.note("command", 50, 100)
    assert not monitor.events                    # off
    monitor.threshold_ms = 10
    for milliseconds, second in ((9, 100), (10, 100), (30, 101), (20, 101), (12, 103)):
        monitor.note("command", milliseconds, second)
    event = monitor.events["command"]
    assert event.samples == [(100, 10), (101, 30), (103, 12)]
    assert (event.longest_ms, event.total_ms, event.count) == (30, 72, 4)
    for second in range(200, 200 + 2 * SAMPLES):
        monitor.note("command", 11, second)
    assert len(event.samples) == SAMPLES
    monitor.note("expire-cycle", 11, 1)
    assert monitor.reset(["command", "nothing"]) == 1
    assert monitor.reset() == 1


# Valkey 9.1.2's drawing of these six seconds, and of a single one.
GRAPH = (
    "command - high 30 ms, low 3 ms (all time high 30 ms)\n" + "-" * 80 + "\n"
    "  #   \n  | # \n o| | \n_||o|_\n      \n654321\nssssss\n"
)
SHORT_GRAPH = "command - high 12 ms, low 12 ms (all time high 12 ms)\n" + "-" * 80 + "\n \n \n \n_\n \n0\ns\n"


def test_the_graph_is_drawn_as_the_reference_draws_it() -> None:
    values = (5, 12, 30, 7, 21, 3)
    event = LatencyEvent([(100 + i, value) for i, value in enumerate(values)], 30, sum(values), 6)
    assert _graph("command", event, 106) == GRAPH
    assert _graph("command", LatencyEvent([(100, 12)], 12, 12, 1), 100) == SHORT_GRAPH


def test_slow_commands_become_events() -> None:
    with memory_server(**{"latency-monitor-threshold": "1", "enable-debug-command": "yes"}) as server, \
            memory_client(server) as client:
        ask(client, "DEBUG", "SLEEP", "0.003")
        (name, when, latest, longest, total, count), = ask(client, "LATENCY", "LATEST")
        assert (name, when, count) == (b"command", server.clock.wall_ms() // 1000, 1)
        assert latest == longest == total >= 3
        assert ask(client, "LATENCY", "HISTORY", "command") == [[when, latest]]
        assert ask(client, "LATENCY", "HISTORY", "fork") == []
        assert ask(client, "LATENCY", "RESET", "command") == 1
        assert ask(client, "LATENCY", "LATEST") == []
        assert ask(client, "LATENCY", "GRAPH", "command") == b"ERR No samples available for event 'command'"


def test_the_doctor_has_something_to_say() -> None:
    with memory_server(**{"enable-debug-command": "yes"}) as server, memory_client(server) as client:
        assert b"is off" in ask(client, "LATENCY", "DOCTOR")
        ask(client, "CONFIG", "SET", "latency-monitor-threshold", 1)
        assert b"1 milliseconds" in ask(client, "LATENCY", "DOCTOR")
        ask(client, "DEBUG", "SLEEP", "0.003")
        assert b"1. command: 1 times" in ask(client, "LATENCY", "DOCTOR")


# ---- run times ------------------------------------------------------------------------------------------------------

def test_the_histogram_counts_up_to_each_step_of_two() -> None:
    counts = [(900, 2), (1023, 1), (1100, 4), (70_000, 1), (5_000_000_000, 1)]
    assert _histogram(counts) == {b"calls": 9, b"histogram_usec": {1: 3, 2: 7, 132: 8, 1082130: 9}}


def test_percentiles() -> None:
    counts = [(1000, 50), (2000, 49), (9000, 1)]
    assert percentiles(counts, (0.0, 50.0, 99.0, 99.9, 100.0)) == {0.0: 1, 50.0: 1, 99.0: 2, 99.9: 9, 100.0: 9}
    assert percentiles([], (50.0,)) == {}


@pytest.mark.parametrize("one_by_one", [False, True])
def test_every_call_is_counted_alone_or_in_groups(one_by_one: bool) -> None:
    with memory_server() as server, memory_client(server) as client:
        if one_by_one:
            ask(client, "CONFIG", "SET", "slowlog-log-slower-than", 0)
        client.talk(encode_command("SET", "k", "v") * 45 + encode_command("GET", "k") * 7 + encode_command("KEYS", "*"))
        found = ask(client, "LATENCY", "HISTOGRAM", "set", "get", "keys", "config", "nothing", "lpush")
        by_name = {found[i]: found[i + 1] for i in range(0, len(found), 2)}
        calls = {name: figures[1] for name, figures in by_name.items() if not name.startswith(b"config")}
        assert calls == {b"set": 45, b"get": 7, b"keys": 1}
        for figures in by_name.values():
            assert figures[3][-1] == figures[1]
        assert set(by_name) - set(calls) == ({b"config|set"} if one_by_one else set())
        lines = render(server.figures, ["latencystats"]).split("\r\n")
        assert any(line.startswith("latency_percentiles_usec_set:p50=") and ",p99.9=" in line for line in lines)
        ask(client, "CONFIG", "RESETSTAT")
        assert ask(client, "LATENCY", "HISTOGRAM", "set") == []


def test_run_times_are_not_counted_when_nobody_wants_them() -> None:
    with memory_server(**{"latency-tracking": "no"}) as server, memory_client(server) as client:
        client.talk(encode_command("SET", "k", "v") * 45)
        assert ask(client, "LATENCY", "HISTOGRAM") == []
        assert render(server.figures, ["latencystats"]) == "# Latencystats\r\n"


# ---- logs of commands -----------------------------------------------------------------------------------------------

def test_large_requests_and_replies_are_kept_apart() -> None:
    options = {"commandlog-request-larger-than": "100", "commandlog-reply-larger-than": "200"}
    with memory_server(**options) as server, memory_client(server) as client:
        ask(client, "CLIENT", "SETNAME", "me")
        ask(client, "SET", "k", "v" * 300)
        ask(client, "GET", "k")
        ask(client, "SET", "k", "v")
        (entry,) = ask(client, "COMMANDLOG", "GET", -1, "large-request")
        assert entry[2] == len(encode_command("SET", "k", "v" * 300))
        assert entry[3] == [b"SET", b"k", b"v" * 128 + b"... (172 more bytes)"]
        assert entry[5] == b"me"
        _, entry = ask(client, "COMMANDLOG", "GET", -1, "LARGE-REPLY")    # the log above is large, too
        assert (entry[2], entry[3]) == (len(b"$300\r\n\r\n") + 300, [b"GET", b"k"])
        assert ask(client, "COMMANDLOG", "LEN", "slow") == 0
        assert ask(client, "COMMANDLOG", "RESET", "large-reply") == b"OK"
        assert ask(client, "COMMANDLOG", "LEN", "large-reply") == 0
        assert ask(client, "COMMANDLOG", "LEN", "large-request") == 1
        ask(client, "CONFIG", "SET", "commandlog-large-request-max-len", 0)
        assert ask(client, "COMMANDLOG", "LEN", "large-request") == 0


def test_a_threshold_is_met_by_the_exact_size() -> None:
    size = len(encode_command("SET", "key", "value"))
    for threshold, kept in ((size, 1), (size + 1, 0), (-1, 0)):
        with memory_server(**{"commandlog-request-larger-than": str(threshold)}) as server, \
                memory_client(server) as client:
            client.talk(encode_command("SET", "key", "value"))
            log = server.command_logs["large-request"]
            assert [entry.args[0] for entry in log.newest(-1)] == [b"SET"] * kept


def test_a_big_argument_and_a_transaction_are_noticed() -> None:
    with memory_server() as server, memory_client(server) as client:
        ask(client, "SET", "k", "v" * 2_000_000)
        client.talk(b"MULTI\r\nGET k\r\nEXEC\r\n")
        assert [entry.args[0] for entry in server.command_logs["large-request"].newest(-1)] == [b"SET"]
        # EXEC is left out of the logs: what it runs is not.
        assert [entry.args[0] for entry in server.command_logs["large-reply"].newest(-1)] == [b"GET"]


def test_unknown_logs_and_counts() -> None:
    with memory_server() as server, memory_client(server) as client:
        wrong = b"ERR type should be one of the following: slow, large-request, large-reply"
        for words in (("GET", 1, "x"), ("LEN", "x"), ("RESET", "x")):
            assert wrong == ask(client, "COMMANDLOG", *words)
        for count in ("-2", "x"):
            reply = ask(client, "COMMANDLOG", "GET", count, "slow")
            assert reply == b"ERR count should be greater than or equal to -1"


# ---- memory ---------------------------------------------------------------------------------------------------------

def test_memory_statistics_add_up() -> None:
    with memory_server() as server, memory_client(server) as client:
        client.talk(b"".join(encode_command("SET", f"key{n}", "v" * 50, "EX", 1000) for n in range(1000)))
        reply = ask(client, "MEMORY", "STATS")
        figures = {reply[i]: reply[i + 1] for i in range(0, len(reply), 2)}
        assert figures[b"keys.count"] == 1000
        assert figures[b"dataset.bytes"] == figures[b"total.allocated"] - figures[b"overhead.total"]
        assert 50 < figures[b"keys.bytes-per-key"] < 1000
        assert figures[b"db.0"][0] == b"overhead.hashtable.main"
        assert figures[b"db.0"][1] >= 1000 * 8
        assert figures[b"db.0"][3] >= 1000 * 8
        assert float(figures[b"peak.percentage"]) <= 100
        assert ask(client, "MEMORY", "PURGE") == b"OK"
        assert b"very little" in ask(client, "MEMORY", "DOCTOR")
        assert ask(client, "MEMORY", "MALLOC-STATS") == b"Stats not supported for the current allocator"


def test_a_new_name_is_a_new_key_for_the_access_clock() -> None:
    with memory_server(**{"maxmemory-policy": "allkeys-lfu"}) as server, memory_client(server) as client:
        ask(client, "SET", "x", "1")
        client.talk(encode_command("GET", "x") * 50)
        assert ask(client, "OBJECT", "FREQ", "x") > 5
        ask(client, "RENAME", "x", "y")
        assert ask(client, "OBJECT", "FREQ", "y") == 5
        client.talk(encode_command("GET", "y") * 50)
        ask(client, "MOVE", "y", 1)
        client.talk(b"SELECT 1\r\n")
        assert ask(client, "OBJECT", "FREQ", "y") == 5
