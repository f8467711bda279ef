"""Client-side caching: conversations held with Ranvier and with Valkey, and what only the inside shows.

Lifecycle A0 (place of the broadcasts), A4-12, A5-6, A8-15, A11, A13, A14.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.memory import drop_garbage, memory_client, memory_server, received, socket_client, turn, used_bytes
from harness.process import ServerProcess
from harness.waiting import eventually
from harness.wire import encode_command
from modes.tracking_conversations import CONVERSATIONS, Party, conversation
from ranvier.clock import VirtualClock
from ranvier.commands.spec import load_table
from ranvier.commands.tracking import overlap
from ranvier.server.server import Server
from ranvier.shells.memory import MemoryClient

HELLO = b"HELLO 3\r\n"


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_as_the_reference_talks(server: ServerProcess, valkey: ServerProcess, name: str) -> None:
    """A11 TRACKING, A11 CACHING, A11 GETREDIR, A11 TRACKINGINFO, A13 TRACKING-1, A13 TRACKING-2, A14-10."""
    assert conversation(server, CONVERSATIONS[name]) == conversation(valkey, CONVERSATIONS[name])


def invalidation(*keys: bytes) -> bytes:
    return b">2\r\n$10\r\ninvalidate\r\n*%d\r\n" % len(keys) + b"".join(b"$%d\r\n%s\r\n" % (len(k), k) for k in keys)


NULL_INVALIDATION = b">2\r\n$10\r\ninvalidate\r\n_\r\n"


def figures(server: Server) -> tuple[int, int, int, int]:
    """Clients, keys, items, prefixes."""
    found = server.engine.tracking.figures()
    return (found["tracking_clients"], found["tracking_total_keys"], found["tracking_total_items"],
            found["tracking_total_prefixes"])


# ---- beside Valkey ---------------------------------------------------------------------------------------------------

def test_nobody_redirects_to_a_client_that_was_killed_in_the_same_turn(
    server: ServerProcess, valkey: ServerProcess
) -> None:
    answers = []
    for where in (server, valkey):
        with where.connect() as wire, where.connect() as other:
            target = other.call("CLIENT", "ID").number
            answers.append([str(reply) for reply in wire.pipeline([
                ("CLIENT", "KILL", "ID", target), ("CLIENT", "TRACKING", "ON", "REDIRECT", target), ("GET", "k"),
            ])])
    assert answers[0] == answers[1]


def test_a11_client_list_and_info_show_who_tracks(server: ServerProcess, valkey: ServerProcess) -> None:
    shown = []
    for where in (server, valkey):
        with Party(where) as party:
            for who, line in (
                ("a", "CLIENT TRACKING ON REDIRECT @b"), ("b", "HELLO 3"), ("b", "CLIENT TRACKING ON BCAST PREFIX p"),
                ("c", "CLIENT TRACKING ON BCAST PREFIX p PREFIX q REDIRECT @d"), ("e", "CLIENT TRACKING ON"),
                ("a", "GET k"), ("e", "MGET k l"), ("d", "QUIT"), ("a", "SET q1 1"), ("f", "PING"),
            ):
                party.step(who, line)
            lines = party.wires["f"].call("CLIENT", "LIST").text.decode().splitlines()
            fields = [dict(field.split("=", 1) for field in line.split()) for line in lines]
            ids = {str(number): name for name, number in party.ids.items()}
            shown.append([
                {(ids.get(f["id"]), f["flags"], ids.get(f["redir"], f["redir"])) for f in fields if f["id"] in ids},
                {name: value for name, value in where.info("everything").items() if name.startswith("tracking_")},
                party.wires["f"].call("CLIENT", "LIST", "FLAGS", "tB").text.count(b"\n"),
            ])
    assert shown[0] == shown[1]
    assert shown[0][0] == {("a", "t", "b"), ("b", "tB", "0"), ("c", "tRB", "d"), ("e", "t", "0"), ("f", "N", "-1")}
    assert shown[0][1] == {"tracking_clients": "4", "tracking_total_keys": "2", "tracking_total_items": "3",
                           "tracking_total_prefixes": "2"}


def test_a8_15_counters_go_back_to_zero(server: ServerProcess, valkey: ServerProcess) -> None:
    """Clients and prefixes at once, ids with the next change of their key."""
    for where in (server, valkey):
        with Party(where) as party:
            for who in "abc":
                party.step(who, "HELLO 3")
            party.step("a", "CLIENT TRACKING ON ; GET k ; GET l")
            party.step("b", "CLIENT TRACKING ON BCAST PREFIX x PREFIX y")
            party.step("c", "CLIENT TRACKING ON REDIRECT @a ; GET k")
            for wire in party.wires.values():
                wire.close()
            assert_ids_stay_until_the_next_change(where)


def assert_ids_stay_until_the_next_change(where: ServerProcess) -> None:
    def counters() -> list[int]:
        info = where.info("everything")
        return [int(info[f"tracking_{name}"]) for name in ("clients", "total_prefixes", "total_keys",
                                                           "total_items")]

    eventually(lambda: counters()[:2] == [0, 0], "trackers have left")
    assert counters() == [0, 0, 2, 3]
    with where.connect() as other:
        other.call("SET", "k", "1")
        assert counters() == [0, 0, 1, 1]
        other.call("FLUSHALL")
        assert counters() == [0, 0, 0, 0]


@pytest.mark.parametrize("count", [1, 7, 300])
def test_a4_12_a_table_over_its_limit_forgets_keys_at_random(
    start_server: object, valkey: ServerProcess, server: ServerProcess, count: int
) -> None:
    """Before the next command, and tells whoever read them; with a hundred more each time that is in vain."""
    for where in (server, valkey):
        with Party(where) as party:
            try:
                party.step("a", "HELLO 3 ; CLIENT TRACKING ON ; CONFIG SET tracking-table-max-keys 5")
                wire = party.wire("a")
                names = [f"k{i:03}" for i in range(5 + count)]
                wire.send_command("MGET", *names)
                assert len(wire.reply().items) == 5 + count
                told: list[bytes] = []
                commands = 0
                while len(told) < count:
                    wire.send_command("PING")
                    commands += 1
                    while (reply := wire.reply()).raw != b"+PONG\r\n":
                        told += [item.text for item in reply.items[1].items]
                assert commands == (1 if count <= 100 else 2)
                assert len(set(told)) == count and {text.decode() for text in told} < set(names)
                info = where.info("stats")
                assert (info["tracking_total_keys"], info["tracking_total_items"]) == ("5", "5")
            finally:
                with where.connect() as other:
                    other.call("CONFIG", "SET", "tracking-table-max-keys", 1000000)
                    other.call("FLUSHALL")


def test_a13_null_is_in_the_receivers_protocol(server: ServerProcess) -> None:
    """Not in the tracker's, as on Valkey: a client of RESP2 could not read `_`."""
    heard = []
    for trackers, targets in ((3, 2), (2, 3)):
        with server.connect(protocol=targets) as target, server.connect(protocol=trackers) as tracker:
            target.call("SUBSCRIBE", "x")
            tracker.call("CLIENT", "TRACKING", "ON", "REDIRECT", target.call("CLIENT", "ID").number
                         if targets == 3 else _id_of(server, "SUBSCRIBE"))
            tracker.call("FLUSHALL")
            heard.append(target.reply().raw)
    assert heard == [b"*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n$-1\r\n", NULL_INVALIDATION]


