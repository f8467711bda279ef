"""Blocked clients (lifecycle A2-7, A7-5, A8, A11, A13): in memory with a virtual clock, over sockets, beside Valkey."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from harness.memory import (
    drop_garbage,
    memory_client,
    memory_server,
    received,
    socket_client,
    turn,
    used_bytes,
)
from harness.process import ServerProcess
from harness.waiting import eventually
from harness.wire import Wire, encode_command
from ranvier.clock import VirtualClock
from ranvier.server.server import Server
from ranvier.shells.memory import MemoryClient

NULL_ARRAY = b"*-1\r\n"


@dataclass
class Room:
    """A server in memory, and clients that come when they are first named."""

    server: Server
    stack: ExitStack
    clients: dict[str, MemoryClient] = field(default_factory=dict)

    def __getitem__(self, name: str) -> MemoryClient:
        if name not in self.clients:
            self.clients[name] = self.stack.enter_context(memory_client(self.server))
        return self.clients[name]

    def say(self, name: str, *lines: str) -> bytes:
        """Send the lines in one piece; what is answered at once."""
        return self[name].talk(b"".join(encode_command(*line.split()) for line in lines))

    def heard(self, name: str) -> bytes:
        """What has been sent to the client since it was last asked."""
        return self.server.engine.take_output(self[name].handle)

    def advance(self, milliseconds: int) -> None:
        clock = self.server.clock
        assert isinstance(clock, VirtualClock)
        clock.advance(milliseconds)
        turn(self.server)

    def figures(self) -> tuple[int, int, int]:
        """blocked_clients, clients_in_timeout_table, total_blocking_keys."""
        found = self.server.engine.blocked.figures()
        return found["blocked_clients"], found["clients_in_timeout_table"], found["total_blocking_keys"]


@pytest.fixture
def room() -> Iterator[Room]:
    with ExitStack() as stack:
        yield Room(stack.enter_context(memory_server()), stack)


def array(*items: str) -> bytes:
    return b"*%d\r\n" % len(items) + b"".join(b"$%d\r\n%s\r\n" % (len(item), item.encode()) for item in items)


# ---- serving --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("request_line", "push", "answer", "left"), [
    ("blpop l 0", "rpush l a b", array("l", "a"), array("b")),
    ("brpop l 0", "rpush l a b", array("l", "b"), array("a")),
    ("blpop k l 0", "rpush l a b", array("l", "a"), array("b")),
    ("blmove l m left right 0", "rpush l a b", b"$1\r\na\r\n", array("b")),
    ("brpoplpush l m 0", "rpush l a b", b"$1\r\nb\r\n", array("a")),
    ("blmpop 0 2 k l right count 5", "rpush l a b", b"*2\r\n$1\r\nl\r\n" + array("b", "a"), array()),
])
def test_a13_a_push_serves_the_waiting_request(room: Room, request_line: str, push: str, answer: bytes,
                                               left: bytes) -> None:
    """A13 BLOCKED-2."""
    assert room.say("waiter", request_line) == b""
    assert room.figures()[:2] == (1, 0)
    # The answer to the push is the length before anybody was served.
    assert room.say("pusher", push, "lrange l 0 -1") == b":2\r\n" + left
    assert room.heard("waiter") == answer
    assert room.figures() == (0, 0, 0)


def test_a13_first_come_first_served(room: Room) -> None:
    """A13 BLOCKED-2."""
    for name in "abcd":
        room.say(name, "blpop l 0")
    room.say("pusher", "rpush l 1 2 3")
    assert [room.heard(name) for name in "abcd"] == [array("l", "1"), array("l", "2"), array("l", "3"), b""]
    room.say("a", "blpop l 0")          # behind d now
    room.say("pusher", "rpush l 4")
    assert (room.heard("a"), room.heard("d")) == (b"", array("l", "4"))


@pytest.mark.parametrize("arrival", [
    ("rpush src 1", "rename src l"), ("rpush src 1", "renamenx src l"), ("rpush src 1", "copy src l"),
    ("select 1", "rpush l 1", "move l 0"), ("select 1", "rpush l 1", "swapdb 0 1"),
    ("rpush s 1", "lmove s l left left"),
    ("select 1", "rpush l 1", "copy l l db 0"),
])
def test_a13_a_list_wakes_however_it_arrives(room: Room, arrival: tuple[str, ...]) -> None:
    room.say("waiter", "blpop l 0")
    room.say("other", *arrival)
    assert room.heard("waiter") == array("l", "1")


def test_a13_another_type_wakes_nobody(room: Room) -> None:
    room.say("waiter", "blpop k 0")
    assert room.say("other", "set k v", "del k", "rpush k 1") == b"+OK\r\n:1\r\n:1\r\n"
    assert room.heard("waiter") == array("k", "1")


def test_a13_only_the_database_of_the_waiter_counts(room: Room) -> None:
    room.say("waiter", "select 3", "blpop k 0")
    room.say("other", "rpush k 1")
    assert room.heard("waiter") == b""
    room.say("other", "select 3", "rpush k 2")
    assert room.heard("waiter") == array("k", "2")


def test_a13_served_requests_serve_others_in_turn(room: Room) -> None:
    """A chain far longer than any recursion should be deep."""
    links = 3000
    for i in range(links):
        room.say(f"c{i}", f"blmove k{i} k{i + 1} left right 0")
    room.say("pusher", "rpush k0 x")
    assert room.say("pusher", f"lrange k{links} 0 -1") == array("x")
    assert room.heard(f"c{links - 1}") == b"$1\r\nx\r\n"
    assert room.figures() == (0, 0, 0)


def test_a13_a_pass_serves_those_who_waited_at_its_beginning(room: Room) -> None:
    """Rotating a list onto itself makes it ready again and again: each waiter turns it once (A13 BLOCKED-2)."""
    for name in "abc":
        room.say(name, "blmove l l left right 0", "blmove l l left right 0")
    room.say("pusher", "rpush l 1 2")
    assert [room.heard(name) for name in "abc"] == [b"$1\r\n1\r\n", b"$1\r\n2\r\n", b"$1\r\n1\r\n"]
    turn(room.server)                   # the rest of the pipelines runs before the loop sleeps
    assert [room.heard(name) for name in "abc"] == [b"$1\r\n2\r\n", b"$1\r\n1\r\n", b"$1\r\n2\r\n"]


def test_a13_a_failing_retry_is_an_error_and_takes_nothing(room: Room) -> None:
    room.say("waiter", "blmove l target left right 0")
    room.say("next", "blpop l 0")
    room.say("other", "set target v", "rpush l 1")
    assert room.heard("waiter").startswith(b"-WRONGTYPE")
    assert room.heard("next") == array("l", "1")


NEVER_BLOCKING = ("blpop k 0", "brpop k 0", "blmove k j left left 0", "brpoplpush k j 0", "blmpop 0 1 k left",
                  "wait 1 0", "waitaof 0 1 0")


def test_a13_a_client_that_may_not_block_is_answered(room: Room, valkey: ServerProcess) -> None:
    """A13 MULTI-4."""
    with valkey.connect() as wire:
        wire.call("MULTI")
        for line in NEVER_BLOCKING:
            wire.call(*line.split())
        expected = wire.call("EXEC")
    room["waiter"].handle.deny_blocking = True
    assert [room.say("waiter", line) for line in NEVER_BLOCKING] == [item.raw for item in expected.items]
    assert room.say("inside", "multi", *NEVER_BLOCKING, "exec").endswith(b"+QUEUED\r\n" + expected.raw)
    assert room.figures() == (0, 0, 0)
    assert room.say("inside", "blpop k 0") == b""


def test_a13_waiters_are_served_after_the_transaction(room: Room) -> None:
    room.say("first", "blpop k 0")
    room.say("second", "blpop j k 0")
    answers = room.say("other", "multi", "rpush k 1", "del k", "rpush k 2 3", "rpush j 4", "lpop k", "exec", "exists k")
    assert answers.endswith(b"*5\r\n:1\r\n:1\r\n:2\r\n:1\r\n$1\r\n2\r\n:0\r\n")
    assert (room.heard("first"), room.heard("second")) == (array("k", "3"), array("j", "4"))


def test_a13_a_served_request_touches_what_others_watch(room: Room) -> None:
    room.say("watcher", "watch m", "multi", "ping")
    room.say("waiter", "blmove k m left left 0")
    room.say("other", "rpush k 1")
    assert room.say("watcher", "exec") == NULL_ARRAY


def test_large_arguments_are_kept_while_blocked(room: Room) -> None:
    key = "k" * 40_000
    room.say("waiter", f"blpop {key} 0")
    room.say("pusher", "set other 1", f"rpush {key} v")
    assert room.heard("waiter") == array(key, "v")


# ---- the pipeline behind it -----------------------------------------------------------------------------------------

def test_a2_7_what_follows_runs_after_the_answer_in_order(room: Room) -> None:
    assert room.say("waiter", "echo a", "blpop l 0", "echo b", "echo c") == b"$1\r\na\r\n"
    assert room.say("waiter", "echo d") == b""
    room.say("pusher", "rpush l 1")
    turn(room.server)
    assert room.heard("waiter") == array("l", "1") + b"$1\r\nb\r\n$1\r\nc\r\n$1\r\nd\r\n"


def test_a2_7_a_request_in_pieces_arrives_while_blocked(room: Room) -> None:
    text = encode_command("ECHO", "x" * 100_000)
    room.say("waiter", "blpop l 0")
    for start in range(0, len(text), 7001):
        assert room["waiter"].talk(text[start:start + 7001]) == b""
    room.say("pusher", "rpush l 1")
    turn(room.server)
    assert room.heard("waiter") == array("l", "1") + b"$100000\r\n" + b"x" * 100_000 + b"\r\n"


def test_pipelines_of_several_clients_go_on_in_the_order_of_unblocking(room: Room) -> None:
    for name in "abc":
        room.say(name, "blpop l 0", f"rpush log {name}")
    room.say("pusher", "rpush l 1 2 3")
    turn(room.server)
    assert room.say("pusher", "lrange log 0 -1") == array("a", "b", "c")


def test_the_whole_pipeline_of_blocking_requests(room: Room) -> None:
    room.say("waiter", *(["blpop l 0"] * 5))
    room.say("pusher", "rpush l 1 2 3")
    turn(room.server)
    assert room.heard("waiter") == array("l", "1") + array("l", "2") + array("l", "3")
    assert room.figures() == (1, 0, 1)


# ---- time -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("line", "milliseconds", "answer"), [
    ("blpop k j 0.05", 50, NULL_ARRAY), ("blpop k 0.0001", 1, NULL_ARRAY), ("blpop k 1.0001", 1001, NULL_ARRAY),
    ("blmove k j left left 2", 2000, NULL_ARRAY), ("brpoplpush k j 2", 2000, NULL_ARRAY),
    ("blmpop 2 1 k left", 2000, NULL_ARRAY), ("wait 1 30", 30, b":0\r\n"),
    ("waitaof 0 1 30", 30, b"*2\r\n:0\r\n:0\r\n"),
])
def test_a13_time_outs_to_the_millisecond_rounded_up(room: Room, line: str, milliseconds: int, answer: bytes) -> None:
    """A13 BLOCKED-1."""
    room.say("waiter", line)
    room.advance(milliseconds - 1)
    assert room.heard("waiter") == b""
    assert room.figures()[:2] == (1, 1)
    room.advance(1)
    assert room.heard("waiter") == answer
    assert room.figures() == (0, 0, 0)


def test_a13_many_time_outs_end_in_the_order_of_their_deadlines(room: Room) -> None:
    """A13 BLOCKED-1."""
    timeouts = [(i * 7919) % 1009 + 1 for i in range(300)]
    for i, timeout in enumerate(timeouts):
        room.say(f"c{i}", f"blpop k{i % 17} {timeout / 1000}", f"rpush done {timeout}")
    for i in range(0, 300, 3):          # holes in the middle of the heap
        room[f"c{i}"].close()
    for _ in range(101):
        room.advance(10)
    expected = sorted((timeouts[i] + 9) // 10 for i in range(300) if i % 3)
    done = room.say("reader", "lrange done 0 -1").split(b"\r\n")[2::2]
    assert [(int(value) + 9) // 10 for value in done] == expected
    assert room.figures() == (0, 0, 0)


def test_a13_a_change_that_serves_nobody_moves_no_deadline(room: Room) -> None:
    room.say("waiter", "blpop l 1")
    room.advance(900)
    room.say("other", "set l v", "del l")
    room.advance(100)
    assert room.heard("waiter") == NULL_ARRAY


def test_a10_2_the_idle_time_out_spares_blocked_clients(room: Room) -> None:
    room.server.engine.settings.set_idle_timeout(1)
    with socket_client(room.server) as blocked, socket_client(room.server) as idle:
        blocked.sendall(encode_command("BLPOP", "k", "0"))
        turn(room.server)
        room.advance(5000)
        room.server.engine.check_clients(10)
        turn(room.server)
        assert received(blocked) == (b"", "open")
        assert received(idle)[1] == "ended"


# ---- CLIENT UNBLOCK -------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("reason", "answer"), [
    ("", NULL_ARRAY), (" timeout", NULL_ARRAY), (" ERROR", b"-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n"),
])
def test_a11_client_unblock(room: Room, reason: str, answer: bytes) -> None:
    """A11 UNBLOCK."""
    room.say("waiter", "blpop k 0", "echo next")
    identity = room["waiter"].handle.id
    assert room.say("other", f"client unblock {identity}{reason}", f"client unblock {identity}") == b":1\r\n:0\r\n"
    turn(room.server)
    assert room.heard("waiter") == answer + b"$4\r\nnext\r\n"
    assert room.say("other", "rpush k 1", "llen k") == b":1\r\n:1\r\n"


def test_a11_client_list_shows_who_is_blocked(room: Room) -> None:
    room.say("waiter", "blpop k 0")
    line = room.say("other", f"client list id {room['waiter'].handle.id}")
    assert b" flags=b " in line
    assert b" cmd=blpop " in line


# ---- leaving --------------------------------------------------------------------------------------------------------

def vanish(peer: socket.socket, how: str, server: Server) -> None:
    if how == "half close":
        peer.shutdown(socket.SHUT_WR)
    elif how == "kill":
        max(server.engine.clients, key=lambda handle: handle.id).close()
    else:
        peer.close()
    turn(server)


@pytest.mark.parametrize("how", ["close", "half close", "kill"])
def test_a7_5_a_vanished_client_eats_no_element(room: Room, how: str) -> None:
    with socket_client(room.server) as peer:
        peer.sendall(encode_command("BLPOP", "k", "j", "5") + encode_command("PING"))
        turn(room.server)
        assert room.figures() == (1, 1, 2)
        vanish(peer, how, room.server)
        assert room.figures() == (0, 0, 0)
        assert room.say("pusher", "rpush k 1", "llen k") == b":1\r\n:1\r\n"


def test_a7_5_the_end_of_input_leaves_the_queue_while_replies_are_owed(room: Room) -> None:
    room.say("pusher", "set big " + "x" * 200_000)
    with socket_client(room.server, send_buffer_bytes=4096) as peer:
        peer.sendall(encode_command("GET", "big") + encode_command("BLPOP", "k", "0"))
        turn(room.server)
        peer.shutdown(socket.SHUT_WR)
        turn(room.server)
        assert room.say("pusher", "rpush k 1", "llen k") == b":1\r\n:1\r\n"


def test_lesson_1_the_push_of_a_killer_serves_only_the_living(room: Room) -> None:
    """Kill and push in one pipeline: the killed one is still in memory when its key becomes ready (A13 BLOCKED-4)."""
    with socket_client(room.server) as first, socket_client(room.server) as second:
        for peer in (first, second):
            peer.sendall(encode_command("BLPOP", "k", "0"))
            turn(room.server)
        identity = sorted(handle.id for handle in room.server.engine.clients)[0]
        room.say("other", f"client kill id {identity}", "rpush k 1")
        turn(room.server)
        assert received(first) == (b"", "ended")
        assert received(second) == (array("k", "1"), "open")


@pytest.mark.parametrize("how", ["close", "half close", "kill", "served", "time", "unblock"])
def test_a8_blocked_clients_leave_nothing(room: Room, how: str) -> None:
    """A8-6."""
    room.say("other", "ping")
    before = None
    for round_number in range(4):
        for index in range(200):
            with socket_client(room.server) as peer:
                peer.sendall(encode_command("BLPOP", *(f"key:{index}:{n}" for n in range(20)), "k" * 40_000, "1"))
                turn(room.server, 3)
                assert room.figures() == (1, 1, 21)
                if how == "served":
                    room.say("other", f"rpush key:{index}:7 v")
                elif how == "time":
                    room.advance(1000)
                elif how == "unblock":
                    identity = max(handle.id for handle in room.server.engine.clients)
                    assert room.say("other", f"client unblock {identity}") == b":1\r\n"
                else:
                    vanish(peer, how, room.server)
                assert room.figures() == (0, 0, 0)
            turn(room.server)
            if index == 20:
                break
        drop_garbage(room.server)
        if round_number == 1:
            before = used_bytes(room.server)
    assert used_bytes(room.server) == before


def test_a_server_that_ends_with_blocked_clients_ends(room: Room) -> None:
    with socket_client(room.server) as peer:
        peer.sendall(encode_command("BLPOP", "k", "0"))
        turn(room.server)
        room.server.engine.close()
        assert received(peer) == (b"", "ended")
        assert room.figures() == (0, 0, 0)


# ---- beside Valkey --------------------------------------------------------------------------------------------------

ANSWERED_AT_ONCE = """
blpop k 0.01; blpop k -1; blpop k -0.5; blpop k x; blpop k 1e30; blpop k inf; blpop k -inf; blpop k nan; blpop k 1e-9
blpop k 9223372036854775; blpop k 9223372036854776; blpop k +0.01; blpop s x; blpop k s 0.1; blpop k; brpop k 0.01
blmove a b left right 0.01; blmove a b x right z; blmove a b left right z; blmove s b left left 1
blmove k s left left 0.01; brpoplpush a b 0.01; brpoplpush a b -1; blmpop 0.01 1 a left
blmpop x 0 a left; blmpop x 1 a left; blmpop 1 1 a left count 0; blmpop 1 2 a left; blmpop 1 1 a x
blmpop 0 2 a l right count 2
wait 0 0; wait 1 10; wait 1 x; wait x 0; wait -1 0
wait 1 -1; wait 1.5 0; wait 1 9223372036854775807; waitaof 0 0 0; waitaof 0 1 10; waitaof 1 0 0; waitaof 2 0 0
waitaof x 0 0; waitaof 0 x 0; waitaof 0 -1 0; waitaof 0 0 x; waitaof 0 0 -1; waitaof 1 x 0; client unblock x
client unblock 999999; client unblock 999999 foo; client unblock 999999 timeout more; client unblock x foo
client unblock -1; client unblock 18446744073709551615; blpop l 0; brpop k l 0; blmove l m left right 0; blpop m 0
"""


@pytest.mark.parametrize("protocol", [2, 3])
def test_answers_are_the_reference_answers(server: ServerProcess, valkey: ServerProcess, protocol: int) -> None:
    """A11 UNBLOCK, A13 BLOCKED-1."""
    with server.connect(protocol=protocol) as ours, valkey.connect(protocol=protocol) as theirs:
        for line in ["flushall", "set s v", "rpush l 1 2 3 4 5 6", *ANSWERED_AT_ONCE.replace("\n", ";").split(";")]:
            if words := line.split():
                assert (line, ours.call(*words).raw) == (line, theirs.call(*words).raw)
        for wire in (ours, theirs):
            wire.call("FLUSHALL")


def conversation(server: ServerProcess) -> list[bytes]:
    """Four waiters, several pushers' requests, and what everybody heard."""
    with ExitStack() as stack:
        wires = [stack.enter_context(server.connect()) for _ in range(5)]
        *waiters, other = wires
        heard = []

        def blocked_count() -> int:
            return sum(b" flags=b " in line for line in other.call("CLIENT", "LIST").text.splitlines())

        def block(number: int, *lines: str) -> None:
            for line in lines:
                waiters[number].send_command(*line.split())
            eventually(lambda: blocked_count() == number + 1, "the client is blocked")

        other.call("FLUSHALL")
        block(0, "blmove a b left right 0", "rpush log one", "blpop x 0.02")
        block(1, "blpop b a 0", "rpush log two")
        block(2, "blmpop 0 2 c a right count 2", "rpush log three")
        block(3, "brpoplpush a a 0", "rpush log four")
        for line in ("rpush a 1 2 3 4 5", "lrange a 0 -1", "lrange b 0 -1"):
            heard.append(other.call(*line.split()).raw)
        for wire, count in zip(waiters, (3, 2, 2, 2), strict=True):
            heard += [wire.reply().raw for _ in range(count)]
        heard.append(other.call("LRANGE", "log", "0", "-1").raw)
        other.call("FLUSHALL")
        return heard


