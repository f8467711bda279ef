"""The memory of clients: counted exactly, shown, and limited by evicting the largest (lifecycle A9, A16)."""

import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from harness.memory import (
    drop_garbage,
    hear_log,
    memory_client,
    memory_server,
    received,
    socket_client,
    turn,
    used_bytes,
)
from harness.process import ServerProcess, StartServer
from harness.waiting import eventually
from harness.wire import Wire, encode_command
from ranvier import limits
from ranvier.engine.client import ClientHandle
from ranvier.observe.info import render
from ranvier.server.server import Server

KILOBYTE = 1024
PING, PONG = encode_command("PING"), b"+PONG\r\n"


class Room:
    """A server in memory with clients on sockets, by name; `log` is what it has said."""

    def __init__(self, server: Server, stack: ExitStack) -> None:
        self.server = server
        self.stack = stack
        self.peers: dict[str, socket.socket] = {}
        self.handles: dict[str, ClientHandle] = {}
        self.log = hear_log(server)

    def enter(self, *names: str, send_buffer_bytes: int | None = None) -> None:
        for name in names:
            self.peers[name] = self.stack.enter_context(
                socket_client(self.server, send_buffer_bytes=send_buffer_bytes)
            )
            self.handles[name] = self.server.engine.clients[-1]
            self.handles[name].name = name.encode()

    def send(self, name: str, data: bytes) -> None:
        """Send all of it, turning while the socket is full, and until all of it has been read."""
        turns = len(data) // limits.READ_MINIMUM_BYTES + 2
        while data:
            try:
                data = data[self.peers[name].send(data) :]
            except BlockingIOError:
                turn(self.server)
            except OSError:
                break                # it is gone: what the test is about
        turn(self.server, turns)

    def queue(self, name: str, size: int) -> None:
        """Have the client hold about so much memory, in a transaction."""
        piece = 8 * KILOBYTE
        self.send(name, encode_command("MULTI") + encode_command("ECHO", "x" * piece) * (size // piece))
        received(self.peers[name])

    def size(self, name: str) -> int:
        return int(self.handles[name].describe()["tot-mem"])

    def there(self) -> str:
        return "".join(name for name, handle in self.handles.items() if not handle.closed)

    def evicted(self) -> list[str]:
        """Names of the evicted, in their order, by the log."""
        lines = [line for line in self.log if line.startswith("Evicting client: ")]
        assert len(lines) == self.server.engine.statistics()["evicted_clients"]
        return [dict(word.split("=", 1) for word in line.split()[2:])["name"] for line in lines]

    def info(self, section: str) -> dict[str, str]:
        lines = render(self.server.figures, [section]).split("\r\n")[1:-1]
        return dict(line.split(":", 1) for line in lines)

    def limit(self, value: str) -> None:
        with memory_client(self.server) as admin:
            assert admin.talk(encode_command("CONFIG", "SET", "maxmemory-clients", value)) == b"+OK\r\n"

    def limit_above(self, room_bytes: int) -> None:
        """A limit with so much room above what clients hold now."""
        self.limit(str(self.server.engine.client_memory.bytes_of_clients + room_bytes))


@pytest.fixture
def room() -> Iterator[Room]:
    with ExitStack() as stack:
        yield Room(stack.enter_context(memory_server()), stack)


# ---- the account ----------------------------------------------------------------------------------------------------

HOLDINGS = {
    "query buffer": (encode_command("ECHO", "x" * 20_000)[:-1], 20_000),
    "big argument": (encode_command("ECHO", "x" * 90_000)[:-1], 90_000),
    "reply": (encode_command("GET", "k") * 4, 3 * 200_000),
    "queued commands": (encode_command("MULTI") + encode_command("ECHO", "x" * 10_000) * 5, 50_000),
    "queued big argument": (encode_command("MULTI") + encode_command("ECHO", "x" * 90_000), 90_000),
    "watched keys": (encode_command("WATCH", *(f"key{n:0200}" for n in range(100))), 20_000),
    "channels": (encode_command("SUBSCRIBE", *(f"channel{n}" for n in range(1000))), 50_000),
    "blocked request": (encode_command("BLPOP", *(f"key{n:0200}" for n in range(100)), 0), 20_000),
    "blocked and sending": (encode_command("BLPOP", "list", 0) + b"PING\r\n" * 5000, 30_000),
}


@pytest.mark.parametrize("holding", HOLDINGS)
def test_a9_1_whatever_a_client_holds_is_counted(room: Room, holding: str) -> None:
    data, least = HOLDINGS[holding]
    with memory_client(room.server) as other:
        other.talk(encode_command("SET", "k", "v" * 200_000))
    before = used_bytes(room.server)
    room.enter("a", send_buffer_bytes=4096)
    empty = room.size("a")
    room.send("a", data)
    grown = room.size("a") - empty
    assert grown >= least
    # As much as the allocator gave; but values that replies refer to lie in the keyspace, keys and channels in tables.
    if holding not in ("reply", "watched keys", "channels", "blocked request"):
        assert abs(used_bytes(room.server) - before - empty - grown) < 2048
    room.handles["a"].close()
    turn(room.server)
    assert room.server.engine.client_memory.bytes_of_clients == 0


def test_a9_1_an_idle_client_holds_its_struct_alone(room: Room) -> None:
    """A2-3: neither a query buffer nor a block of replies."""
    room.enter("a")
    room.send("a", PING * 10)
    described = room.handles["a"].describe()
    assert (described["qbuf"], described["qbuf-free"], described["rbs"], described["omem"]) == (0, 0, 0, 0)
    assert described["tot-mem"] < 2 * KILOBYTE


def test_a9_1_the_arguments_of_the_running_command_are_counted(room: Room) -> None:
    seen = []
    room.enter("a")
    room.server.observe(on_change=lambda *_: seen.append(room.handles["a"].describe()))
    empty = room.size("a")
    room.send("a", encode_command("APPEND", "k", "x" * 100_000))
    (during,) = seen
    assert during["argv-mem"] == len("APPEND") + len("k") + 100_000
    assert 100_000 < during["tot-mem"] - empty < 250_000
    assert room.size("a") == empty


def test_a5_5_a_message_is_charged_to_everyone_who_waits_for_it(room: Room) -> None:
    """Lesson 10."""
    room.enter("a", "b", send_buffer_bytes=4096)
    for name in "ab":
        room.send(name, encode_command("SUBSCRIBE", "c"))
    with memory_client(room.server) as other:
        for _ in range(20):
            other.talk(encode_command("PUBLISH", "c", "m" * 100_000))
    turn(room.server)
    assert min(room.size("a"), room.size("b")) > 1_800_000


def test_a16_mem_clients_is_the_sum_of_the_clients(room: Room) -> None:
    room.enter("a", "b")
    room.queue("a", 300 * KILOBYTE)
    room.send("b", encode_command("SUBSCRIBE", "c"))
    memory = room.info("memory")
    assert int(memory["mem_clients_normal"]) == room.size("a") + room.size("b")
    assert memory["mem_clients_slaves"] == "0"
    assert int(memory["used_memory_overhead"]) == int(memory["used_memory_startup"]) + room.size("a") + room.size("b")


def test_a9_1_the_running_total_is_the_sum_of_the_clients() -> None:
    """After any turn, whatever clients do, whoever comes or goes."""
    generator = random.Random(9)
    with ExitStack() as stack:
        room = Room(stack.enter_context(memory_server(maxmemory_clients="1gb")), stack)
        room.enter(*"abcdef", send_buffer_bytes=4096)
        with memory_client(room.server) as other:
            other.talk(encode_command("SET", "k", "v" * 40_000))
        acts = [
            PING * 3, encode_command("GET", "k"), encode_command("MULTI"), encode_command("ECHO", "x" * 3000),
            encode_command("DISCARD"), encode_command("EXEC"), encode_command("WATCH", "k", "l", "m"),
            encode_command("SET", "m", 1), encode_command("UNWATCH"), encode_command("SUBSCRIBE", "c", "d"),
            encode_command("UNSUBSCRIBE"), encode_command("PUBLISH", "c", "m" * 30_000),
            encode_command("BLPOP", "list", 0), encode_command("RPUSH", "list", "e"), encode_command("RESET"),
            encode_command("ECHO", "y" * 50_000), encode_command("LRANGE", "list", 0, -1),
        ]  # fmt: skip
        late = "ghijklmno"
        for step in range(600):
            name = generator.choice(list(room.peers))
            data = generator.choice(acts)
            with suppress(OSError):
                room.peers[name].send(data)
            if generator.random() < 0.3:
                received(room.peers[generator.choice(list(room.peers))])
            if generator.random() < 0.02:
                room.peers.pop(name).close()
                room.enter(late[step % len(late)], send_buffer_bytes=4096)
            turn(room.server)
            # Another's write may have freed watches, which the periodic look sees.
            room.server.engine.check_clients(100)
            sizes = [client.describe()["tot-mem"] for client in room.server.engine.clients if client.fd >= 0]
            assert room.server.engine.client_memory.counted_bytes == sum(sizes), step
        room.limit("0")
        assert room.server.engine.client_memory.counted_bytes == 0


# ---- who goes -------------------------------------------------------------------------------------------------------

def test_a9_2_the_largest_go_first_until_the_rest_is_under_the_limit(room: Room) -> None:
    room.enter(*"abcd")
    for name, size in (("a", 40), ("b", 600), ("c", 150), ("d", 300)):
        room.queue(name, size * KILOBYTE)
    room.limit("450kb")
    turn(room.server)
    assert room.evicted() == ["b", "d"]
    assert room.there() == "ac"
    for name in "bd":
        assert received(room.peers[name]) == (b"", "ended")
    assert room.info("stats")["evicted_clients"] == "2"
    assert room.handles["b"].close_reason == "evicted"
    line = next(line for line in room.log if "name=b " in line)
    assert "fd=-1" not in line, "the line shows the client as it was"
    room.send("a", encode_command("DISCARD"))
    assert received(room.peers["a"]) == (b"+OK\r\n", "open")


def test_a9_2_in_a_bucket_the_first_goes_first(room: Room) -> None:
    """Buckets are powers of two: what differs by less does not decide."""
    room.limit("1mb")
    room.enter(*"abc")
    for name, size in (("b", 280), ("c", 500), ("a", 300)):
        room.queue(name, size * KILOBYTE)
    assert room.evicted() == ["b"]
    room.enter("d")
    room.queue("d", 400 * KILOBYTE)
    assert room.evicted() == ["b", "c"]


def test_a9_2_who_grows_leaves_its_bucket(room: Room) -> None:
    room.limit("1mb")
    room.enter(*"ab")
    room.queue("a", 300 * KILOBYTE)
    room.queue("b", 280 * KILOBYTE)
    room.send("b", encode_command("ECHO", "x" * 8192) * 40)
    room.enter("c")
    room.queue("c", 200 * KILOBYTE)
    assert room.evicted() == ["b"]


def test_a9_2_who_shrinks_is_forgiven(room: Room) -> None:
    room.limit("1mb")
    room.enter(*"abc")
    room.queue("a", 900 * KILOBYTE)
    room.send("a", encode_command("DISCARD"))
    room.queue("b", 500 * KILOBYTE)
    room.queue("c", 400 * KILOBYTE)
    assert room.evicted() == []
    assert room.there() == "abc"


def test_a9_2_nothing_of_the_evicted_runs_or_is_answered(room: Room) -> None:
    """It is the running client itself: the next command of its pipeline finds the door closed."""
    room.limit("200kb")
    room.enter("a")
    room.send("a", b"".join([
        encode_command("SET", "before", 1), encode_command("MULTI"), encode_command("ECHO", "x" * 8192) * 40,
        encode_command("DISCARD"), encode_command("SET", "after", 1),
    ]))
    assert room.evicted() == ["a"]
    with memory_client(room.server) as other:
        assert other.talk(encode_command("EXISTS", "before", "after")) == b":1\r\n"
    answered, state = received(room.peers["a"])
    assert set(answered.split(b"\r\n")) <= {b"+OK", b"+QUEUED", b""}
    assert state in ("ended", "reset")


def test_a9_2_another_goes_before_the_next_command(room: Room) -> None:
    """One client's replies push the limit; a larger one is evicted before its pipeline goes on (A4-10)."""
    room.limit("600kb")
    room.enter("a", "b", send_buffer_bytes=4096)
    room.queue("a", 400 * KILOBYTE)
    with memory_client(room.server) as other:
        other.talk(encode_command("SET", "k", "v" * 50_000))
    room.send("b", encode_command("GET", "k") * 5 + encode_command("CLIENT", "LIST") + PING)
    assert room.evicted() == ["a"]
    replies = b""
    while not replies.endswith(PONG):
        replies += received(room.peers["b"])[0]
        turn(room.server)
    assert replies.count(b"$50000\r\n") == 5
    assert b"name=b " in replies
    assert b"name=a " not in replies, "it was gone when CLIENT LIST ran"


def test_a9_2_input_that_waits_counts(room: Room) -> None:
    """Of a client that is blocked: nothing of it is parsed, and nothing runs to notice."""
    room.limit("200kb")
    room.enter("a", "b")
    room.send("a", encode_command("BLPOP", "list", 0) + PING * 5000)
    assert room.there() == "ab"
    room.send("a", PING * 15_000)
    assert room.evicted() == ["a"]
    assert room.info("clients")["blocked_clients"] == "0"


def test_a9_2_messages_count(room: Room) -> None:
    room.limit("500kb")
    room.enter("a", "b", send_buffer_bytes=4096)
    for name in "ab":
        room.send(name, encode_command("SUBSCRIBE", name))
    with memory_client(room.server) as other:
        for _ in range(10):
            other.talk(encode_command("PUBLISH", "a", "m" * 100_000) + encode_command("PUBLISH", "b", "small"))
            turn(room.server)
    assert room.evicted() == ["a"]
    assert room.info("clients")["pubsub_clients"] == "1"


def test_a9_1_the_least_limit_is_128_kb(room: Room) -> None:
    room.limit("1")
    room.enter("a")
    room.queue("a", 100 * KILOBYTE)
    assert room.there() == "a"
    room.send("a", encode_command("ECHO", "x" * 8192) * 5)
    assert room.evicted() == ["a"]


def test_a9_1_a_percentage_of_maxmemory(room: Room) -> None:
    room.limit("50%")
    room.enter("a", "b")
    room.queue("a", 400 * KILOBYTE)
    assert room.there() == "ab", "a percentage of no limit is no limit"
    with memory_client(room.server) as admin:
        assert admin.talk(encode_command("CONFIG", "SET", "maxmemory", "1mb")) == b"+OK\r\n"
        room.queue("b", 60 * KILOBYTE)
        assert room.there() == "ab"
        assert admin.talk(encode_command("CONFIG", "SET", "maxmemory", "800kb")) == b"+OK\r\n"
    turn(room.server)
    assert room.evicted() == ["a"]


def test_a9_3_no_evict_stays_and_pushes_the_others_out(room: Room) -> None:
    """As on the reference servers: everybody else goes, a newcomer behind its first reply."""
    room.enter("a", "b")
    room.handles["a"].no_evict = True
    room.send("b", PING)
    room.queue("a", 900 * KILOBYTE)
    room.limit("300kb")          # all at once: while it fills up, the last bytes over the limit may be b's
    turn(room.server)
    assert room.there() == "a"
    assert room.evicted() == ["b"]
    assert "Over client maxmemory after evicting all evictable clients" in room.log
    room.enter("c")
    room.send("c", PING)
    assert received(room.peers["c"]) == (PONG, "ended")
    assert room.evicted() == ["b", "c"]
    room.handles["a"].no_evict = False
    room.send("a", encode_command("DISCARD") + PING)
    assert received(room.peers["a"])[0] == b"+OK\r\n" + PONG
    room.enter("d")
    room.send("d", PING)
    assert received(room.peers["d"]) == (PONG, "open")


def test_a9_3_while_only_the_exempt_hold_too_much_nothing_is_due(room: Room) -> None:
    """No client, no gate, no line in the log: nobody pays for a limit that cannot be kept."""
    room.limit("300kb")
    room.enter("a")
    room.handles["a"].no_evict = True
    room.queue("a", 900 * KILOBYTE)
    room.log.clear()
    room.send("a", encode_command("DISCARD"))
    for _ in range(50):
        room.send("a", PING)
    assert room.log == []
    assert room.there() == "a"


def test_a9_3_a_client_without_a_socket_is_neither_counted_nor_evicted(room: Room) -> None:
    room.limit("200kb")
    with memory_client(room.server) as inside:
        inside.talk(encode_command("MULTI") + encode_command("ECHO", "x" * 8192) * 100)
        turn(room.server)
        assert not inside.handle.closed
        assert room.server.engine.client_memory.counted_bytes == 0


def test_lesson_1_a_waiting_client_is_evicted_while_its_queue_is_served(room: Room) -> None:
    """EXEC makes a key ready and its replies push the limit: the second in the key's queue is the largest of all."""
    room.enter("first", "second", "third")
    room.enter("pusher", send_buffer_bytes=4096)
    for name in ("first", "second", "third"):
        room.send(name, encode_command("BLPOP", "list", 0))
    room.send("second", PING * 60_000)
    room.limit_above(200_000)
    with memory_client(room.server) as other:
        other.talk(encode_command("SET", "k", "v" * 100_000))
    assert room.evicted() == []
    room.send("pusher", b"".join([
        encode_command("MULTI"), encode_command("GET", "k") * 4, encode_command("RPUSH", "list", "1", "2"),
        encode_command("EXEC"),
    ]))
    assert room.evicted() == ["second"]
    answers = [received(room.peers[name])[0] for name in ("first", "second", "third")]
    assert answers == [b"*2\r\n$4\r\nlist\r\n$1\r\n1\r\n", b"", b"*2\r\n$4\r\nlist\r\n$1\r\n2\r\n"]
    assert room.info("clients")["total_blocking_keys"] == "0"


def test_lesson_1_the_client_that_is_served_is_the_one_evicted(room: Room) -> None:
    """Its request is not run again, so the element stays for the next."""
    room.enter("first", "second")
    room.enter("pusher", send_buffer_bytes=4096)
    for name in ("first", "second"):
        room.send(name, encode_command("BLPOP", "list", 0))
    room.send("first", PING * 60_000)
    room.limit_above(200_000)
    with memory_client(room.server) as other:
        other.talk(encode_command("SET", "k", "v" * 100_000))
    room.send("pusher", b"".join([
        encode_command("MULTI"), encode_command("GET", "k") * 4, encode_command("RPUSH", "list", "1"),
        encode_command("EXEC"),
    ]))
    assert room.evicted() == ["first"]
    assert [received(room.peers[name])[0] for name in ("first", "second")] == [
        b"", b"*2\r\n$4\r\nlist\r\n$1\r\n1\r\n"
    ]


def test_lesson_1_clients_evicted_while_a_pause_ends(room: Room) -> None:
    room.enter(*"abc")
    with memory_client(room.server) as admin:
        admin.talk(encode_command("CLIENT", "PAUSE", 1000, "WRITE"))
        for name, size in (("a", 1000), ("b", 30_000), ("c", 1000)):
            room.send(name, encode_command("RPUSH", "list", name) + PING * size)
        room.limit("200kb")
        admin.talk(encode_command("CLIENT", "UNPAUSE"))
    turn(room.server, 2)
    assert room.evicted() == ["b"]
    with memory_client(room.server) as other:
        assert other.talk(encode_command("LRANGE", "list", 0, -1)) == b"*2\r\n$1\r\na\r\n$1\r\nc\r\n"


def test_a8_17_the_account_is_empty_when_all_are_gone(room: Room) -> None:
    before = used_bytes(room.server)
    room.limit("10mb")
    room.enter(*"abcdef", send_buffer_bytes=4096)
    for name in "abcdef":
        room.queue(name, 100 * KILOBYTE)
    room.peers["a"].close()
    room.handles["b"].close()
    room.send("c", encode_command("QUIT"))
    room.peers["d"].shutdown(socket.SHUT_WR)
    room.send("e", b"*x\r\n")
    room.peers["e"].close()
    room.limit("128kb")
    turn(room.server, 3)
    assert room.server.engine.client_count <= 1
    room.peers["f"].close()
    turn(room.server, 2)
    assert room.server.engine.client_count == 0
    assert room.server.engine.client_memory.counted_bytes == 0
    drop_garbage(room.server)
    assert used_bytes(room.server) - before < 4096


def test_a9_while_the_option_is_off_nothing_is_counted(room: Room) -> None:
    room.enter("a")
    room.queue("a", 500 * KILOBYTE)
    assert room.server.engine.client_memory.counted_bytes == 0
    room.limit("1mb")
    assert room.server.engine.client_memory.counted_bytes == room.size("a")
    room.limit("0")
    turn(room.server)
    assert room.there() == "a"
    assert room.server.engine.client_memory.counted_bytes == 0


# ---- beside the reference -------------------------------------------------------------------------------------------

def survivors(server: ServerProcess) -> list[str]:
    """Who is left after each of a row of falling limits."""
    # Each in a bucket of its own, by far: Valkey keeps some 64 KB more for a client that has just sent a pipeline.
    sizes = {"tiny": 5, "small": 13, "middle": 28, "large": 60, "huge": 130}
    found = []
    with ExitStack() as stack:
        for name, count in sizes.items():
            wire = stack.enter_context(server.connect())
            wire.call("CLIENT", "SETNAME", name)
            wire.pipeline([("MULTI",), *([("ECHO", "x" * 30_000)] * count)])
        admin: Wire = stack.enter_context(server.connect())
        for limit in ("10mb", "5mb", "2mb", "1mb"):
            assert admin.call("CONFIG", "SET", "maxmemory-clients", limit).raw == b"+OK\r\n"
            admin.call("PING")
            lines = admin.call("CLIENT", "LIST").text.decode().splitlines()
            names = {line.split(" name=")[1].split(" ")[0] for line in lines}
            found.append(" ".join(name for name in sizes if name in names))
        admin.call("CONFIG", "SET", "maxmemory-clients", "0")
    return found


def test_a9_2_who_is_evicted_as_on_valkey(server: ServerProcess, valkey: ServerProcess) -> None:
    assert survivors(server) == survivors(valkey) == [
        "tiny small middle large huge", "tiny small middle large", "tiny small middle", "tiny small"
    ]


def test_a9_2_the_log_and_the_counter(start_server: StartServer) -> None:
    server = start_server("--maxmemory-clients", "200kb")
    with server.connect() as wire:
        wire.call("CLIENT", "SETNAME", "glutton")
        wire.send(encode_command("MULTI") + encode_command("ECHO", "x" * 8192) * 60)
        raw, _ = wire.read_to_end()
        assert set(raw.split(b"\r\n")) <= {b"+OK", b"+QUEUED", b""}
    assert server.info("stats")["evicted_clients"] == "1"
    eventually(lambda: "Evicting client: id=" in server.log(), "the log names who was evicted")