def _id_of(server: ServerProcess, command: str) -> int:
    with server.connect() as wire:
        line = wire.call("CLIENT", "LIST", "FLAGS", "P").text.decode()
    return int(line.split()[0].removeprefix("id="))


# ---- inside ----------------------------------------------------------------------------------------------------------

def test_a0_broadcasts_leave_in_the_turn_of_the_change() -> None:
    """Expired keys included: both happen before the write step."""
    with memory_server() as server, socket_client(server) as peer, memory_client(server) as other:
        peer.send(HELLO + b"CLIENT TRACKING ON BCAST PREFIX k\r\n")
        turn(server, 2)
        received(peer)
        other.talk(b"SET k2 1 PX 5\r\nSET k1 1\r\nSET x 1\r\n")
        assert received(peer)[0] == b""
        turn(server)
        assert received(peer)[0] == invalidation(b"k1", b"k2")
        assert isinstance(server.clock, VirtualClock)
        server.clock.advance(10)
        server.engine.timers.call_at(server.engine.monotonic_ms, lambda: server.engine.expire_keys(True))
        turn(server)
        assert received(peer)[0] == invalidation(b"k2")


def test_a13_expired_keys_are_announced() -> None:
    with memory_server() as server, memory_client(server) as one, memory_client(server) as other:
        one.talk(HELLO + b"CLIENT TRACKING ON\r\nSET k v PX 50\r\nGET k\r\n")
        assert isinstance(server.clock, VirtualClock)
        server.clock.advance(100)
        assert other.talk(b"GET k\r\n") == b"$-1\r\n"
        assert one.talk(b"") == invalidation(b"k")
        one.talk(b"SET k v PX 50\r\nGET k\r\n")
        server.clock.advance(100)
        # Found expired by its own reader: behind the reply, and then remembered as missing.
        assert one.talk(b"GET k\r\n") == b"_\r\n" + invalidation(b"k")
        assert figures(server) == (1, 1, 1, 0)


