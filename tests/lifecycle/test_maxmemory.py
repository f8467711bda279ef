"""maxmemory: keys are evicted before commands and in slices, what needs memory is refused when none may go."""

from typing import Any

import pytest

from harness.memory import (
    drop_garbage,
    hear_log,
    memory_client,
    memory_server,
    read_replies,
    received,
    socket_client,
    turn,
    used_bytes,
)
from harness.wire import encode_command
from ranvier.clock import VirtualClock
from ranvier.observe.info import render
from ranvier.server.server import Server
from ranvier.shells.memory import MemoryClient

OOM = b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"
POLICIES = (
    "allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl",
)
VALUE = "v" * 500


def ask(client: MemoryClient, *words: str | int) -> Any:
    """The reply to a request, without its types."""
    (reply,) = read_replies(client.talk(encode_command(*words)))
    return reply.plain()


def info(server: Server, section: str = "stats") -> dict[str, str]:
    return dict(line.split(":", 1) for line in render(server.figures, [section]).split("\r\n")[1:-1])


def advance(server: Server, milliseconds: int) -> None:
    assert isinstance(server.clock, VirtualClock)
    server.clock.advance(milliseconds)


def fill(client: MemoryClient, count: int, *more: str | int, prefix: str = "key") -> None:
    client.talk(b"".join(encode_command("SET", f"{prefix}{n:06}", VALUE, *more) for n in range(count)))


def limit(server: Server, client: MemoryClient, room_bytes: int = 0) -> int:
    """Set maxmemory so far above what is used now; returns it."""
    value = server.engine.used_memory_bytes + room_bytes
    assert ask(client, "CONFIG", "SET", "maxmemory", value) == b"OK"
    return value


@pytest.mark.parametrize("policy", POLICIES)
def test_a4_11_keys_are_evicted_and_memory_stays_under_the_limit(policy: str) -> None:
    with memory_server(**{"maxmemory-policy": policy}) as server, memory_client(server) as client:
        fill(client, 1000, "EX", 1000)
        most = limit(server, client)
        for start in range(0, 2000, 100):
            fill(client, 100, "EX", 2000 + start, prefix=f"more{start}:")
            server.engine.key_eviction.step()
            assert server.engine.used_memory_bytes <= most
        evicted = int(info(server)["evicted_keys"])
        assert evicted >= 1500
        assert ask(client, "DBSIZE") == 3000 - evicted
        assert info(server)["current_eviction_exceeded_time"] == "0"


def test_a4_11_volatile_policies_leave_the_other_keys_alone() -> None:
    for policy in POLICIES[3:]:
        with memory_server(**{"maxmemory-policy": policy}) as server, memory_client(server) as client:
            fill(client, 500, prefix="stays")
            fill(client, 100, "EX", 1000)
            limit(server, client)
            replies = [ask(client, "SET", f"more{n}", VALUE) for n in range(300)]
            assert replies[0] == b"OK"
            assert b"OOM" in replies[-1]
            assert int(info(server)["evicted_keys"]) == 100
            assert ask(client, "EXISTS", *(f"stays{n:06}" for n in range(500))) == 500


def test_a4_11_the_least_used_go_first() -> None:
    with memory_server(**{"maxmemory-policy": "allkeys-lru", "maxmemory-samples": "64"}) as server, \
            memory_client(server) as client:
        fill(client, 400, prefix="old")
        advance(server, 100_000)
        fill(client, 400, prefix="new")
        ask(client, "GET", "old000007")
        limit(server, client)
        fill(client, 80, prefix="more")
        assert ask(client, "EXISTS", *(f"new{n:06}" for n in range(400))) >= 395
        assert ask(client, "EXISTS", "old000007") == 1
    with memory_server(**{"maxmemory-policy": "allkeys-lfu", "maxmemory-samples": "64"}) as server, \
            memory_client(server) as client:
        fill(client, 400, prefix="often")
        for _ in range(20):
            client.talk(b"".join(encode_command("GET", f"often{n:06}") for n in range(400)))
        fill(client, 400, prefix="once")
        limit(server, client)
        fill(client, 80, prefix="more")
        assert ask(client, "EXISTS", *(f"often{n:06}" for n in range(400))) >= 395
    with memory_server(**{"maxmemory-policy": "volatile-ttl", "maxmemory-samples": "64"}) as server, \
            memory_client(server) as client:
        fill(client, 400, "EX", 1000, prefix="soon")
        fill(client, 400, "EX", 9000, prefix="late")
        limit(server, client)
        fill(client, 80, prefix="more")
        assert ask(client, "EXISTS", *(f"late{n:06}" for n in range(400))) >= 395


