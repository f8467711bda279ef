"""The n-th system call fails, for every n (lesson 21): whatever fails, one conversation ends at most.

The same conversation is held again and again, each time with another call of the server failing in another way, until
there is no n-th call any more. After each time: who was connected and silent is served, new connections are, nothing
of the conversation is left, and the log knows of no bug. `make faults` tries every error at every call; otherwise the
errors take turns.
"""

import errno
import os
from collections.abc import Iterator

import pytest

from harness.failing_calls import FailingCalls
from harness.process import ServerProcess, StartServer
from harness.programs import only_ranvier
from harness.waiting import eventually
from harness.wire import Wire, encode_command

EVERY_ERROR = bool(os.environ.get("RANVIER_EVERY_FAULT"))
MOST_CALLS = 400                # of one kind in the conversation: more means that it does not end
WAIT_SECONDS = 15.0

# call: the errors that it is documented to end with
ERRORS = {
    "accept4": ("EINTR", "ECONNABORTED", "EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "EPROTO", "EPERM", "EAGAIN"),
    "recv": ("EINTR", "EAGAIN", "ECONNRESET", "ETIMEDOUT", "ENOMEM"),
    "send": ("EINTR", "EAGAIN", "EPIPE", "ECONNRESET", "ENOBUFS", "ENOMEM"),
    "sendmsg": ("EINTR", "EAGAIN", "EPIPE", "ECONNRESET", "ENOBUFS", "ENOMEM"),
    "epoll_ctl": ("ENOMEM", "ENOSPC"),
    "epoll_wait": ("EINTR",),
    "setsockopt": ("EINVAL", "ENOBUFS"),
    "getsockname": ("ENOBUFS", "ENOTCONN"),
    "ioctl": ("ENOMEM",),
    "write": ("EINTR", "EAGAIN", "ENOSPC", "EIO"),
    "shutdown": ("ENOTCONN",),
    "close": ("EINTR", "EIO"),
}
AT_THE_START = {
    "epoll_create1": "EMFILE", "pipe2": "EMFILE", "epoll_ctl": "ENOSPC", "socket": "EMFILE", "setsockopt": "ENOBUFS",
    "bind": "EADDRINUSE", "listen": "EADDRINUSE",
}  # fmt: skip


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory, server_kind: str) -> FailingCalls:
    only_ranvier(server_kind, "its faults are its own")
    return FailingCalls(tmp_path_factory.mktemp("faults"))


@pytest.fixture
def failing(compiled: FailingCalls, monkeypatch: pytest.MonkeyPatch) -> FailingCalls:
    """Faults for the servers that the test starts."""
    for name, value in compiled.environment.items():
        monkeypatch.setenv(name, value)
    return compiled


@pytest.fixture
def fragile(failing: FailingCalls, start_server: StartServer) -> Iterator[ServerProcess]:
    """A server whose calls can be made to fail, with a value that no socket takes in one go."""
    server = start_server("--loglevel", "debug")
    with server.connect() as wire:
        wire.call("SET", "large", b"v" * 3_000_000)
    yield server
    failing.stop()


def talk(server: ServerProcess) -> None:
    """Everything that a conversation can be, over four connections; the end of any of them ends it."""
    with Wire(server.port, WAIT_SECONDS, receive_buffer_bytes=65_536) as one, Wire(server.port, WAIT_SECONDS) as two, \
            Wire(server.port, WAIT_SECONDS) as three:
        one.pipeline([("PING",), ("SET", "k", "v"), ("GET", "k"), ("NOSUCH",), ("ECHO", b"e" * 40_000)])
        two.send_command("BLPOP", "awaited", "0")
        three.call("SUBSCRIBE", "channel")
        one.call("PUBLISH", "channel", "hello")
        three.reply()
        one.send(encode_command("GET", "large") * 2 + encode_command("RPUSH", "awaited", "x"))
        for _ in range(2):
            assert len(one.reply().text) == 3_000_000
        one.reply()
        two.reply()
        one.pipeline([("MULTI",), ("INCR", "n"), ("WATCH", "n"), ("EXEC",)])
        two.send(b"QUIT\r\n")
        assert two.read_to_end() == (b"+OK\r\n", "eof")
        one.half_close()
        one.read_to_end()
        three.reset()
    with Wire(server.port, WAIT_SECONDS) as wire:
        wire.send(b"PING\r\n*x\r\n" + b"y" * 1000)
        wire.read_to_end()