def test_what_nobody_tracks_costs_the_effect_call_nothing() -> None:
    """The bit of the effect call is on exactly while a key or a prefix is tracked."""
    tracked = 1 << 3
    with memory_server() as server, memory_client(server) as one, memory_client(server) as other:
        def is_on() -> bool:
            return bool(server.engine.settings.effects & tracked)

        assert not is_on()
        one.talk(HELLO + b"CLIENT TRACKING ON\r\n")
        assert not is_on()
        one.talk(b"GET k\r\n")
        assert is_on()
        other.talk(b"SET k 1\r\n")
        assert not is_on()
        one.talk(b"GET k\r\nFLUSHALL\r\n")
        assert not is_on()
        one.talk(b"CLIENT TRACKING OFF\r\nCLIENT TRACKING ON BCAST\r\n")
        assert is_on()
        one.talk(b"RESET\r\n")
        assert not is_on()


def test_a8_15_every_way_of_leaving_leaves_nothing() -> None:
    with memory_server() as server, memory_client(server) as other:
        def round_(number: int) -> None:
            with memory_client(server) as target, memory_client(server) as client:
                client.talk(HELLO)
                redirect = b" REDIRECT %d" % target.handle.id if number % 2 else b""
                if number % 3:
                    client.talk(b"CLIENT TRACKING ON BCAST PREFIX a%d PREFIX b%s\r\n" % (number, redirect))
                else:
                    client.talk(b"CLIENT TRACKING ON%s\r\nMGET a b c%d\r\nSUBSCRIBE x\r\n" % (redirect, number))
                other.talk(b"SET a 1\r\nSET b1 1\r\nSET c%d 1\r\nFLUSHALL\r\n" % number)
                client.talk(b"MULTI\r\nGET a\r\nSET a 1\r\nPUBLISH x 1\r\nEXEC\r\nGET b\r\n")
                turn(server)
                if number % 5 == 0:
                    client.talk(b"RESET\r\n")
                elif number % 5 == 1:
                    client.talk(b"CLIENT TRACKING OFF\r\n")
                elif number % 5 == 2:
                    target.close()
                    other.talk(b"SET b 1\r\n")
            other.talk(b"FLUSHALL\r\n")

        for number in range(60):
            round_(number)
        drop_garbage(server)
        turn(server)
        before = used_bytes(server)
        for number in range(600):
            round_(number)
        drop_garbage(server)
        turn(server)
        assert figures(server) == (0, 0, 0, 0)
        assert used_bytes(server) <= before + 512


