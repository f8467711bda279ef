"""Servers inside this very process: start, stop, independence, and nothing left behind."""

import collections
import gc
import os
import signal
import socket
import threading

import pytest

import ranvier
from harness.process import parse_info
from harness.waiting import eventually
from harness.wire import Wire, encode_command
from ranvier.clock import VirtualClock

ROUNDS = 1000
# Interned names, caches of the interpreter and the like; a leak of one object per connection is a thousand.
OBJECT_SLACK = 100


def test_a_context_manager_serves_and_stops() -> None:
    threads = threading.active_count()
    with ranvier.Server(port=0) as server:
        assert server.url == f"redis://127.0.0.1:{server.port}/0"
        with Wire(server.port) as wire:
            assert wire.call("SET", "k", "v").raw == b"+OK\r\n"
            assert wire.call("GET", "k").text == b"v"
    assert threading.active_count() == threads
    with pytest.raises(ConnectionRefusedError):
        Wire(server_port_of(server) or 1)


def server_port_of(server: ranvier.Server) -> int | None:
    """The port of a stopped server is not told."""
    try:
        return server.port
    except RuntimeError:
        return None


def test_start_and_stop_by_hand_and_again() -> None:
    server = ranvier.Server(port=0)
    for _ in range(3):
        server.start()
        with Wire(server.port) as wire:
            assert wire.call("DBSIZE").raw == b":0\r\n"
            wire.call("SET", "k", "v")
        server.stop()
        server.stop()


def test_clients_of_a_stopped_server_see_the_end() -> None:
    with ranvier.Server(port=0) as server:
        wires = [Wire(server.port) for _ in range(10)]
        for wire in wires:
            wire.call("PING")
    for wire in wires:
        assert wire.read_to_end() == (b"", "eof")
        wire.close()


def test_many_servers_do_not_know_of_each_other() -> None:
    servers = [ranvier.Server(port=0).start() for _ in range(5)]
    try:
        for number, server in enumerate(servers):
            with Wire(server.port) as wire:
                wire.call("SET", "who", number)
                wire.call("CONFIG", "SET", "timeout", str(number))
        for number, server in enumerate(servers):
            with Wire(server.port) as wire:
                assert wire.call("GET", "who").text == b"%d" % number
                assert wire.call("CONFIG", "GET", "timeout").plain() == [b"timeout", b"%d" % number]
                assert client_count(wire) == 1
    finally:
        for server in servers:
            server.stop()


def test_options_are_those_of_the_configuration_file() -> None:
    with ranvier.Server(port=0, requirepass="secret", maxclients=3) as server, Wire(server.port) as wire:
        assert wire.call("PING").raw == b"-NOAUTH Authentication required.\r\n"
        assert wire.call("AUTH", "secret").raw == b"+OK\r\n"
        assert wire.call("CONFIG", "GET", "maxclients").plain() == [b"maxclients", b"3"]


def test_a_bad_option_and_a_taken_port_are_errors_of_the_caller() -> None:
    with pytest.raises(Exception, match=r"no.such.option"):
        ranvier.Server(port=0, no_such_option=1)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = ranvier.Server(port=taken.getsockname()[1])
        with pytest.raises(Exception, match=str(taken.getsockname()[1])):
            server.start()


def test_signals_and_directory_of_the_program_are_left_alone() -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGHUP)
    handlers = [signal.getsignal(number) for number in numbers]
    directory = os.getcwd()
    with ranvier.Server(port=0) as server, Wire(server.port) as wire:
        wire.call("PING")
        assert [signal.getsignal(number) for number in numbers] == handlers
        assert os.getcwd() == directory


def client_count(wire: Wire) -> int:
    return int(parse_info(wire.call("INFO", "clients").text)["connected_clients"])


def objects() -> collections.Counter[str]:
    gc.collect()
    return collections.Counter(type(item).__name__ for item in gc.get_objects())


@pytest.mark.parametrize("way", ["FIN", "RST", "error", "kill"])
def test_a8_a_thousand_connections_leave_no_objects(way: str) -> None:
    with ranvier.Server(port=0) as server, Wire(server.port) as other:

        def connect_and_end() -> None:
            with Wire(server.port) as wire:
                wire.call("CLIENT", "SETNAME", "somebody")
                wire.send(encode_command("NOSUCH", "x") + b"PING\r\n")
                wire.replies(2)
                if way == "RST":
                    wire.reset()
                elif way == "error":
                    wire.send(b"*x\r\n")
                    wire.read_to_end()
                elif way == "kill":
                    other.call("CLIENT", "KILL", "ID", wire.call("CLIENT", "ID").number)

        counts, descriptors = [], []
        for rounds in (200, ROUNDS):
            for _ in range(rounds):
                connect_and_end()
            eventually(lambda: client_count(other) == 1, "all are gone")
            counts.append(objects())
            descriptors.append(len(os.listdir("/proc/self/fd")))
        grown = {name: count - counts[0][name] for name, count in counts[1].items() if count - counts[0][name] > 10}
        assert sum(grown.values()) < OBJECT_SLACK, grown
        assert descriptors[0] == descriptors[1]


def test_a_hundred_servers_leave_no_threads_descriptors_or_objects() -> None:
    def serve_once() -> None:
        with ranvier.Server(port=0) as server, Wire(server.port) as wire:
            assert wire.call("SET", "k", "v").raw == b"+OK\r\n"

    for _ in range(5):
        serve_once()
    before = objects(), threading.active_count(), len(os.listdir("/proc/self/fd"))
    for _ in range(100):
        serve_once()
    after = objects(), threading.active_count(), len(os.listdir("/proc/self/fd"))
    assert after[1:] == before[1:]
    grown = {name: count - before[0][name] for name, count in after[0].items() if count - before[0][name] > 10}
    assert sum(grown.values()) < OBJECT_SLACK, grown


def test_a7_06_stop_ends_under_a_clock_that_stands_still_and_a_peer_that_does_not_read() -> None:
    """The server's own patience runs on its clock; the stop's is the program's."""
    value = b"v" * (16 << 20)
    server = ranvier.Server(port=0, clock=VirtualClock(), shutdown_timeout=1)
    server.start()
    with Wire(server.port, 60, receive_buffer_bytes=65536) as slow, Wire(server.port) as other:
        other.call("SET", "value", value)
        slow.send_command("GET", "value")
        eventually(slow.has_input, "the reply has begun")
        server.stop()
        assert len(slow.read_to_end()[0]) < len(value)