def test_a_counter_that_is_not_used_decays() -> None:
    with memory_server(**{"maxmemory-policy": "allkeys-lfu", "lfu-decay-time": "1"}) as server, \
            memory_client(server) as client:
        fill(client, 200, prefix="once-often")
        for _ in range(20):
            client.talk(b"".join(encode_command("GET", f"once-often{n:06}") for n in range(200)))
        advance(server, 60 * 60 * 1000)
        fill(client, 200, prefix="now")
        for _ in range(5):
            client.talk(b"".join(encode_command("GET", f"now{n:06}") for n in range(200)))
        limit(server, client)
        fill(client, 150, prefix="more")
        assert ask(client, "EXISTS", *(f"now{n:06}" for n in range(200))) >= 170


# ---- refusals -------------------------------------------------------------------------------------------------------

def test_a4_11_what_needs_memory_is_refused_and_nothing_else() -> None:
    with memory_server() as server, memory_client(server) as client:
        fill(client, 10)
        ask(client, "CONFIG", "SET", "maxmemory", 1)
        assert client.talk(encode_command("SET", "a", "b")) == OOM
        assert client.talk(encode_command("LPUSH", "a", "b")) == OOM
        assert ask(client, "GET", "key000001") == VALUE.encode()
        assert ask(client, "DEL", "key000001") == 1
        assert ask(client, "EXPIRE", "key000002", 100) == 1
        ask(client, "CONFIG", "SET", "maxmemory", 0)
        assert ask(client, "SET", "a", "b") == b"OK"


def test_a4_11_a_transaction_over_the_limit() -> None:
    with memory_server() as server, memory_client(server) as client, memory_client(server) as admin:
        ask(client, "SET", "a", "b")
        # Refused while it is queued: nothing of it runs.
        ask(admin, "CONFIG", "SET", "maxmemory", 1)
        assert client.talk(b"MULTI\r\nGET a\r\nSET a c\r\nEXEC\r\n") == (
            b"+OK\r\n+QUEUED\r\n" + OOM + b"-EXECABORT Transaction discarded because of previous errors.\r\n"
        )
        assert client.talk(b"MULTI\r\nGET a\r\nEXEC\r\n") == b"+OK\r\n+QUEUED\r\n*1\r\n$1\r\nb\r\n"
        # Refused as a whole: EXEC stands for what it runs.
        ask(admin, "CONFIG", "SET", "maxmemory", 0)
        client.talk(b"MULTI\r\nGET a\r\nSET a c\r\n")
        ask(admin, "CONFIG", "SET", "maxmemory", 1)
        assert client.talk(b"EXEC\r\n") == (
            b"-EXECABORT Transaction discarded because of: " + OOM.removeprefix(b"-")
        )
        assert client.talk(b"GET a\r\n") == b"$1\r\nb\r\n"


def test_a4_11_while_clients_are_paused_nothing_is_evicted() -> None:
    with memory_server(**{"maxmemory-policy": "allkeys-random"}) as server, memory_client(server) as client:
        fill(client, 50)
        ask(client, "CLIENT", "PAUSE", 100_000, "WRITE")
        ask(client, "CONFIG", "SET", "maxmemory", 1)
        server.engine.key_eviction.step()
        assert ask(client, "DBSIZE") == 50
        ask(client, "CLIENT", "UNPAUSE")
        server.engine.key_eviction.step()
        assert ask(client, "DBSIZE") == 0