def test_many_readers_of_a_key_come_and_go_in_any_order() -> None:
    with memory_server() as server, memory_client(server) as other:
        readers = [MemoryClient(server) for _ in range(40)]
        for reader in readers:
            reader.talk(HELLO + b"CLIENT TRACKING ON\r\n")
        for position in [*range(1, 40, 2), *range(38, -1, -2), 5, 6]:
            readers[position].talk(b"GET k\r\n")
        assert figures(server) == (40, 1, 40, 0)
        for position in (0, 39, 20):
            readers[position].close()
        server.engine.free_closed()
        assert figures(server) == (37, 1, 40, 0)
        other.talk(b"SET k 1\r\n")
        told = [reader.talk(b"").count(b"invalidate") if not reader.handle.closed else 0 for reader in readers]
        assert told == [0 if position in (0, 39, 20) else 1 for position in range(40)]
        assert figures(server) == (37, 0, 0, 0)
        for reader in readers:
            reader.close()


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 400, 448, 449, 5000, 70_000])
def test_keys_of_any_length(length: int) -> None:
    key = bytes(range(256)) * (length // 256) + b"k" * (length % 256)
    with memory_server() as server, memory_client(server) as one, memory_client(server) as two, \
            memory_client(server) as other:
        for client in (one, two):
            client.talk(HELLO + b"CLIENT TRACKING ON\r\n" + encode_command("GET", key))
        with memory_client(server) as wide:
            wide.talk(HELLO + encode_command("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", key))
            other.talk(encode_command("SET", key, "1"))
            turn(server)
            assert [c.talk(b"") for c in (one, two, wide)] == [invalidation(key)] * 3


def test_a_large_broadcast_is_held_once_and_charged_to_everyone() -> None:
    with memory_server() as server, memory_client(server) as writer:
        entered = [MemoryClient(server) for _ in range(20)]
        for client in entered:
            client.talk(HELLO + b"CLIENT TRACKING ON BCAST\r\n")
        names = [b"key:%06d" % number for number in range(5000)]
        size = len(invalidation(*names)) - len(invalidation()) + len(b"5000")
        writer.talk(encode_command("MSET", *(word for name in names for word in (name, "1"))))
        turn(server)
        held = used_bytes(server)
        assert all(client.handle.describe()["omem"] >= size for client in entered)
        assert all(client.talk(b"") == invalidation(*names) for client in entered)
        # Beside it, each of them held one block of 16 KB.
        assert size <= held - used_bytes(server) < 6 * size
        for client in entered:
            client.close()


def test_a6_8_who_does_not_read_its_invalidations_is_closed_at_its_limit() -> None:
    with memory_server(**{"client-output-buffer-limit": "normal 300000 0 0"}) as server, \
            socket_client(server, send_buffer_bytes=4096) as slow, memory_client(server) as writer:
        slow.send(HELLO + b"CLIENT TRACKING ON BCAST\r\n")
        turn(server, 2)
        held = server.engine.clients[0]
        name = b"k" * 2000
        for number in range(10_000):
            if held.closed:
                break
            writer.talk(encode_command("SET", name + b"%d" % number, "1"))
            turn(server)
        assert held.close_reason == "output-buffer-limit"
        turn(server)
        assert figures(server) == (0, 0, 0, 0)


def test_memory_of_prefixes_is_charged_to_the_client() -> None:
    with memory_server() as server, memory_client(server) as client:
        client.talk(HELLO)
        before = client.handle.describe()["tot-mem"]
        client.talk(encode_command("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "x" * 10_000, "PREFIX", "y" * 10_000))
        assert client.handle.describe()["tot-mem"] - before > 20_000
        client.talk(b"CLIENT TRACKING OFF\r\n")
        assert client.handle.describe()["tot-mem"] == before


def test_a4_24_commands_whose_keys_only_their_specifications_tell() -> None:
    """A count of keys at the first place: a range cannot tell them."""
    with memory_server() as server, memory_client(server) as client, memory_client(server) as other:
        record = load_table().get("SINTERCARD")
        assert record is not None
        if b"sintercard" not in server.commands:
            server.engine.add_command("sintercard", record.arity, 0, record.key_range, lambda client, args: 0, record,
                                      container=False, skip_slowlog=False, quick=False, reads=True, keys_asked=True)
        client.talk(HELLO + b"CLIENT TRACKING ON\r\nSINTERCARD 2 a b\r\nSINTERCARD 9 c d\r\n")
        assert figures(server) == (1, 2, 2, 0)
        other.talk(b"MSET a 1 b 1 c 1 2 1\r\n")
        assert client.talk(b"") == invalidation(b"a") + invalidation(b"b")


def test_a13_a_blocked_client_is_told_too() -> None:
    with memory_server() as server, memory_client(server) as client, memory_client(server) as other:
        client.talk(HELLO + b"CLIENT TRACKING ON\r\nGET k\r\nBLPOP l 0\r\n")
        other.talk(b"SET k 1\r\n")
        assert client.talk(b"") == invalidation(b"k")
        other.talk(b"RPUSH l 1\r\n")
        assert client.talk(b"") == b"*2\r\n$1\r\nl\r\n$1\r\n1\r\n"


def test_a8_15_whoever_leaves_in_the_turn_of_a_change_is_not_told() -> None:
    """Prefixes go at once; what was collected for them goes nowhere."""
    with memory_server() as server, memory_client(server) as client, memory_client(server) as other:
        client.talk(HELLO + b"CLIENT TRACKING ON BCAST PREFIX k PREFIX l\r\n")
        other.talk(b"SET k 1\r\nSET l 1\r\n")
        assert client.talk(b"RESET\r\n") == b"+RESET\r\n"
        turn(server)
        assert client.talk(b"") == b""
        assert figures(server) == (0, 0, 0, 0)


# ---- prefixes --------------------------------------------------------------------------------------------------------

WORDS = st.lists(st.text("ab", max_size=4).map(str.encode), max_size=7)


@given(WORDS, WORDS)
def test_the_first_overlap_is_found_as_by_trying_all(given_: list[bytes], existing: list[bytes]) -> None:
    def collide(one: bytes, other: bytes) -> bool:
        return one.startswith(other) or other.startswith(one)

    expected = None
    for i, prefix in enumerate(given_):
        found = [(prefix, other, True) for other in sorted(existing) if collide(prefix, other)]
        found += [(prefix, other, False) for other in given_[i + 1:] if collide(prefix, other)]
        if found:
            expected = found[0]
            break
    assert overlap(given_, existing) == expected


@given(st.lists(st.sets(st.text("ab", max_size=5), max_size=4), min_size=1, max_size=5),
       st.sets(st.text("abc", max_size=6), max_size=12))
def test_prefixes_get_their_keys_and_no_others(wanted: list[set[str]], keys: set[str]) -> None:
    """Many clients with prefixes inside one another's, which for one client alone would be refused."""
    with memory_server() as server, memory_client(server) as writer:
        clients = []
        for prefixes in wanted:
            own = [p for p in sorted(prefixes) if not any(p != q and p.startswith(q) for q in prefixes)]
            client = MemoryClient(server)
            client.talk(HELLO)
            options = [word for prefix in own for word in ("PREFIX", prefix)]
            assert client.talk(encode_command("CLIENT", "TRACKING", "ON", "BCAST", *options)) == b"+OK\r\n"
            clients.append((client, own or [""]))
        writer.talk(b"".join(encode_command("SET", key, "1") for key in keys))
        turn(server)
        for client, own in clients:
            expected = b""
            for prefix in own:
                if found := sorted(key.encode() for key in keys if key.startswith(prefix)):
                    expected += invalidation(*found)
            assert client.talk(b"") == expected
            client.close()
        server.engine.free_closed()
        assert figures(server) == (0, 0, 0, 0)
