"""A8: whatever a client was in the middle of and however it goes, every counter, table, byte and object is back.

In this process and under a clock that stands still: a mode is what a client does before it goes, a way is how it goes.
A new mode adds its line to MODES. The audit of references (engine/audit) runs after every free step as well.
"""

import gc
import os
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from socket import SHUT_WR, socket

import pytest

from harness.fake_primary import AGREED, ID, fake_primary
from harness.memory import (
    drop_garbage,
    memory_client,
    memory_server,
    read_replies,
    received,
    socket_client,
    turn,
    used_bytes,
)
from harness.process import parse_info
from harness.wire import encode_command
from ranvier.clock import VirtualClock
from ranvier.engine.client import ClientHandle
from ranvier.server.server import Server
from ranvier.shells.memory import MemoryClient

MEGABYTE = 1 << 20
ROUNDS = 12
OPTIONS = {
    "timeout": 5, "client_query_buffer_limit": MEGABYTE, "client_closed_max_len": 0,
    "repl_diskless_sync_delay": 1_000_000,
    "commandlog_reply_larger_than": -1, "commandlog_request_larger_than": -1,
    "client-output-buffer-limit": f"normal {3 * MEGABYTE} 0 0 pubsub {3 * MEGABYTE} 0 0",
}
BLOCKED = (
    "blocked on two keys", "blocked without end", "blocked with a pipeline behind", "paused", "waiting for replicas",
)

MODES: dict[str, bytes] = {
    "idle": b"PING\r\n",
    "named, RESP3, another database": b"HELLO 3 SETNAME somebody\r\nCLIENT SETINFO LIB-NAME x\r\nSELECT 3\r\n",
    "in MULTI": b"MULTI\r\n" + encode_command("SET", "never", b"v" * 40_000) + b"GET never\r\n",
    "in an aborted MULTI": b"MULTI\r\nSET never\r\nGET never\r\n",
    "watching": b"WATCH held a b\r\nSELECT 2\r\nWATCH held\r\n",
    "watching what was touched": b"WATCH touched other\r\nSET touched 1\r\nMULTI\r\nGET a\r\n",
    "subscribed": b"SUBSCRIBE a b\r\nPSUBSCRIBE a* b*\r\nSSUBSCRIBE a\r\n",
    "subscribed in RESP3": b"HELLO 3\r\nSUBSCRIBE a\r\nPUBLISH a x\r\n",
    "watching everything": b"MONITOR\r\nPING\r\n",
    "tracking": b"HELLO 3\r\nCLIENT TRACKING ON\r\nGET a\r\nGET held\r\n",
    "tracking by prefix": b"HELLO 3\r\nCLIENT TRACKING ON BCAST PREFIX a PREFIX b NOLOOP\r\nSET a1 1\r\n",
    "silent": b"CLIENT REPLY OFF\r\nCLIENT NO-TOUCH ON\r\nCLIENT NO-EVICT ON\r\n",
    "blocked on two keys": b"BLPOP nosuch1 nosuch2 100\r\n",
    "blocked without end": b"BLMOVE nosuch1 nosuch2 LEFT LEFT 0\r\n",
    "blocked with a pipeline behind": b"BLPOP nosuch1 0\r\nSET never 1\r\nPING\r\n",
    "paused": b"SET paused 1\r\n",
    "in the middle of a request": b"PING\r\n*3\r\n$3\r\nSET\r\n$1\r\n",
    "in the middle of a big argument": b"PING\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$500000\r\n" + b"x" * 100_000,
    "owed more than its socket takes": b"GET held\r\n" * 3,
    "stalled by what it is owed": b"GET held\r\n" * 8,
    "a replica that waits for its snapshot": b"CLIENT REPLY SKIP\r\nREPLCONF capa eof\r\nPSYNC ? -1\r\n",
    "waiting for replicas": b"SET own 1\r\nWAIT 1 0\r\nPING\r\n",
}


