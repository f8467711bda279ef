"""A snapshot from the primary takes the data set's place: whole, or not at all; at once, or beside the old one."""

from collections.abc import Iterator

import pytest

from harness.fake_primary import AGREED, ID, FakePrimary, advance, until
from harness.memory import hear_log, memory_client, memory_server, read_replies, turn
from harness.process import parse_info
from harness.wire import encode_command
from ranvier.server.server import Server
from ranvier.shells.memory import MemoryClient
from replication.replica_room import a_primary, follow  # noqa: F401, fixtures

KEYS = 3000
AT_ONCE, BESIDE = "disabled", "swapdb"


def snapshot_of(*requests: bytes) -> bytes:
    """The snapshot of a server that was asked for this."""
    parts: list[bytes] = []
    with memory_server() as server, memory_client(server) as client:
        for request in requests:
            client.talk(request)
        server.engine.snapshots.write(parts.append, auxiliary=[(b"repl-stream-db", b"1")])
    return b"".join(parts)


@pytest.fixture(name="snapshot", scope="module")
def a_snapshot() -> bytes:
    return snapshot_of(*(encode_command("SET", f"key:{number}", number) for number in range(KEYS)))


@pytest.fixture(name="load", params=[AT_ONCE, BESIDE])
def how_to_load(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(name="server")
def a_server(load: str) -> Iterator[Server]:
    with memory_server(repl_diskless_load=load) as server:
        yield server


@pytest.fixture(name="client")
def a_client(server: Server) -> Iterator[MemoryClient]:
    with memory_client(server) as client:
        client.talk(b"SET old 1\r\n")
        yield client


def begin(client: MemoryClient, primary: FakePrimary, snapshot: bytes, replication_id: str = ID) -> None:
    follow(client, primary)
    primary.accept()
    primary.send(AGREED + b"+FULLRESYNC %b 7\r\n$%d\r\n" % (replication_id.encode(), len(snapshot)) + snapshot)


def is_up(server: Server) -> bool:
    return server.replica_side.link.is_up


def persistence(client: MemoryClient) -> dict[str, str]:
    (reply,) = read_replies(client.talk(b"INFO persistence\r\n"))
    return parse_info(reply.text)


def test_all_of_it(server: Server, primary: FakePrimary, client: MemoryClient, snapshot: bytes) -> None:
    begin(client, primary, snapshot)
    primary.send(encode_command("SET", "behind", "1"))
    until(server, lambda: is_up(server), "the link is up")
    turn(server, 2)
    assert client.talk(b"DBSIZE\r\nGET key:77\r\nEXISTS old\r\n") == b":3000\r\n$2\r\n77\r\n:0\r\n"
    assert client.talk(b"SELECT 1\r\nGET behind\r\n") == b"+OK\r\n$1\r\n1\r\n"
    assert server.replica_side.link.offset == 7 + len(encode_command("SET", "behind", "1"))


def test_what_has_expired_stays_until_the_primary_says_so(
    server: Server, primary: FakePrimary, client: MemoryClient
) -> None:
    past = server.engine.wall_ms + 1000
    snapshot = snapshot_of(encode_command("SET", "k", "1", "PXAT", past), encode_command("SET", "other", "1"))
    advance(server, 5000)
    begin(client, primary, snapshot)
    until(server, lambda: is_up(server), "the link is up")
    assert client.talk(b"DBSIZE\r\nGET k\r\n") == b":2\r\n$-1\r\n"


def test_a_bad_one(server: Server, primary: FakePrimary, client: MemoryClient, snapshot: bytes, load: str) -> None:
    """At once: nothing is left, never a half. Beside: the old data set stays."""
    lines = hear_log(server)
    for bad in (snapshot[:-9] + b"\x00" * 9, snapshot[: len(snapshot) // 2], snapshot[:-8] + b"12345678"):
        begin(client, primary, bad)
        until(server, lambda: server.replica_side.link.status.name == "CONNECT", "it has failed")
        assert any("Failed trying to load the PRIMARY synchronization DB" in line for line in lines)
        assert client.talk(b"DBSIZE\r\n") == (b":0\r\n" if load == AT_ONCE else b":1\r\n")
        assert persistence(client)["loading"] == "0"
        client.talk(b"REPLICAOF NO ONE\r\n")


def test_what_is_no_snapshot_costs_nothing(server: Server, primary: FakePrimary, client: MemoryClient) -> None:
    begin(client, primary, b"hello, I am no snapshot")
    until(server, lambda: server.replica_side.link.status.name == "CONNECT", "it has failed")
    assert client.talk(b"GET old\r\n") == b"$1\r\n1\r\n"


def test_whoever_watches_or_tracks_hears_of_it(
    server: Server, primary: FakePrimary, client: MemoryClient, snapshot: bytes
) -> None:
    with memory_client(server) as watching, memory_client(server) as tracking:
        watching.talk(b"WATCH old\r\nMULTI\r\nPING\r\n")
        tracking.talk(b"HELLO 3\r\nCLIENT TRACKING ON\r\nGET old\r\n")
        begin(client, primary, snapshot)
        until(server, lambda: is_up(server), "the link is up")
        assert watching.talk(b"EXEC\r\n") == b"*-1\r\n"
        assert tracking.talk(b"") == b">2\r\n$10\r\ninvalidate\r\n_\r\n"


def test_a4_19_while_it_is_loaded(
    server: Server, primary: FakePrimary, client: MemoryClient, snapshot: bytes, load: str
) -> None:
    """A4-19: only a data set of the same history is served while another is loaded beside it."""
    loading = b"-LOADING Ranvier is loading the dataset in memory\r\n"
    replication_id = server.replication.replication_id
    client.talk(b"CONFIG SET key-load-delay 300\r\n")
    for same in (False, True):
        begin(client, primary, snapshot, replication_id if same else ID)
        until(server, lambda: server.loading.active, "it is being loaded")
        told = persistence(client)
        served = load == BESIDE and same
        assert (told["loading"], told["async_loading"]) == (("0", "1") if served else ("1", "0"))
        assert client.talk(b"GET old\r\n") == (b"$1\r\n1\r\n" if served else loading)
        assert client.talk(b"REPLICAOF NO ONE\r\n") == loading
        primary.heard()
        advance(server, 1000)
        assert primary.heard() == b"\n"
        assert client.talk(b"CONFIG SET key-load-delay 0\r\n") == b"+OK\r\n"
        server.replica_side.link.close()
        assert client.talk(b"DBSIZE\r\n") == (b":0\r\n" if load == AT_ONCE else b":1\r\n")
        client.talk(b"REPLICAOF NO ONE\r\nSET old 1\r\nCONFIG SET key-load-delay 300\r\n")
        replication_id = server.replication.replication_id