def conversation_ends(server: ServerProcess) -> Exception | None:
    """What ends a conversation before its time: an end, never silence."""
    try:
        talk(server)
    except TimeoutError:
        raise AssertionError("somebody waits for ever") from None
    except (OSError, EOFError, AssertionError) as error:
        return error
    return None


def survives(server: ServerProcess, bystander: Wire, what: str) -> None:
    """The server is there, for those who were and those who come; nothing is left of those who left."""
    assert server.is_running(), what
    assert bystander.call("ECHO", what).text == what.encode(), what
    with server.connect() as newcomer:
        assert newcomer.call("PING").raw == b"+PONG\r\n", what
    bystander.pipeline([("DEL", "awaited", "k", "n")])

    def alone() -> bool:
        lines = bystander.call("INFO", "clients").text.decode().split("\r\n")
        info = dict(line.split(":", 1) for line in lines if ":" in line)
        return [info[name] for name in ("connected_clients", "blocked_clients", "pubsub_clients")] == ["1", "0", "0"]

    eventually(alone, f"everybody else is gone after {what}")


@pytest.mark.parametrize("call", ERRORS)
def test_lesson_21_the_nth_call_fails(call: str, failing: FailingCalls, fragile: ServerProcess) -> None:
    with fragile.connect() as bystander:
        bystander.call("PING")
        assert conversation_ends(fragile) is None
        survives(fragile, bystander, "no fault")
        descriptors = len(fragile.descriptors())
        for number in range(1, MOST_CALLS):
            names = ERRORS[call] if EVERY_ERROR else [ERRORS[call][number % len(ERRORS[call])]]
            hits = 0
            for name in names:
                failing.fail(call, number, getattr(errno, name))
                ended = conversation_ends(fragile)
                hit = failing.stop()
                assert hit or not ended, ended
                hits += hit
                survives(fragile, bystander, f"{call} number {number}: {name}")
                eventually(lambda: len(fragile.descriptors()) == descriptors, f"descriptors given back after {name}")
            if not hits:
                break
        assert number > 1, f"there was no {call} to fail"
        assert number < MOST_CALLS - 1
    assert "BUG" not in fragile.log()
    assert "Traceback" not in fragile.log()


@pytest.mark.parametrize("call", AT_THE_START)
def test_lesson_21_a_call_fails_at_the_start(call: str, failing: FailingCalls, server_kind: str) -> None:
    """The server starts without it, or says what is wrong and ends with 1."""
    ended = 0
    for number in range(1, 20):
        failing.fail(call, number, getattr(errno, AT_THE_START[call]))
        try:
            server = ServerProcess(server_kind)
        except AssertionError as refusal:
            assert failing.stop()
            assert "ended with status 1" in str(refusal)
            assert "Traceback" not in str(refusal)
            assert os.strerror(getattr(errno, AT_THE_START[call])) in str(refusal)
            ended += 1
            continue
        hit = failing.stop()
        assert server.stop() == 0
        server.discard()
        if not hit:
            break
    assert ended, f"there was no {call} to fail"


@pytest.mark.parametrize("error", ["ECONNABORTED", "EPROTO", "ENETDOWN", "EHOSTUNREACH", "EOPNOTSUPP", "EINTR"])
def test_lesson_18_a_failed_accept_does_not_end_the_batch(
    error: str, failing: FailingCalls, fragile: ServerProcess
) -> None:
    """Of one connection that is gone before it is accepted, the others notice nothing: no back-off, no log line."""
    with fragile.connect() as bystander:
        for number in (1, 2, 3):
            failing.fail("accept4", number, getattr(errno, error))
            wires = [fragile.connect() for _ in range(5)]
            for wire in wires:
                assert wire.call("PING").raw == b"+PONG\r\n"
            assert failing.stop()
            for wire in wires:
                wire.close()
        survives(fragile, bystander, error)
    assert "Accepting client connection" not in fragile.log()
