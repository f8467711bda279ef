"""A server without sockets, a primary whose every byte is the test's own, and a client that asks the server."""

from collections.abc import Iterator

import pytest

from harness.fake_primary import FakePrimary, fake_primary, stub_load
from harness.memory import memory_client, memory_server, read_replies
from harness.process import parse_info
from harness.wire import encode_command
from ranvier.server.server import Server
from ranvier.shells.memory import MemoryClient


@pytest.fixture(name="server")
def a_server() -> Iterator[Server]:
    with memory_server() as server:
        stub_load(server, {b"loaded": b"yes"})
        yield server


@pytest.fixture(name="primary")
def a_primary(server: Server) -> Iterator[FakePrimary]:
    with fake_primary(server) as primary:
        yield primary


@pytest.fixture(name="client")
def a_client(server: Server) -> Iterator[MemoryClient]:
    with memory_client(server) as client:
        yield client


def follow(client: MemoryClient, primary: FakePrimary) -> None:
    assert client.talk(encode_command("REPLICAOF", "127.0.0.1", primary.port)) == b"+OK\r\n"


def info(client: MemoryClient) -> dict[str, str]:
    (reply,) = read_replies(client.talk(b"INFO replication\r\n"))
    return parse_info(reply.text)


def ask(client: MemoryClient, *words: bytes | str | int) -> bytes:
    return client.talk(encode_command(*words))