class Room:
    """A server, one client that goes, and one that looks on."""

    def __init__(self, server: Server, other: MemoryClient) -> None:
        self.server = server
        self.other = other
        self.peer: socket
        self.handle: ClientHandle

    def advance(self, milliseconds: int) -> None:
        assert isinstance(self.server.clock, VirtualClock)
        self.server.clock.advance(milliseconds)
        turn(self.server)

    def send(self, data: bytes) -> None:
        """As much as the socket takes; the server reads in between."""
        for _ in range(200):
            if not data:
                break
            with suppress(BlockingIOError, BrokenPipeError):
                data = data[self.peer.send(data):]
            turn(self.server)

    def info(self) -> dict[str, str]:
        (reply,) = read_replies(self.other.talk(b"INFO everything\r\n"))
        return parse_info(reply.text)


def fin(room: Room) -> None:
    received(room.peer)
    room.peer.close()


def reset(room: Room) -> None:
    """What lies unread in a socket that is closed resets the connection."""
    room.send(b"CLIENT ID\r\n")
    room.peer.close()


def half_close(room: Room) -> None:
    room.peer.shutdown(SHUT_WR)
    turn(room.server, 2)
    room.peer.close()


def kill(room: Room) -> None:
    assert room.other.talk(encode_command("CLIENT", "KILL", "ID", room.handle.id)) == b":1\r\n"


def kill_twice_in_a_transaction(room: Room) -> None:
    """Lesson 1: the second CLIENT KILL comes while the first one's client is torn down but not yet freed."""
    request = encode_command("CLIENT", "KILL", "ID", room.handle.id)
    replies = room.other.talk(b"MULTI\r\n" + request * 2 + b"EXEC\r\n")
    assert replies.endswith(b"*2\r\n:1\r\n:0\r\n")


def quit_(room: Room) -> None:
    room.send(b"QUIT\r\n")


def protocol_error(room: Room) -> None:
    room.send(b"*x\r\n")


def idle(room: Room) -> None:
    room.advance(60_000)
    room.server.engine.check_clients(100)


def query_limit(room: Room) -> None:
    room.send(b"*1\r\n$2000000\r\n" + b"x" * (2 * MEGABYTE))


def output_limit(room: Room) -> None:
    room.send(b"SELECT 0\r\nGET huge\r\n")
    if room.handle.describe()["sub"]:
        room.other.talk(encode_command("PUBLISH", "a", b"m" * (4 * MEGABYTE)))


def shutdown(room: Room) -> None:
    room.handle.finish()


WAYS: dict[str, Callable[[Room], None]] = {
    way.__name__.strip("_"): way
    for way in (fin, reset, half_close, kill, kill_twice_in_a_transaction, quit_, protocol_error, idle, query_limit,
                output_limit, shutdown)
}
# What is not closed that way, and why; it is killed instead.
UNMOVED = {
    **{(mode, way): "nothing is parsed" for mode in BLOCKED for way in ("quit", "protocol_error", "output_limit")},
    **{(mode, "idle"): "whoever waits is not idle (A10-2)" for mode in BLOCKED},
    **{(mode, "idle"): "subscribers are not idle (A10-2)" for mode in ("subscribed", "subscribed in RESP3")},
    ("a replica that waits for its snapshot", "idle"): "replicas are not idle (A10-2)",
    ("watching everything", "idle"): "monitors are not idle (A10-2)",
    ("watching everything", "output_limit"): "a monitor may not touch the keyspace",
    ("silent", "output_limit"): "nothing is answered",
    **{("in MULTI", way): "it is queued" for way in ("output_limit",)},
    **{("in an aborted MULTI", way): "it is queued" for way in ("output_limit",)},
    **{("watching what was touched", way): "it is queued" for way in ("output_limit",)},
    **{(mode, way): "it is part of the argument"
       for mode in ("in the middle of a big argument",) for way in ("quit", "protocol_error", "output_limit")},
    ("stalled by what it is owed", "quit"): "it waits until less is owed",
    ("stalled by what it is owed", "protocol_error"): "it waits until less is owed",
    ("stalled by what it is owed", "output_limit"): "it waits until less is owed",
}


