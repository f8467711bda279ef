"""Client-side caching as a model: random conversations of several clients, held against live Valkey push by push.

Lifecycle A8-15, A11, A13. Clients come, track in every mode, redirect to each other, read, write, leave and are killed.
"""

from itertools import groupby

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.process import ServerProcess
from modes.tracking_conversations import Party

CLIENTS = "abcd"
SETTINGS = (
    "CLIENT TRACKING ON", "CLIENT TRACKING ON", "CLIENT TRACKING ON NOLOOP", "CLIENT TRACKING ON OPTIN",
    "CLIENT TRACKING ON OPTOUT", "CLIENT TRACKING ON BCAST", "CLIENT TRACKING ON BCAST PREFIX k",
    "CLIENT TRACKING ON BCAST PREFIX k1 PREFIX l NOLOOP", "CLIENT TRACKING ON BCAST NOLOOP REDIRECT @b",
    "CLIENT TRACKING ON REDIRECT @a", "CLIENT TRACKING ON REDIRECT @c", "CLIENT TRACKING ON REDIRECT @d",
    "CLIENT TRACKING ON BCAST PREFIX m REDIRECT @d", "CLIENT TRACKING ON NOLOOP REDIRECT @b",
)
READS = (
    "GET k", "GET k ; GET l", "MGET k k1 l m", "EXISTS m l", "STRLEN k", "TTL l", "LLEN li", "GET k ; SET k 2 ; GET k",
    "CLIENT CACHING YES ; GET k ; GET l", "CLIENT CACHING NO ; GET k ; GET l",
    "CLIENT CACHING YES ; MULTI ; GET k ; MGET l m ; EXEC ; GET n", "MULTI ; GET k ; SET k 1 ; SET l 2 ; EXEC",
)
WRITES = (
    "SET k 1", "SET k1 1", "SET l 1", "MSET k 1 k1 2 m 3", "DEL k l", "RENAME k l", "APPEND m x", "RPUSH li a b",
    "LPOP li 5", "EXPIRE k 1000", "EXPIRE k -1", "SET k 1 EXAT 1", "COPY k k1", "GETDEL k",
    "MULTI ; SET k 1 ; FLUSHALL ; SET l 1 ; GET m ; EXEC", "SET k1 1 ; SET l 1 ; SET k 3 ; DEL m ; SET k1 2",
    "MULTI ; SET k 1 ; PUBLISH x 1 ; SET k1 1 ; PUBLISH x 2 ; EXEC",
)
OTHERS = (
    "CLIENT TRACKING OFF", "CLIENT CACHING YES", "CLIENT CACHING NO", "CLIENT TRACKINGINFO", "CLIENT GETREDIR",
    "SWAPDB 0 1", "SELECT 1", "SELECT 0", "FLUSHALL", "FLUSHDB", "MULTI ; GET k ; NOSUCH ; EXEC ; GET l",
    "MULTI ; CLIENT TRACKING OFF ; GET k ; EXEC", "HELLO 3", "HELLO 3", "HELLO 2", "SUBSCRIBE x", "UNSUBSCRIBE x",
    "PUBLISH x 1", "RESET", "quit", "kill", "kill",
)
LINE = st.sampled_from((READS, READS, READS, WRITES, WRITES, WRITES, SETTINGS, OTHERS)).flatmap(st.sampled_from)
BEGINNING = st.tuples(*(st.sampled_from(SETTINGS) for _ in CLIENTS))
STEPS = st.lists(st.tuples(st.sampled_from(CLIENTS), LINE), min_size=20, max_size=60)
COUNTERS = ("tracking_clients", "tracking_total_prefixes", "tracking_total_keys", "tracking_total_items")


def without_own_null(raw: bytes) -> bytes:
    """The null of a flush is in the receiver's protocol here, in the tracker's on Valkey (docs/compatibility.md)."""
    for start in (b">2\r\n$10\r\ninvalidate\r\n", b"$20\r\n__redis__:invalidate\r\n"):
        head, found, rest = raw.partition(start)
        if found and rest in (b"_\r\n", b"$-1\r\n"):
            return head + found + b"(null)"
    return raw


def arranged(replies: list[bytes]) -> list[bytes]:
    """Invalidations that follow each other, sorted: which tracker of a prefix is served first is Valkey's secret."""
    runs = groupby(map(without_own_null, replies), lambda raw: b"invalidate" in raw[:50])
    return [raw for invalidations, run in runs for raw in (sorted(run) if invalidations else run)]


def shown(party: Party) -> list[object]:
    """Flags and redirections of all clients that are still there, and what is tracked."""
    with party.server.connect() as observer:
        lines = observer.call("CLIENT", "LIST").text.decode().splitlines()
    fields = [dict(field.partition("=")[::2] for field in line.split()) for line in lines]
    names = {str(number): who for who, number in party.ids.items()}
    info = party.server.info("everything")
    return [
        sorted((names[f["id"]], f["flags"], names.get(f["redir"], f["redir"])) for f in fields if f["id"] in names),
        [info[name] for name in COUNTERS],
    ]


def play(server: ServerProcess, beginning: tuple[str, ...], steps: list[tuple[str, str]]) -> list[object]:
    seen: list[object] = []
    with Party(server) as party:
        for who in CLIENTS:
            party.step(who, "PING" if who == "d" else "HELLO 3")
        for who, line in [*zip(CLIENTS, beginning, strict=True), *steps]:
            if line in ("quit", "kill"):
                # It comes back as a new client, which others may redirect to again.
                if line == "quit":
                    party.wire(who).call("QUIT")
                else:
                    with server.connect() as other:
                        other.call("CLIENT", "KILL", "ID", party.ids[who])
                party.wires.pop(who).close()
                gone = party.ids[who]
                party.wire(who)
                party.ids[f"{who}, gone"] = gone
                continue
            heard = party.step(who, line)
            seen.append((who, line, [(name, arranged(got)) for name, got in heard]))
        seen += shown(party)
    return seen


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(beginning=BEGINNING, steps=STEPS)
def test_a13_random_conversations_go_as_on_valkey(
    server: ServerProcess, valkey: ServerProcess, beginning: tuple[str, ...], steps: list[tuple[str, str]]
) -> None:
    assert play(server, beginning, steps) == play(valkey, beginning, steps)
