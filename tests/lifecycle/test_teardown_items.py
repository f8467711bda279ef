"""A7's three ways and A8's list, item by item: what is undone, shown by the command or counter that would tell."""

import gc
import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from socket import socket

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


class Scene:
    """A server, one that looks on, and one that goes."""

    def __init__(self, server: Server, other: MemoryClient, peer: socket) -> None:
        self.server = server
        self.other = other
        self.peer = peer
        self.identity = server.engine.clients[-1].id

    def handle(self) -> ClientHandle:
        return next(client for client in self.server.engine.clients if client.id == self.identity)

    def send(self, data: bytes, turns: int = 2) -> None:
        self.peer.send(data)
        turn(self.server, turns)

    def kill(self) -> bytes:
        return self.other.talk(encode_command("CLIENT", "KILL", "ID", self.identity))

    def info(self, name: str) -> int:
        (reply,) = read_replies(self.other.talk(b"INFO everything\r\n"))
        return int(parse_info(reply.text)[name])

    def settled_bytes(self) -> int:
        drop_garbage(self.server)
        return used_bytes(self.server)


@contextmanager
def scene(**options: object) -> Iterator[Scene]:
    with memory_server(client_closed_max_len=0, **options) as server, memory_client(server) as other:
        other.talk(encode_command("SET", "held", b"v" * (2 * MEGABYTE)))
        with socket_client(server, send_buffer_bytes=4096) as peer:
            turn(server)
            yield Scene(server, other, peer)


# ---- A7 -------------------------------------------------------------------------------------------------------------

def test_a7_now_drops_what_is_owed_and_what_was_asked() -> None:
    """A7 NOW"""
    with scene() as room:
        room.send(b"GET held\r\n")
        room.peer.send(b"SET never 1\r\n")
        assert room.kill() == b":1\r\n"
        turn(room.server, 2)
        data, ending = received(room.peer)
        assert 0 < len(data) < 2 * MEGABYTE
        assert ending in ("ended", "reset")
        assert room.other.talk(b"EXISTS never\r\n") == b":0\r\n"


def test_a7_asap_drops_even_what_was_queued_before_and_runs_nothing_behind() -> None:
    """A7 ASAP"""
    with scene(**{"client-output-buffer-limit": f"normal {MEGABYTE} 0 0"}) as room:
        room.send(b"PING\r\nGET held\r\nSET never 1\r\n")
        assert received(room.peer)[0] == b""
        assert room.other.talk(b"EXISTS never\r\n") == b":0\r\n"
        assert room.server.engine.client_count == 1


def test_a7_after_the_reply_delivers_everything_and_parses_nothing_behind() -> None:
    """A7 AFTER"""
    with scene() as room:
        room.send(b"GET held\r\nQUIT\r\nSET never 1\r\n")
        room.peer.send(b"SET never 1\r\n")
        data = bytearray()
        for _ in range(2000):
            piece, ending = received(room.peer)
            data += piece
            if ending != "open":
                break
            turn(room.server)
        assert data == b"$2097152\r\n" + b"v" * (2 * MEGABYTE) + b"\r\n+OK\r\n"
        assert ending == "ended"
        assert room.other.talk(b"EXISTS never\r\n") == b":0\r\n"


def test_a7_01_a_client_that_is_served_is_closed_under_its_own_command_and_freed_later() -> None:
    """A7-1, A8-1: what its command still touches is there; nothing more of it runs."""
    with scene() as room:
        handle = room.handle()

        def close_it(database: int, key: bytes, event_class: int, event: str) -> None:
            handle.close()
            room.server.engine.free_closed()
            assert handle.fd >= 0, "its socket is the running command's still"

        room.server.observe(on_change=close_it)
        room.send(b"MULTI\r\nSET a 1\r\nSET b 2\r\nEXEC\r\nSET never 1\r\n")
        assert handle.closed
        assert handle.fd == -1
        assert room.server.engine.client_count == 1
        assert room.other.talk(b"MGET a b never\r\n") == b"*3\r\n$1\r\n1\r\n$1\r\n2\r\n$-1\r\n"


def test_lesson_05_replies_off_then_quit_or_an_error_ends_the_connection() -> None:
    """A7-2: all three references leave it open for ever."""
    for request in (b"QUIT\r\n", b"CLIENT KILL TYPE normal SKIPME no\r\n", b"*x\r\n"):
        with scene() as room:
            room.send(b"CLIENT REPLY OFF\r\n")
            room.send(request, 4)
            assert received(room.peer) == (b"", "ended")
            room.peer.close()
            turn(room.server, 2)
            assert all(client.id != room.identity for client in room.server.engine.clients)


# ---- A8 -------------------------------------------------------------------------------------------------------------

def test_a8_02_the_end_is_told_once() -> None:
    with scene() as room:
        handle = room.handle()
        room.kill()
        handle.close()
        turn(room.server, 2)
        assert sum(room.server.closed.counts.values()) == room.server.closed.counts["killed"] == 1


def test_a8_03_the_list_of_those_who_close_empties_in_any_order() -> None:
    with memory_server() as server, memory_client(server) as other:
        contexts = [socket_client(server) for _ in range(30)]
        peers = [context.__enter__() for context in contexts]
        turn(server)
        ids = [client.id for client in server.engine.clients[1:]]
        killed = {7, 0, 29, 13}
        for number in killed:
            other.talk(encode_command("CLIENT", "KILL", "ID", ids[number]))
        for number in range(0, 30, 3):
            peers[number].close()
        for number in {*range(1, 30, 3)} - killed:
            peers[number].send(b"QUIT\r\n")
        assert server.engine.client_count == 31
        turn(server, 2)
        gone = {*killed, *range(0, 30, 3), *range(1, 30, 3)}
        assert [client.id for client in server.engine.clients[1:]] == [
            identity for number, identity in enumerate(ids) if number not in gone
        ]
        for context in contexts:
            context.__exit__(None, None, None)


