"""Raw requests of every kind, good and bad: what is answered, byte for byte, and whether the connection is closed."""

from collections.abc import Iterator

import pytest

from differential.protocol_cases import CASES, UNAUTHENTICATED_CASES, Case
from harness.process import ServerProcess, StartServer
from harness.wire import Wire

SENTINEL = b"*2\r\n$4\r\nECHO\r\n$8\r\nsentinel\r\n"
SENTINEL_REPLY = b"$8\r\nsentinel\r\n"
NOAUTH = b"-NOAUTH Authentication required.\r\n"


def case_id(case: Case) -> str:
    return f"{case.rule} {case.name}".replace(" ", "_")


def answers_until(wire: Wire, last: set[bytes], count: int) -> bytes:
    """The raw replies up to and including the `count`-th one in `last`."""
    raw = b""
    while count:
        reply = wire.reply().raw
        raw += reply
        count -= reply in last
    return raw


def exchange(server: ServerProcess, case: Case) -> tuple[bytes, str]:
    """Everything the server answers to the case, and what became of the connection."""
    with server.connect() as wire:
        wire.send(case.data)
        if case.outcome == "closes":
            raw, ending = wire.read_to_end()
            return raw, ending
        if case.outcome == "waits":
            server.settle()
            if wire.has_input():
                return wire.read_to_end()
            if not case.then:
                return b"", "silent"
            wire.send(case.then)
        wire.send(SENTINEL)
        return answers_until(wire, {SENTINEL_REPLY}, 1), "open"


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_a3(case: Case, server: ServerProcess, valkey: ServerProcess) -> None:
    ours, theirs = exchange(server, case), exchange(valkey, case)
    assert ours[0] == theirs[0]
    # Where Valkey resets because it left input unread, Ranvier closes in order (A3-17).
    assert ours[1] == ("eof" if theirs[1] == "reset" else theirs[1])
    assert ours[1] == {"answers": "open", "closes": "eof", "waits": "open" if case.then else "silent"}[case.outcome]


@pytest.mark.parametrize("case", [case for case in CASES if case.cuttable], ids=case_id)
def test_a3_one_byte_at_a_time(case: Case, server: ServerProcess, valkey: ServerProcess) -> None:
    """How the bytes are cut changes nothing."""
    if len(case.data) > 2000:
        data = [case.data[:1000], *(bytes([byte]) for byte in case.data[1000:1030]), case.data[1030:]]
    else:
        data = [bytes([byte]) for byte in case.data]
    with server.connect() as wire:
        for piece in data:
            wire.send(piece)
        if case.outcome == "waits":
            server.settle()
            assert not wire.has_input()
            return
        if case.outcome == "closes":
            assert wire.read_to_end()[0] == exchange(valkey, case)[0]
            return
        wire.send(SENTINEL)
        assert answers_until(wire, {SENTINEL_REPLY}, 1) == exchange(valkey, case)[0]


@pytest.fixture(scope="module")
def locked_pair(server_kind: str) -> Iterator[tuple[ServerProcess, ServerProcess]]:
    """Both servers with a password."""
    pair = ServerProcess(server_kind, ("--requirepass", "secret")), ServerProcess("valkey", ("--requirepass", "secret"))
    yield pair
    for server in pair:
        assert server.stop() == 0, server.log()
        server.discard()


@pytest.mark.parametrize("case", UNAUTHENTICATED_CASES, ids=case_id)
def test_unauthenticated(case: Case, locked_pair: tuple[ServerProcess, ServerProcess]) -> None:
    """A14-2, lesson 12."""
    ours, theirs = (locked_exchange(server, case) for server in locked_pair)
    assert ours == theirs


def locked_exchange(server: ServerProcess, case: Case) -> tuple[bytes, str]:
    with server.connect() as wire:
        wire.send(case.data)
        if case.outcome == "closes":
            return wire.read_to_end()
        wire.send(SENTINEL)
        wire.half_close()
        raw, ending = wire.read_to_end()
    lines = [line for line in raw.split(b"\r\n") if not line.isdigit()]
    if b"proto" in raw:                        # HELLO's own map names version and id
        return b"\r\n".join(line for line in lines if not line.startswith(b":")), ending
    return raw, ending


def test_a2_05_password_lifts_the_limits(start_server: StartServer) -> None:
    server = start_server("--requirepass", "secret")
    with server.connect() as wire:
        assert wire.call("AUTH", "secret").raw == b"+OK\r\n"
        assert wire.call("DEL", *["k"] * 50).raw == b":0\r\n"
        assert wire.call("ECHO", b"e" * 20000).text == b"e" * 20000
