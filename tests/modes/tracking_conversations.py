"""Conversations about client-side caching, and how they are held: for test_tracking.py and test_tracking_model.py."""

import re

from harness.process import ServerProcess
from harness.wire import Wire, encode_command

MARKER = "end-of-step"

# Steps `who COMMAND ... ; COMMAND ...`. `@x` is the id of client x; all that a step brings to anybody is compared.
CONVERSATIONS = {
    "A13 keys that were read are announced once, whatever the database": """
        a HELLO 3
        a CLIENT TRACKING ON
        a GET k
        b SELECT 1
        b SET k 1
        b SET k 2
        a GET k
        b DEL k
        a EXISTS k l m k
        b MSET l 1 m 2 k 3
        a STRLEN k ; STRLEN l
        b RENAME k l
        a TTL l
        b EXPIRE l 100
        a OBJECT ENCODING l
        b PERSIST l
        a MEMORY USAGE other x y
        a TYPE l
        b COPY l m
        b UNLINK l
        b DEL l
    """,
    "A13 what failed was read too, what only writes was not": """
        a HELLO 3
        a CLIENT TRACKING ON
        a RPUSH list x
        a GET list
        b DEL list
        a LPOS k a RANK 0
        b SET k 1
        a GET k l
        b SET k 1
        a SET k 2 GET
        b SET k 1
        a GETEX k
        b SET k 1
        a LCS k l
        b SET l 1 ; SET k 1
        a MGET a b c a
        b SET c 1 ; SET b 1 ; SET a 1
        a LRANGE list 0 -1
        b RPUSH list 1
        a LLEN list
        b LMOVE list other LEFT RIGHT
        a GETRANGE k 0 1
        b APPEND k x
        a TOUCH k l
        b MSETNX k 1 q 2
        b MSETNX q1 1 q 2
        b GETDEL k
        b SWAPDB 0 1
        b SWAPDB 0 1
        b MOVE l 1
    """,
    "A13 A5-6 own writes are announced after the own reply": """
        a HELLO 3
        a CLIENT TRACKING ON
        a GET k
        a SET k 2 ; GET x ; SET k 3
        a GET k ; INCR k ; INCR k
        a MULTI ; SET k 1 ; GET k ; SET k 2 ; GET x ; EXEC
        a GET k
        a MULTI ; SET k 1 ; SET x 2 ; EXEC ; PING
    """,
    "A13 A5-6 own messages come before own invalidations": """
        a HELLO 3
        a CLIENT TRACKING ON
        a SUBSCRIBE x
        a GET k ; GET l
        a MULTI ; SET k 1 ; PUBLISH x 1 ; SET l 1 ; PUBLISH x 2 ; EXEC
        a GET k
        a SET k 1 ; PUBLISH x 1
    """,
    "A13 inside a transaction reads are remembered": """
        a HELLO 3
        a CLIENT TRACKING ON
        a MULTI ; GET k ; MGET l m ; EXEC
        b SET k 1 ; SET m 1 ; SET l 1
        a MULTI ; GET k ; DISCARD
        b SET k 1
        a MULTI ; CLIENT TRACKING OFF ; GET k ; CLIENT TRACKING ON ; GET l ; CLIENT TRACKINGINFO ; EXEC
        b SET k 1 ; SET l 1
    """,
    "A13 FLUSHALL and FLUSHDB are one null for everybody who tracks": """
        a HELLO 3
        c HELLO 3
        a CLIENT TRACKING ON
        c CLIENT TRACKING ON BCAST PREFIX z NOLOOP
        a GET k
        b FLUSHDB
        b SET k 1
        a GET k
        a FLUSHALL
        c FLUSHALL
        a GET q
        a MULTI ; SET q 1 ; FLUSHALL ; SET k 1 ; EXEC
        b MULTI ; FLUSHALL ; FLUSHDB ; EXEC
        b SELECT 5 ; FLUSHDB ; FLUSHALL ASYNC
        a CLIENT TRACKING ON NOLOOP
        a FLUSHALL
        a CLIENT TRACKING OFF
        b FLUSHALL NOSUCH
        b FLUSHALL
    """,
    "A13 NOLOOP is about the own writes alone": """
        a HELLO 3
        b HELLO 3
        c HELLO 3
        a CLIENT TRACKING ON NOLOOP
        b CLIENT TRACKING ON
        c CLIENT TRACKING ON BCAST NOLOOP
        a GET k
        b GET k
        a SET k 1
        a GET k
        b SET k 2
        c SET k 3
        c SET x 1 ; SET y 1
        c MULTI ; SET k 4 ; EXEC
        a GET k
        a MULTI ; SET k 4 ; SET k 5 ; EXEC
        b SET k 2
    """,
    "A13 BCAST sends a turn's keys once, prefix by prefix": """
        a HELLO 3
        c HELLO 3
        a CLIENT TRACKING ON BCAST
        c CLIENT TRACKING ON BCAST PREFIX b PREFIX a PREFIX bcd
        c CLIENT TRACKING ON BCAST PREFIX b PREFIX a NOLOOP
        b SET ab 1 ; SET aa 1 ; SET b 1 ; SET zz 1 ; SET ab 2
        b SET z 1 ; DEL aa ab nosuch
        a SET a 1
        c SET a 1 ; SET aa 1
        c SET b 1
        c MULTI ; SET a 1 ; SET zz 2 ; EXEC
        b SELECT 3 ; SET a 1
        c GET a
        c CLIENT TRACKING ON BCAST PREFIX ax
        c CLIENT TRACKING ON BCAST PREFIX c
        c CLIENT TRACKINGINFO
        b RENAME a cx
        b SELECT 0
        c CLIENT TRACKING ON BCAST
        c CLIENT TRACKINGINFO
        b SET a 1 ; SET q 1
        c CLIENT TRACKING OFF
        c CLIENT TRACKINGINFO
        b SET a 1
    """,
    "A13 BCAST hears of every change and of nothing else": """
        a HELLO 3
        a CLIENT TRACKING ON BCAST
        b DEL nosuch
        b SET k 1
        b SETNX k 2
        b EXPIRE k 100
        b PERSIST k
        b PERSIST k
        b GETEX k EX 100
        b GETSET k 1
        b RENAME k l
        b COPY l m
        b MOVE m 1
        b RPUSH li a b
        b LPOP li ; LPOP li
        b LREM li 1 x
        b RPUSH li a
        b LSET li 0 b
        b LMOVE li li left right
        b LMOVE li li2 left right
        b LTRIM li2 5 6
        b MSETNX p 1 q 2
        b MSETNX p 1 q 2
        b TOUCH p
        b SETRANGE p 0 a
        b INCR n
        b UNLINK n p q
        b SET k 1 EXAT 1
        b GETDEL l
        b SET k 1
        b EXPIRE k -1
        b SET k 1 ; PEXPIREAT k 1
        b SWAPDB 0 1
    """,
    "A11 A13 OPTIN and OPTOUT with CACHING": """
        a HELLO 3
        a CLIENT TRACKING ON OPTIN
        a GET k
        b SET k 1
        a CLIENT CACHING YES ; GET k ; GET l
        b SET k 1 ; SET l 1
        a CLIENT CACHING YES ; CLIENT ID ; CLIENT TRACKINGINFO ; GET k
        b SET k 1
        a CLIENT CACHING YES ; PING ; GET k
        b SET k 1
        a CLIENT CACHING YES ; NOSUCH ; GET k
        b SET k 1
        a CLIENT CACHING YES ; GET ; GET k
        b SET k 1
        a CLIENT CACHING YES ; CLIENT CACHING NO ; GET k
        b SET k 1
        a CLIENT CACHING YES ; CLIENT CACHING FOO ; GET k
        b SET k 1
        a CLIENT CACHING YES ; CLIENT NOSUCH ; GET k
        b SET k 1
        a CLIENT CACHING YES ; CLIENT TRACKING ON OPTIN ; CLIENT TRACKINGINFO
        a CLIENT CACHING YES ; CLIENT TRACKING ON ; CLIENT TRACKINGINFO
        a GET k ; GET l
        b SET k 1 ; SET l 1
        a CLIENT TRACKING ON OPTIN
        a CLIENT CACHING YES ; MULTI ; GET k ; GET l ; EXEC ; GET m
        b SET k 1 ; SET l 1 ; SET m 1
        a MULTI ; GET k ; CLIENT CACHING YES ; GET l ; PING ; GET m ; EXEC ; GET n
        b SET k 1 ; SET l 1 ; SET m 1 ; SET n 1
        a CLIENT CACHING YES ; MULTI ; GET k ; DISCARD ; GET l
        b SET k 1 ; SET l 1
        a CLIENT CACHING YES ; MULTI ; NOSUCH ; EXEC ; GET l
        b SET l 1
        a CLIENT CACHING YES ; BLPOP nokey 0.01 ; GET k
        b SET k 1
        a CLIENT TRACKING OFF
        a CLIENT TRACKING ON OPTOUT
        a GET k
        b SET k 1
        a CLIENT CACHING NO ; CLIENT TRACKINGINFO ; GET k ; GET l
        b SET k 1 ; SET l 1
        a CLIENT CACHING NO ; MULTI ; GET k ; EXEC ; GET l
        b SET k 1 ; SET l 1
    """,
    "A11 the errors of CACHING": """
        a CLIENT CACHING NO
        a CLIENT CACHING FOO
        a CLIENT TRACKING ON
        a CLIENT CACHING NO
        a CLIENT CACHING YES
        a CLIENT CACHING FOO
        a CLIENT TRACKING ON OPTIN
        a CLIENT CACHING NO
        a CLIENT CACHING yes
        a CLIENT CACHING
        a CLIENT CACHING YES NO
        a CLIENT TRACKING OFF
        a CLIENT TRACKING ON BCAST
        a CLIENT CACHING YES
    """,
    "A11 the errors of TRACKING, in their order": """
        b PING
        a CLIENT TRACKING
        a CLIENT TRACKING FOO
        a CLIENT TRACKING ON FOO
        a CLIENT TRACKING FOO REDIRECT 99999
        a CLIENT TRACKING FOO BCAST
        a CLIENT TRACKING OFF FOO
        a CLIENT TRACKING OFF REDIRECT 99999
        a CLIENT TRACKING OFF REDIRECT @b REDIRECT @b
        a CLIENT TRACKING ON REDIRECT 0
        a CLIENT TRACKING ON REDIRECT abc
        a CLIENT TRACKING ON REDIRECT -1
        a CLIENT TRACKING ON REDIRECT 99999999999999999999
        a CLIENT TRACKING ON REDIRECT 18446744073709551615
        a CLIENT TRACKING ON REDIRECT @b REDIRECT 5
        a CLIENT TRACKING ON REDIRECT @b REDIRECT abc
        a CLIENT TRACKING ON REDIRECT 99999 REDIRECT abc
        a CLIENT TRACKING ON REDIRECT
        a CLIENT TRACKING ON PREFIX
        a CLIENT TRACKING ON PREFIX a
        a CLIENT TRACKING ON PREFIX a FOO
        a CLIENT TRACKING ON BCAST OPTIN
        a CLIENT TRACKING ON BCAST OPTIN OPTOUT
        a CLIENT TRACKING ON BCAST OPTIN PREFIX a PREFIX ab
        a CLIENT TRACKING ON OPTIN OPTOUT
        a CLIENT TRACKING ON OPTIN OPTOUT PREFIX a
        a CLIENT TRACKINGINFO
        a CLIENT TRACKING ON BCAST PREFIX ab
        a CLIENT TRACKING ON
        a CLIENT TRACKING ON PREFIX a
        a CLIENT TRACKING ON OPTIN
        a CLIENT TRACKING ON OPTIN OPTOUT
        a CLIENT TRACKING ON BCAST OPTIN
        a CLIENT TRACKINGINFO
        a CLIENT TRACKING OFF
        a CLIENT TRACKING OFF
        a CLIENT TRACKING ON OPTIN
        a CLIENT TRACKING ON OPTOUT
        a CLIENT TRACKING ON BCAST OPTOUT
        a CLIENT TRACKING ON OPTIN OPTOUT
        a CLIENT TRACKING ON BCAST
        a CLIENT TRACKING ON NOLOOP
        a CLIENT TRACKINGINFO
        a CLIENT TRACKING ON OPTOUT
        a CLIENT TRACKING on optout noloop redirect @b
        a CLIENT TRACKINGINFO
        a CLIENT GETREDIR
        a CLIENT GETREDIR x
        a CLIENT TRACKINGINFO x
        a CLIENT TRACKING off
        a CLIENT GETREDIR
        a MULTI ; CLIENT TRACKING ON ; CLIENT TRACKINGINFO ; CLIENT GETREDIR ; EXEC
        a CLIENT TRACKING OFF BCAST PREFIX a PREFIX a OPTIN
    """,
    "A11 A14 prefixes of a client must not overlap: one error and nothing behind it": """
        a CLIENT TRACKING ON BCAST PREFIX a PREFIX ab
        a CLIENT TRACKING ON BCAST PREFIX ab PREFIX a
        a CLIENT TRACKING ON BCAST PREFIX x PREFIX ab PREFIX a
        a CLIENT TRACKING ON BCAST PREFIX x PREFIX x
        a CLIENT TRACKING ON BCAST PREFIX x PREFIX ""
        a CLIENT TRACKINGINFO
        a CLIENT TRACKING ON BCAST PREFIX ab
        a CLIENT TRACKING ON BCAST PREFIX a
        a CLIENT TRACKING ON BCAST PREFIX c PREFIX a PREFIX ca
        a CLIENT TRACKING ON BCAST PREFIX c PREFIX ca PREFIX a
        a CLIENT TRACKING ON BCAST PREFIX ab
        a CLIENT TRACKING ON BCAST PREFIX ""
        a CLIENT TRACKINGINFO
    """,
    "A13 REDIRECT to RESP2: whoever is subscribed to anything receives": """
        b SUBSCRIBE __redis__:invalidate
        a CLIENT TRACKING ON REDIRECT @b
        a GET k
        c SET k 1
        a GET k
        a SET k 2
        a CLIENT GETREDIR
        a CLIENT TRACKINGINFO
        c FLUSHALL
        a FLUSHALL
        b UNSUBSCRIBE
        a GET k
        c SET k 1
        b SUBSCRIBE other
        a GET k
        c SET k 1
        b UNSUBSCRIBE
        b SSUBSCRIBE shard
        a GET k
        c SET k 1
        b SUNSUBSCRIBE
        b PSUBSCRIBE p*
        a GET k
        c SET k 1
        b RESET
        a GET k
        c SET k 1
    """,
    "A13 REDIRECT to RESP3, chains and oneself": """
        b HELLO 3
        b SUBSCRIBE x
        a CLIENT TRACKING ON REDIRECT @b
        a GET k ; GET l
        b MULTI ; SET k 1 ; PUBLISH x 1 ; SET l 1 ; PUBLISH x 2 ; EXEC
        a GET k
        a MULTI ; SET k 1 ; PING ; EXEC
        a CLIENT TRACKING OFF
        a CLIENT TRACKING ON BCAST REDIRECT @b
        b MULTI ; SET k 1 ; PUBLISH x 1 ; SET l 1 ; PUBLISH x 2 ; EXEC
        a CLIENT TRACKING OFF
        a HELLO 3
        a CLIENT TRACKING ON REDIRECT @a
        a GET k
        a SET k 1
        a CLIENT GETREDIR
        b CLIENT TRACKING ON REDIRECT @a
        b GET k
        a CLIENT TRACKING ON REDIRECT @b
        c SET k 1
        a GET k
        b SET k 1
    """,
    "A13 a target that is gone": """
        b HELLO 3
        a HELLO 3
        d GET x
        a CLIENT TRACKING ON REDIRECT @b
        d CLIENT TRACKING ON REDIRECT @b
        a GET k
        d GET k
        c CLIENT KILL ID @b
        a CLIENT TRACKINGINFO
        c SET k 1
        a CLIENT TRACKINGINFO
        d CLIENT TRACKINGINFO
        a GET k
        a SET k 2
        a GET k ; GET l
        a CLIENT GETREDIR
        c SET k 1 ; SET l 1
        c FLUSHALL
        a FLUSHALL
        a CLIENT TRACKING ON
        a CLIENT TRACKINGINFO
        a GET k
        c SET k 1
        d CLIENT TRACKING ON BCAST REDIRECT @a
        d CLIENT TRACKING OFF
        d CLIENT TRACKING ON BCAST REDIRECT @a
        c SET k 1
        a RESET
        c SET k 1
        d CLIENT TRACKINGINFO
    """,
    "A13 RESP2 without REDIRECT hears nothing; the protocol of the moment counts": """
        a CLIENT TRACKING ON
        a GET k
        b SET k 1
        a SET k 1
        b FLUSHALL
        a GET k
        a HELLO 3
        b SET k 1
        a GET k
        a HELLO 2
        b SET k 1
        a SUBSCRIBE x
        a UNSUBSCRIBE x
        a CLIENT TRACKING OFF
        a CLIENT TRACKING ON BCAST
        b SET k 1
        a SUBSCRIBE x
        b SET k 1
    """,
    "A11 RESET and OFF leave; who comes back is still known": """
        a HELLO 3
        a CLIENT TRACKING ON OPTIN NOLOOP
        a CLIENT CACHING YES ; RESET
        a CLIENT TRACKINGINFO
        a CLIENT GETREDIR
        a HELLO 3
        a CLIENT TRACKING ON
        a GET k ; GET l ; GET m
        a CLIENT TRACKING OFF
        b SET k 1
        a CLIENT TRACKING ON
        b SET l 1
        a CLIENT TRACKING OFF
        a CLIENT TRACKING ON BCAST PREFIX x
        b SET m 1
        a RESET
        b SET x 1
        a CLIENT TRACKING ON OPTIN
        a MULTI ; CLIENT TRACKING OFF ; RESET
        a CLIENT TRACKINGINFO
    """,
    "A13 keyspace events": """
        a CONFIG SET notify-keyspace-events KEA
        a HELLO 3
        a CLIENT TRACKING ON
        a PSUBSCRIBE __key*
        a GET k
        a SET k 1
        a GET k
        b SET k 2
        a CONFIG SET notify-keyspace-events ""
    """,
}