def test_a8_05_the_query_buffer() -> None:
    with scene() as room:
        before = room.settled_bytes()
        room.send(b"*2\r\n$3\r\nGET\r\n$20000\r\n" + b"k" * 15_000)
        assert room.handle().describe()["qbuf"] > 15_000
        assert room.settled_bytes() > before + 15_000
        room.kill()
        turn(room.server)
        assert room.settled_bytes() < before


def test_a8_09_the_output_buffer_and_its_share_in_a_value() -> None:
    """The value is gone from the keyspace; the pending reply was the last to hold it."""
    with scene() as room:
        room.send(b"GET held\r\n")
        assert room.other.talk(b"DEL held\r\n") == b":1\r\n"
        before = room.settled_bytes()
        room.kill()
        turn(room.server)
        assert before - room.settled_bytes() > 2 * MEGABYTE


def test_a8_10_parsed_arguments_and_a_big_one_on_its_way() -> None:
    with scene() as room:
        before = room.settled_bytes()
        parts = b"$1\r\nk\r\n$40000\r\n" + b"x" * 40_000 + b"\r\n"
        for data in (b"*5\r\n$4\r\nMSET\r\n" + parts, b"$1\r\nl\r\n$90000\r\n" + b"y" * 50_000):
            while data:
                data = data[room.peer.send(data):]
                turn(room.server)
        assert room.settled_bytes() > before + 90_000
        room.kill()
        turn(room.server)
        assert room.settled_bytes() < before


def test_a8_11_the_memory_of_clients() -> None:
    with scene() as room:
        room.send(b"MULTI\r\n" + encode_command("SET", "never", b"v" * 2000))
        held = room.info("mem_clients_normal")
        room.kill()
        turn(room.server)
        assert held - room.info("mem_clients_normal") > 2000


def test_a8_12_ids_and_lists_and_an_id_is_never_used_again() -> None:
    with scene() as room:
        room.kill()
        turn(room.server)
        identity = str(room.identity)
        assert room.other.talk(encode_command("CLIENT", "LIST", "ID", identity)) == b"$0\r\n\r\n"
        assert room.kill() == b":0\r\n"
        assert room.other.talk(encode_command("CLIENT", "UNBLOCK", identity)) == b":0\r\n"
        with memory_client(room.server) as new:
            assert new.handle.id > room.identity


def test_a8_13_the_socket_ends_even_if_somebody_else_holds_the_descriptor() -> None:
    """Lesson 2 as far as it goes without a child: a copy of the descriptor, as a fork would make one."""
    with scene() as room:
        descriptor = room.handle().fd
        assert not os.get_inheritable(descriptor)
        copy = os.dup(descriptor)
        try:
            room.kill()
            turn(room.server, 2)
            assert received(room.peer) == (b"", "ended")
            assert room.server.engine.client_count == 1      # and no event of the copy meets a client that is gone
        finally:
            os.close(copy)


def test_a8_14_pending_writes_and_those_who_may_go_on() -> None:
    with scene() as room:
        room.send(b"SUBSCRIBE channel\r\n")
        received(room.peer)
        assert room.other.talk(b"PUBLISH channel x\r\n") == b":1\r\n"
        room.kill()                                          # between the message and the write step
        turn(room.server, 2)
        assert received(room.peer) == (b"", "ended")
    with scene() as room:
        room.send(b"BLPOP list 0\r\nSET never 1\r\n")
        room.other.talk(b"RPUSH list x\r\n")
        room.kill()                                          # between the wait's end and what was sent behind it
        turn(room.server, 2)
        assert received(room.peer) == (b"", "ended")
        assert room.other.talk(b"EXISTS never\r\n") == b":0\r\n"


def test_a8_16_monitors() -> None:
    with scene() as room:
        room.send(b"MONITOR\r\n")
        room.kill()
        room.other.talk(b"PING\r\n")
        turn(room.server, 2)
        assert b"monitor" not in room.other.talk(b"CLIENT LIST FLAGS O\r\n")
        assert received(room.peer)[1] in ("ended", "reset")


def test_a8_18_names_the_queue_and_the_object_itself() -> None:
    with scene() as room:
        room.send(b"CLIENT SETNAME somebody\r\nCLIENT SETINFO LIB-NAME lib\r\nMULTI\r\nSET a 1\r\n")
        gone = weakref.ref(room.handle())
        room.kill()
        turn(room.server)
        assert room.other.talk(b"CLIENT LIST NAME somebody\r\n") == b"$0\r\n\r\n"
    assert gone() is None


def test_a8_extra_no_timer_and_no_cycle_remains() -> None:
    """Of clients in every wait that has a time: nothing is left for the collector of cycles."""
    with scene() as room:
        assert isinstance(room.server.clock, VirtualClock)
        gc.collect()
        gc.disable()
        try:
            for _ in range(50):
                with socket_client(room.server) as peer:
                    turn(room.server)
                    gone = weakref.ref(room.server.engine.clients[-1])
                    peer.send(b"BLPOP list 100\r\n")
                    turn(room.server)
                turn(room.server, 2)
                assert gone() is None
        finally:
            gc.enable()
        assert room.info("clients_in_timeout_table") == 0
