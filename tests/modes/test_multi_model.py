"""Transactions as a model: random conversations of three clients, held against live Valkey reply by reply."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.process import ServerProcess
from harness.wire import Wire

CLIENTS = 3
LINES = (
    "multi", "multi", "exec", "exec", "discard", "watch a", "watch a b", "watch c", "unwatch", "reset", "nosuch", "get",
    "set a 1", "set b x", "incr a", "append b x", "del a", "del a b c", "rename a b", "copy a c", "move b 1", "get a",
    "mget a b c", "flushdb", "flushall", "swapdb 0 1", "select 1", "select 0", "expire a -1", "pexpire b 100000",
    "persist b", "rpush c 1", "lpop c", "lmove c a left left", "setnx a 1", "hello 3", "hello 2", "quit",
)  # fmt: skip
STEPS = st.lists(st.tuples(st.integers(0, CLIENTS - 1), st.sampled_from(LINES)), min_size=5, max_size=40)


def answer(wires: list[Wire], server: ServerProcess, number: int, line: str) -> bytes:
    """The reply; a client that quits comes back as a new one."""
    reply = wires[number].call(*line.split()).raw
    if line == "quit":
        wires[number].close()
        wires[number] = server.connect()
    return b"" if line.startswith("hello") and not reply.startswith(b"+QUEUED") else reply


def shown(wire: Wire) -> list[tuple[str, int, str | bool]]:
    """Flags, queued commands and watched keys of all clients but the one that asks."""
    found: list[tuple[str, int, str | bool]] = []
    for line in wire.call("CLIENT", "LIST").text.decode().splitlines():
        fields = dict(field.partition("=")[::2] for field in line.split())
        if fields["cmd"] != "client|list":
            # Whose watch is broken watches nothing; Valkey's FLUSHDB leaves that for later.
            broken = "d" in fields["flags"]
            found.append((fields["flags"], 0 if broken else max(0, int(fields["multi"])), broken or fields["watch"]))
    return found


def play(server: ServerProcess, steps: list[tuple[int, str]]) -> list[object]:
    seen: list[object] = []
    with server.connect() as observer:
        observer.call("FLUSHALL")
        wires = [server.connect() for _ in range(CLIENTS)]
        try:
            for number, line in steps:
                # An EXEC may hold HELLO, whose reply names the server.
                reply = answer(wires, server, number, line)
                seen.append((number, line, b"(hello)" if b"proto" in reply else reply))
            seen.append([wire.call("CLIENT", "ID").raw[:1] for wire in wires])
            seen.append(sorted(shown(observer), key=str))
        finally:
            for wire in wires:
                wire.close()
    return seen


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(steps=STEPS)
def test_a13_random_conversations_go_as_on_valkey(
    server: ServerProcess, valkey: ServerProcess, steps: list[tuple[int, str]]
) -> None:
    assert play(server, steps) == play(valkey, steps)