def until_marker(wire: Wire) -> list[bytes]:
    """What has come; behind the end of a connection there is nothing more."""
    found = []
    try:
        while MARKER.encode() not in (reply := wire.reply()).raw:
            found.append(reply.raw)
    except (EOFError, ConnectionResetError):
        found.append(b"(closed)")
    return found


class Party:
    """Clients of one server, which come when they are first named."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self.wires: dict[str, Wire] = {}
        self.ids: dict[str, int] = {}

    def __enter__(self) -> "Party":
        self.flush()
        return self

    def __exit__(self, *_: object) -> None:
        for wire in self.wires.values():
            wire.close()
        self.flush()

    def flush(self) -> None:
        with self.server.connect() as wire:
            wire.call("FLUSHALL")

    def wire(self, who: str) -> Wire:
        if who not in self.wires:
            self.wires[who] = self.server.connect()
            self.ids[who] = self.wires[who].call("CLIENT", "ID").number
        return self.wires[who]

    def words(self, request: str) -> list[str]:
        found = []
        for word in request.split(" "):
            if named := re.fullmatch(r"@(\w)", word):
                self.wire(named[1])
                word = str(self.ids[named[1]])
            found.append("" if word == '""' else word)
        return found

    def step(self, who: str, requests: str) -> list[tuple[str, list[bytes]]]:
        """All that the requests bring to anybody, ids made names. What one turn leaves for the next has come, too."""
        wire = self.wire(who)
        sent = b"".join(encode_command(*self.words(request)) for request in requests.split(" ; "))
        wire.send(sent + encode_command("PING", MARKER))
        heard = [(who, until_marker(wire))]
        for other, its in sorted(self.wires.items()):
            try:
                its.send(encode_command("PING", MARKER))
            except OSError:
                continue                # closed in a step before
            heard.append((other, until_marker(its)))
        return [(name, [self.named(raw) for raw in replies]) for name, replies in heard]

    def named(self, raw: bytes) -> bytes:
        if b"$7\r\nmodules\r\n" in raw:
            return b"(hello)"
        for who, client_id in self.ids.items():
            raw = raw.replace(b":%d\r\n" % client_id, b":<%s>\r\n" % who.encode())
        return raw


def conversation(server: ServerProcess, text: str) -> list[object]:
    """Every step with what it brought."""
    heard: list[object] = []
    with Party(server) as party:
        for line in filter(None, map(str.strip, text.splitlines())):
            who, _, requests = line.partition(" ")
            heard.append((line, party.step(who, requests)))
    return heard