def test_a4_11_import_mode_evicts_nothing_and_refuses() -> None:
    with memory_server(**{"maxmemory-policy": "allkeys-random", "import-mode": "yes"}) as server, \
            memory_client(server) as client:
        fill(client, 50)
        ask(client, "CONFIG", "SET", "maxmemory", 1)
        assert client.talk(encode_command("SET", "a", "b")) == OOM
        assert ask(client, "DBSIZE") == 50


# ---- slices, effects, figures ---------------------------------------------------------------------------------------

def test_a_lowered_limit_is_worked_off_in_slices_without_anybodys_request() -> None:
    with memory_server(**{"maxmemory-policy": "allkeys-random", "maxmemory-eviction-tenacity": "0"}) as server, \
            memory_client(server) as client:
        log = hear_log(server)
        fill(client, 3000)
        most = limit(server, client, -1_000_000)
        assert log[-1].startswith(f"WARNING: the new maxmemory value set via CONFIG SET ({most}) is smaller than the ")
        slices = 0
        while server.engine.used_memory_bytes > most:
            before = int(info(server)["evicted_keys"])
            turn(server)
            slices += 1
            assert 0 < int(info(server)["evicted_keys"]) - before <= 3 * 16
        assert slices > 10
        assert not server.engine.key_eviction.goes_on
        # Under the limit, and no longer: it stays where it is.
        left = ask(client, "DBSIZE")
        turn(server, 3)
        assert ask(client, "DBSIZE") == left


def test_a_huge_value_is_freed_in_slices_and_takes_no_other_key_with_it() -> None:
    # So many samples that every choice sees all keys.
    with memory_server(**{"maxmemory-policy": "allkeys-lru", "maxmemory-samples": "64"}) as server, \
            memory_client(server) as client:
        for start in range(0, 200_000, 1000):
            client.talk(encode_command("RPUSH", "huge", *(f"{start + n:0200}" for n in range(1000))))
        advance(server, 1_000_000)
        fill(client, 30)
        most = limit(server, client, -10_000)
        rounds = 0
        while server.engine.used_memory_bytes > most:
            server.engine.key_eviction.step()
            rounds += 1
            assert rounds < 10_000
        assert ask(client, "DBSIZE") == 30
        assert info(server)["evicted_keys"] == "1"


def test_the_loop_sleeps_when_something_else_has_made_room() -> None:
    with memory_server(**{"maxmemory-policy": "allkeys-lru", "maxmemory-eviction-tenacity": "0"}) as server, \
            memory_client(server) as client, memory_client(server) as other:
        for following in (lambda: turn(server), lambda: other.talk(b"PING\r\n")):
            fill(client, 3000)
            limit(server, client, -1_000_000)
            assert server.engine.key_eviction.goes_on
            server.engine.key_eviction.step()
            assert server.engine.key_eviction.goes_on
            server.engine.databases[0].flush()
            drop_garbage(server)
            following()
            turn(server)
            assert not server.engine.key_eviction.goes_on
            ask(client, "CONFIG", "SET", "maxmemory", 0)


def test_the_effects_of_an_eviction() -> None:
    changes: list[tuple[int, bytes, str]] = []
    propagated: list[tuple[int, list[list[bytes]]]] = []
    for lazily, word in (("yes", b"UNLINK"), ("no", b"DEL")):
        options = {"maxmemory-policy": "allkeys-lru", "lazyfree-lazy-eviction": lazily, "notify-keyspace-events": "KEe"}
        with memory_server(**options) as server, memory_client(server) as client, memory_client(server) as watcher, \
                memory_client(server) as listener, memory_client(server) as tracker:
            client.talk(b"SELECT 3\r\nSET k v\r\n")
            watcher.talk(b"SELECT 3\r\nWATCH k\r\nMULTI\r\nPING\r\n")
            listener.talk(b"PSUBSCRIBE __key*__:*\r\n")
            tracker.talk(b"HELLO 3\r\nSELECT 3\r\nCLIENT TRACKING ON\r\nGET k\r\n")
            server.observe(lambda *change: changes.append((change[0], change[1], change[3])),
                           lambda *what: propagated.append(what))
            changes.clear()
            propagated.clear()
            ask(client, "CONFIG", "SET", "maxmemory", 1)
            server.engine.key_eviction.step()
            assert changes == [(3, b"k", "evicted")]
            assert propagated == [(3, [[word, b"k"]])]
            heard = listener.talk(b"")
            assert b"__keyspace@3__:k\r\n$7\r\nevicted" in heard and b"__keyevent@3__:evicted\r\n$1\r\nk" in heard
            assert tracker.talk(b"") == b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n"
            assert watcher.talk(b"EXEC\r\n") == b"*-1\r\n"