def test_a_conversation_is_the_reference_conversation(server: ServerProcess, valkey: ServerProcess) -> None:
    assert conversation(server) == conversation(valkey)


def test_a13_a_real_time_out_is_never_early(server: ServerProcess) -> None:
    """The server's clock is the machine's: what it says it waited, it waited."""
    with server.connect() as wire:
        before = wire.call("TIME").items
        assert wire.call("BLPOP", "nobody", "0.02").raw == NULL_ARRAY
        after = wire.call("TIME").items
    microseconds = [int(seconds.text) * 1_000_000 + int(rest.text) for seconds, rest in (before, after)]
    assert microseconds[1] - microseconds[0] >= 19_000      # TIME is the turn's, in whole milliseconds


def test_info_and_command_statistics_count_a_blocked_request_once(start_server: object, server_kind: str) -> None:
    """A4-25."""
    server = start_server()  # type: ignore[operator]
    with server.connect() as waiter, server.connect() as other:
        identity = waiter.call("CLIENT", "ID").number
        for ending in (("rpush", "k", "v"), ("client", "unblock", identity), ("client", "unblock", identity, "error")):
            waiter.send_command("BLPOP", "k", "j", "9")
            eventually(lambda: server.info("clients")["blocked_clients"] == "1", "the client is blocked")
            clients = server.info("clients")
            assert (clients["clients_in_timeout_table"], clients["total_blocking_keys"]) == ("1", "2")
            other.call(*ending)
            waiter.reply()
        assert server.info("clients")["total_blocking_keys"] == "0"
        figures = server.info("commandstats")["cmdstat_blpop"]
        assert figures.startswith("calls=3,"), figures
        assert figures.endswith("rejected_calls=1,failed_calls=0"), figures


def read_all(wire: Wire, count: int) -> list[bytes]:
    return [reply.raw for reply in wire.replies(count)]


def test_ping_pong_of_many_pairs(server: ServerProcess) -> None:
    pairs, rounds = 20, 30
    with ExitStack() as stack:
        left = [stack.enter_context(server.connect()) for _ in range(pairs)]
        right = [stack.enter_context(server.connect()) for _ in range(pairs)]
        for number in range(rounds):
            for index, wire in enumerate(left):
                wire.send_command("BLPOP", f"pp:{index}", "10")
            for index, wire in enumerate(right):
                assert wire.call("LPUSH", f"pp:{index}", number).raw == b":1\r\n"
            for index, wire in enumerate(left):
                assert read_all(wire, 1) == [array(f"pp:{index}", str(number))]