@contextmanager
def room_of(**options: object) -> Iterator[Room]:
    with memory_server(**{**OPTIONS, **options}) as server, memory_client(server) as other:
        other.talk(encode_command("SET", "held", b"v" * 200_000))
        other.talk(encode_command("SET", "huge", b"v" * (4 * MEGABYTE)))
        yield Room(server, other)


def one_round(room: Room, mode: str, way: str) -> "weakref.ref[ClientHandle]":
    """A client comes, enters the mode, and goes; when this returns the server has seen it go."""
    if mode == "paused":
        room.other.talk(b"CLIENT PAUSE 100000 WRITE\r\n")
    with socket_client(room.server, send_buffer_bytes=4096) as room.peer:
        room.handle = room.server.engine.clients[-1]
        gone = weakref.ref(room.handle)
        room.send(MODES[mode])
        turn(room.server, 2)
        assert not room.handle.closed
        assert (mode in BLOCKED) == room.handle.describe()["blocked"]
        WAYS[way](room)
        turn(room.server, 3)
        room.peer.close()
        turn(room.server, 2)
        if not room.handle.closed:      # what lingers, or is not closed that way
            room.advance(3_000)
            room.server.engine.check_clients(100)
            turn(room.server)
        assert room.handle.closed
        del room.handle
    if mode == "paused":
        room.other.talk(b"CLIENT UNPAUSE\r\n")
        turn(room.server)
    drop_garbage(room.server)
    return gone


COUNTERS = (
    "connected_clients", "blocked_clients", "clients_in_timeout_table", "total_blocking_keys",
    "total_blocking_keys_on_nokey", "watching_clients", "total_watched_keys", "pubsub_clients", "pubsub_channels",
    "connected_slaves", "pubsub_patterns", "pubsubshard_channels", "tracking_clients", "mem_clients_normal",
    "mem_clients_slaves",
)


def measured(room: Room) -> dict[str, int]:
    info = room.info()
    gc.collect()
    return {
        **{name: int(info[name]) for name in COUNTERS},
        "clients": room.server.engine.client_count,
        "descriptors": len(os.listdir("/proc/self/fd")),
        "used bytes": used_bytes(room.server),
        "objects": len(gc.get_objects()),
    }


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("mode", MODES)
def test_a8_every_counter_is_back(mode: str, way: str) -> None:
    with room_of() as room:
        for _ in range(2):
            gone = one_round(room, mode, way)
        before = measured(room)
        for _ in range(ROUNDS):
            gone = one_round(room, mode, way)
            assert gone() is None, "somebody holds the client's handle"
        grown = {name: count - before[name] for name, count in measured(room).items() if count != before[name]}
        assert abs(grown.pop("objects", 0)) < ROUNDS
        assert abs(grown.pop("used bytes", 0)) < 512     # chunks of the allocator differ by a few bytes
        assert grown == {}
        assert room.other.talk(b"EXISTS never\r\n") == b":0\r\n"


@pytest.mark.parametrize(("mode", "way"), [(mode, way) for mode in MODES for way in WAYS])
def test_a7_which_way_closes_whom(mode: str, way: str) -> None:
    """Every way closes every client but those in UNMOVED."""
    with room_of() as room:
        if mode == "paused":
            room.other.talk(b"CLIENT PAUSE 100000 WRITE\r\n")
        with socket_client(room.server, send_buffer_bytes=4096) as room.peer:
            room.handle = room.server.engine.clients[-1]
            room.send(MODES[mode])
            WAYS[way](room)
            turn(room.server, 8)
            described = room.handle.describe()
            going = room.handle.closed or described["closing-after-reply"] or room.handle.close_reason != "none"
            assert going == ((mode, way) not in UNMOVED), UNMOVED.get((mode, way))


LINKS: dict[str, bytes] = {
    "connected": b"",
    "shaking hands": b"+PONG\r\n",
    "receiving a snapshot": AGREED + b"+FULLRESYNC " + ID.encode() + b" 1\r\n$900\r\nREDIS",
    "receiving a marked one": AGREED + b"+FULLRESYNC " + ID.encode() + b" 1\r\n$EOF:" + b"m" * 40 + b"\r\nREDIS",
    "going on": AGREED + b"+CONTINUE\r\n" + encode_command("SET", "k", "v"),
    "in a transaction": AGREED + b"+CONTINUE\r\n" + encode_command("MULTI") + encode_command("SET", "k", "v" * 30_000),
    "in a request": AGREED + b"+CONTINUE\r\n" + encode_command("SET", "k", "v" * 100_000)[:-10],
}