def test_who_waits_for_the_group_of_an_evicted_stream_learns_of_it() -> None:
    with memory_server(**{"maxmemory-policy": "allkeys-random"}) as server, memory_client(server) as client, \
            memory_client(server) as waiting:
        ask(client, "XGROUP", "CREATE", "s", "g", "$", "MKSTREAM")
        assert waiting.talk(b"XREADGROUP GROUP g c BLOCK 0 STREAMS s >\r\n") == b""
        ask(client, "CONFIG", "SET", "maxmemory", 1)
        turn(server, 2)          # at the end of the one it goes, in the other they are told
        gone = b"-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option\r\n"
        assert waiting.talk(b"") == gone
        ask(client, "CONFIG", "SET", "maxmemory", 0)


def test_a_listener_that_fails_at_an_eviction_ends_nothing() -> None:
    def fail(*change: object) -> None:
        raise ValueError("a listener's own")

    with memory_server(**{"maxmemory-policy": "allkeys-random"}) as server, memory_client(server) as client:
        fill(client, 2)
        logged = hear_log(server)
        server.observe(fail, lambda *what: None)
        ask(client, "CONFIG", "SET", "maxmemory", 1)
        turn(server)
        assert ask(client, "DBSIZE") == 0
        assert sum("ValueError: a listener's own" in line for line in logged) == 2


def test_the_time_over_the_limit_is_counted() -> None:
    with memory_server() as server, memory_client(server) as client:
        ask(client, "CONFIG", "SET", "maxmemory", 1)
        client.talk(encode_command("SET", "a", "b"))
        figures = info(server)
        assert figures["current_eviction_exceeded_time"] == figures["total_eviction_exceeded_time"]
        ask(client, "CONFIG", "SET", "maxmemory", 0)
        assert info(server)["current_eviction_exceeded_time"] == "0"
        ask(client, "CONFIG", "RESETSTAT")
        assert info(server)["total_eviction_exceeded_time"] == "0"
        assert info(server, "memory")["mem_not_counted_for_evict"] == "0"


def test_sampling_holds_no_memory_when_it_is_over() -> None:
    with memory_server(**{"maxmemory-policy": "allkeys-lru"}) as server, memory_client(server) as client:
        before = used_bytes(server)
        fill(client, 2000)
        limit(server, client, -100_000)
        server.engine.key_eviction.step()
        for statement in (("CONFIG", "SET", "maxmemory", 0), ("CONFIG", "SET", "maxmemory-policy", "noeviction"),
                          ("FLUSHALL",)):
            ask(client, *statement)
        drop_garbage(server)
        assert used_bytes(server) - before < 5000


def test_a6_3_a_share_of_a_turn_is_no_limit_while_memory_is_short() -> None:
    sizes: dict[str, int] = {}
    for name, maxmemory in (("roomy", "0"), ("short", "1")):
        with memory_server() as server, memory_client(server) as admin, \
                socket_client(server, send_buffer_bytes=4 << 20) as peer:
            ask(admin, "SET", "k", "v" * 150_000)
            ask(admin, "CONFIG", "SET", "maxmemory", maxmemory)
            peer.send(encode_command("GET", "k"))
            turn(server)
            sizes[name] = len(received(peer)[0])
    assert sizes["roomy"] < 70_000
    assert sizes["short"] == 150_000 + len(b"$150000\r\n\r\n")
