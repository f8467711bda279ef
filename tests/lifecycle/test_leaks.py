"""A thousand connections in each of many ways leave descriptors, clients, threads and memory where they were."""

from collections.abc import Callable, Iterator

import pytest

from harness.process import ServerProcess, parse_info
from harness.waiting import eventually
from harness.wire import Wire, encode_command

WARM_UP_ROUNDS = 300
ROUNDS = 1000
# A leak of one hundred bytes per connection is found; the counted memory is exact, the resident size is not.
USED_MEMORY_SLACK_BYTES = 64 * 1024
RESIDENT_SLACK_BYTES = 4 * 1024 * 1024

Way = Callable[[Wire, Wire], None]


def fin(wire: Wire, _: Wire) -> None:
    wire.call("PING")
    wire.close()


def rst(wire: Wire, _: Wire) -> None:
    wire.call("PING")
    wire.reset()


def quit_(wire: Wire, _: Wire) -> None:
    wire.send_command("QUIT")
    assert wire.read_to_end() == (b"+OK\r\n", "eof")


def half_close(wire: Wire, _: Wire) -> None:
    wire.send(b"PING\r\n" * 50)
    wire.half_close()
    assert wire.read_to_end() == (b"+PONG\r\n" * 50, "eof")


def mid_request(wire: Wire, _: Wire) -> None:
    wire.send(b"PING\r\n*3\r\n$3\r\nSET\r\n$1\r\n")
    wire.reply()
    wire.close()


def mid_bulk(wire: Wire, _: Wire) -> None:
    wire.send(b"PING\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\n" + b"x" * 50_000)
    wire.reply()
    wire.close()


def unread_reply(wire: Wire, _: Wire) -> None:
    wire.send(encode_command("GET", "megabyte") * 5)
    wire.skip_exactly(100)
    wire.close()


def protocol_error(wire: Wire, _: Wire) -> None:
    wire.send(b"PING\r\n*x\r\n" + b"y" * 100)
    assert wire.read_to_end()[0].startswith(b"+PONG\r\n-ERR Protocol error")


def client_kill(wire: Wire, other: Wire) -> None:
    identity = wire.call("CLIENT", "ID").number
    assert other.call("CLIENT", "KILL", "ID", identity).raw == b":1\r\n"
    assert wire.read_to_end() == (b"", "eof")


def used_for_much(wire: Wire, _: Wire) -> None:
    """Names, databases, RESP3, large arguments and replies: everything a client can own by now."""
    wire.call("HELLO", "3", "SETNAME", "somebody")
    wire.call("CLIENT", "SETINFO", "LIB-NAME", "leaktest")
    wire.call("SELECT", "3")
    assert wire.call("ECHO", b"e" * 70_000).text == b"e" * 70_000
    wire.call("NOSUCH", b"n" * 1000)


def in_a_transaction(wire: Wire, _: Wire) -> None:
    """Gone inside MULTI, with keys watched, commands queued and a big argument among them."""
    wire.call("WATCH", "watched", "megabyte")
    wire.pipeline([("MULTI",), ("SET", "never", b"v" * 40_000), ("GET", "never")])
    wire.close()


def watching(wire: Wire, other: Wire) -> None:
    wire.call("WATCH", "watched", "touched")
    other.call("SETRANGE", "touched", 0, "x")
    wire.call("WATCH", "watched")
    wire.reset()


WAYS: dict[str, Way] = {
    "FIN": fin,
    "RST": rst,
    "QUIT": quit_,
    "half-close": half_close,
    "mid-request": mid_request,
    "mid-bulk": mid_bulk,
    "unread reply": unread_reply,
    "protocol error": protocol_error,
    "CLIENT KILL": client_kill,
    "used for much": used_for_much,
    "in a transaction": in_a_transaction,
    "watching": watching,
}


@pytest.fixture(scope="module")
def measured(server_kind: str) -> Iterator[ServerProcess]:
    """A server of this module's own, whose memory no other test moves."""
    server = ServerProcess(server_kind, ("--maxclients", "2000"))
    with server.connect() as wire:
        wire.call("SET", "megabyte", b"m" * (1 << 20))
    yield server
    assert server.is_running()
    assert server.stop() == 0, server.log()
    server.discard()


def all_are_gone(server: ServerProcess, other: Wire) -> bool:
    """Only `other` is connected, by the server's account and by the kernel's."""
    connected = parse_info(other.call("INFO", "clients").text)["connected_clients"]
    return connected == "1" and server.connection_count() == 1


def measure(server: ServerProcess, other: Wire) -> dict[str, int]:
    eventually(lambda: all_are_gone(server, other), "all clients are gone")
    return {
        "descriptors": len(server.descriptors()),
        "threads": server.thread_count(),
        "used memory": int(parse_info(other.call("INFO", "memory").text)["used_memory"]),
        "resident": server.resident_bytes(),
    }


def assert_nothing_left(before: dict[str, int], after: dict[str, int]) -> None:
    grown = {name: after[name] - before[name] for name in before}
    assert grown["descriptors"] == 0, grown
    assert grown["threads"] <= 0, grown
    assert grown["used memory"] < USED_MEMORY_SLACK_BYTES, grown
    assert grown["resident"] < RESIDENT_SLACK_BYTES, grown


@pytest.mark.parametrize("way", WAYS)
def test_a8_a_thousand_rounds_leave_nothing(way: str, measured: ServerProcess) -> None:
    figures = []
    with measured.connect() as other:
        for rounds in (WARM_UP_ROUNDS, ROUNDS):
            for _ in range(rounds):
                with measured.connect() as wire:
                    WAYS[way](wire, other)
            figures.append(measure(measured, other))
    assert_nothing_left(*figures)


def closed_while_idle(wires: list[Wire], other: Wire) -> bool:
    """Take out what the server has closed; true when none is left. `other` keeps itself busy."""
    assert other.call("PING").raw == b"+PONG\r\n"
    while wires and wires[-1].has_input():
        with wires.pop() as wire:
            assert wire.read_to_end() == (b"", "eof")
    return not wires


def test_a8_a_thousand_idle_clients_that_time_out_leave_nothing(measured: ServerProcess) -> None:
    figures = []
    with measured.connect() as other:
        for rounds in (ROUNDS, ROUNDS):
            wires = [measured.connect() for _ in range(rounds)]
            for wire in wires:
                wire.call("PING")
            other.call("CONFIG", "SET", "timeout", "1")
            eventually(lambda left=wires: closed_while_idle(left, other), "idle clients are closed")  # type: ignore[misc]
            other.call("CONFIG", "SET", "timeout", "0")
            figures.append(measure(measured, other))
    assert_nothing_left(*figures)