@pytest.mark.parametrize("way", ["promoted", "lost", "killed"])
@pytest.mark.parametrize("stage", LINKS)
def test_a8_a_link_to_a_primary_leaves_nothing(stage: str, way: str) -> None:
    """Wherever it is when it ends; what it collects for a snapshot is gone, too."""
    with room_of() as room, fake_primary(room.server) as primary:
        def one() -> None:
            room.other.talk(encode_command("REPLICAOF", "127.0.0.1", primary.port))
            primary.accept()
            primary.send(LINKS[stage])
            turn(room.server, 3)
            if way == "lost":
                primary.drop()
            elif way == "killed":
                room.other.talk(b"CLIENT KILL TYPE primary\r\n")
            turn(room.server, 2)
            room.other.talk(b"REPLICAOF NO ONE\r\nDEL k\r\n")
            primary.drop()
            primary.refuse_all()
            turn(room.server, 2)
            drop_garbage(room.server)

        for _ in range(2):
            one()
        before = measured(room)
        for _ in range(ROUNDS):
            one()
        grown = {name: count - before[name] for name, count in measured(room).items() if count != before[name]}
        assert abs(grown.pop("objects", 0)) < ROUNDS
        assert abs(grown.pop("used bytes", 0)) < 512
        assert grown == {}


def test_a8_17_memory_of_clients_counts_only_those_that_are_there() -> None:
    with room_of() as room:
        before = int(room.info()["mem_clients_normal"])
        with socket_client(room.server, send_buffer_bytes=4096) as room.peer:
            room.send(MODES["in MULTI"])
            assert int(room.info()["mem_clients_normal"]) > before + 40_000
        turn(room.server, 2)
        assert int(room.info()["mem_clients_normal"]) == before


def test_a8_a_wait_behind_the_dead_keeps_its_element() -> None:
    """A7-5: of two that wait, the first goes; what is pushed is the second one's, then the key's."""
    with room_of() as room, socket_client(room.server) as first, socket_client(room.server) as second:
        for peer in (first, second):
            peer.send(b"BLPOP list 0\r\n")
            turn(room.server)
        first.close()
        turn(room.server)
        assert room.other.talk(b"RPUSH list a b\r\n") == b":2\r\n"
        turn(room.server, 2)
        assert second.recv(100) == b"*2\r\n$4\r\nlist\r\n$1\r\na\r\n"
        assert room.other.talk(b"LRANGE list 0 -1\r\n") == b"*1\r\n$1\r\nb\r\n"


def test_lesson_01_killing_whom_one_walks_over() -> None:
    """A crowd in every mode is killed by one command, by itself included; nobody is met twice, nobody runs on."""
    with room_of() as room:
        peers = []
        for mode in [*MODES] * 3:
            if mode == "paused":
                continue
            context = socket_client(room.server)
            peers.append((context, context.__enter__()))
            room.peer = peers[-1][1]
            room.send(MODES[mode])
        reply = room.other.talk(b"PING\r\nCLIENT KILL TYPE normal SKIPME no\r\nSET never 1\r\n")
        assert reply.startswith(b"+PONG\r\n:")
        assert room.other.talk(b"PING\r\n") == b""
        with memory_client(room.server) as last:
            assert last.talk(b"CLIENT KILL TYPE pubsub\r\n") == b":6\r\n"
            assert last.talk(b"CLIENT KILL TYPE replica\r\n") == b":3\r\n"
            assert last.talk(b"EXISTS never\r\n") == b":0\r\n"
            turn(room.server, 2)
            assert [line for line in last.talk(b"CLIENT LIST\r\n").split(b"\n") if b"id=" in line and b"addr=peer" in
                    line] == []
        for context, _ in peers:
            context.__exit__(None, None, None)
