"""Client-side caching as a model: random conversations of several clients, held against live Valkey push by push.

Lifecycle A8-15, A11, A13. Clients come, track in every mode, redirect to each other, read, write, leave and are killed.
"""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.process import ServerProcess
from modes.tracking_conversations import Party

CLIENTS = "abcd"
LINES = (
    # Setting up: plain, with options, refused.
    "CLIENT TRACKING ON", "CLIENT TRACKING ON", "CLIENT TRACKING ON NOLOOP", "CLIENT TRACKING ON OPTIN",
    "CLIENT TRACKING ON OPTOUT", "CLIENT TRACKING OFF", "CLIENT TRACKING OFF", "CLIENT TRACKING ON BCAST",
    "CLIENT TRACKING ON BCAST PREFIX k", "CLIENT TRACKING ON BCAST PREFIX k1 PREFIX l NOLOOP",
    "CLIENT TRACKING ON BCAST NOLOOP REDIRECT @b", "CLIENT TRACKING ON REDIRECT @a", "CLIENT TRACKING ON REDIRECT @c",
    "CLIENT TRACKING ON BCAST PREFIX m REDIRECT @d", "CLIENT TRACKING ON NOLOOP REDIRECT @b",
    "CLIENT CACHING YES", "CLIENT CACHING NO", "CLIENT TRACKINGINFO", "CLIENT GETREDIR",
    # Conversations about keys; the ones with ";" arrive in one piece.
    "GET k", "GET k1", "MGET k k1 l", "EXISTS m l", "STRLEN k", "TTL l", "LLEN li",
    "SET k 1", "SET k1 1", "SET l 1", "MSET k 1 k1 2 m 3", "DEL k l", "RENAME k l", "INCR n", "APPEND m x", "RPUSH li a b",
    "LPOP li 5", "EXPIRE k 1000", "EXPIRE k -1", "SET k 1 EXAT 1", "SWAPDB 0 1", "SELECT 1", "SELECT 0", "FLUSHALL",
    "FLUSHDB", "COPY k k1", "GETDEL k",
    "CLIENT CACHING YES ; GET k ; GET l", "CLIENT CACHING NO ; GET k ; GET l", "GET k ; SET k 2 ; GET k",
    "CLIENT CACHING YES ; MULTI ; GET k ; MGET l m ; EXEC ; GET n", "MULTI ; GET k ; SET k 1 ; SET l 2 ; EXEC",
    "MULTI ; SET k 1 ; FLUSHALL ; SET l 1 ; GET m ; EXEC", "MULTI ; GET k ; NOSUCH ; EXEC ; GET l",
    "MULTI ; CLIENT TRACKING OFF ; GET k ; EXEC", "SET k1 1 ; SET l 1 ; SET k 3 ; DEL m ; SET k1 2",
    "MULTI ; SET k 1 ; PUBLISH x 1 ; SET k1 1 ; PUBLISH x 2 ; EXEC",
    # Protocols, subscriptions, ends.
    "HELLO 3", "HELLO 3", "HELLO 2", "SUBSCRIBE x", "UNSUBSCRIBE x", "PUBLISH x 1", "RESET", "quit", "kill",
)
STEPS = st.lists(st.tuples(st.sampled_from(CLIENTS), st.sampled_from(LINES)), min_size=8, max_size=60)
COUNTERS = ("tracking_clients", "tracking_total_prefixes", "tracking_total_keys", "tracking_total_items")


def without_own_null(raw: bytes) -> bytes:
    """The null of a flush is in the receiver's protocol here, in the tracker's on Valkey (docs/compatibility.md)."""
    for start in (b">2\r\n$10\r\ninvalidate\r\n", b"$20\r\n__redis__:invalidate\r\n"):
        head, found, rest = raw.partition(start)
        if found and rest in (b"_\r\n", b"$-1\r\n"):
            return head + found + b"(null)"
    return raw


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


def play(server: ServerProcess, steps: list[tuple[str, str]]) -> list[object]:
    seen: list[object] = []
    with Party(server) as party:
        for who in CLIENTS:
            party.step(who, "HELLO 3" if who < "c" else "PING")
        for who, line in steps:
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
            seen.append((who, line, [(name, [without_own_null(raw) for raw in got]) for name, got in heard]))
        seen += shown(party)
    return seen


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(steps=STEPS)
def test_a13_random_conversations_go_as_on_valkey(
    server: ServerProcess, valkey: ServerProcess, steps: list[tuple[str, str]]
) -> None:
    assert play(server, steps) == play(valkey, steps)
