"""A crowd of connections in every mode, sent away in every way, and what the server still holds afterwards.

Every connection gets a mode and a way to go, in turn from all pairs that make sense. The modes are entered with small
requests; the limits are met with one reply, message or request that is larger than the limit, so that the close comes
while it is appended and no kernel buffer has to be filled first.
"""

import contextlib
import itertools
import resource
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from differential.delivered import delivered_commands
from harness.process import ServerProcess, parse_info
from harness.waiting import eventually
from harness.wire import Wire, encode_command

MEGABYTE = 1 << 20
LIMIT_BYTES = MEGABYTE
COPIED_BYTES = 15_000            # of a value short enough to be copied into a reply
GONE_SECONDS = 60.0
# The ways of one batch go together; a batch is small enough that what it owes at once is no great sum.
BATCH = 500

COUNTERS = (
    "blocked_clients", "clients_in_timeout_table", "total_blocking_keys", "total_blocking_keys_on_nokey",
    "watching_clients", "total_watched_keys", "pubsub_clients", "pubsub_channels", "pubsub_patterns",
    "pubsubshard_channels", "tracking_clients", "tracking_total_prefixes",
)  # fmt: skip


def plain(wire: Wire, number: int) -> None:
    wire.pipeline([("CLIENT", "SETNAME", f"guest-{number}"), ("CLIENT", "SETINFO", "LIB-NAME", "crowd"), ("SELECT", 3),
                   ("ECHO", b"e" * 5000), ("NOSUCH", "x")])


def resp3(wire: Wire, _: int) -> None:
    assert not wire.call("HELLO", "3", "SETNAME", "three").is_error


def half_request(wire: Wire, _: int) -> None:
    wire.send(b"PING\r\n*3\r\n$3\r\nSET\r\n$5\r\nnever\r\n$100\r\nhalf")
    wire.reply()


def half_big_argument(wire: Wire, _: int) -> None:
    wire.send(b"PING\r\n*3\r\n$3\r\nSET\r\n$5\r\nnever\r\n$100000\r\n" + b"x" * 40_000)
    wire.reply()


def watching(wire: Wire, number: int) -> None:
    assert wire.call("WATCH", "everybody's", f"own:{number}").raw == b"+OK\r\n"


def in_transaction(wire: Wire, number: int) -> None:
    watching(wire, number)
    wire.pipeline([("MULTI",), ("SET", "never", b"v" * 3000), ("BLPOP", "never", 0), ("NOSUCH",)])


def subscribed(wire: Wire, number: int) -> None:
    wire.send(encode_command("SUBSCRIBE", "everybody's", f"own:{number}") + encode_command("PSUBSCRIBE", f"{number}*")
              + encode_command("SSUBSCRIBE", "shard", f"own:{number}"))
    wire.replies(5)


def subscribed3(wire: Wire, number: int) -> None:
    resp3(wire, number)
    subscribed(wire, number)


def blocked(wire: Wire, number: int) -> None:
    wire.send_command("BLPOP", "everybody's", f"own:{number}", 0)


def blocked_for_long(wire: Wire, number: int) -> None:
    """With a time-out, and a pipeline behind it."""
    wire.send(encode_command("BLMOVE", f"own:{number}", "everybody's", "left", "right", 1000) + b"PING\r\nPING\r\n")


def not_reading(wire: Wire, _: int) -> None:
    """Replies of values that are kept by reference, more than a socket takes."""
    wire.send(encode_command("GET", "large") * 2)
    wire.skip_exactly(100)


def monitoring(wire: Wire, _: int) -> None:
    assert wire.call("MONITOR").raw == b"+OK\r\n"


def tracking(wire: Wire, number: int) -> None:
    resp3(wire, number)
    assert wire.call("CLIENT", "TRACKING", "ON").raw == b"+OK\r\n"
    wire.call("MGET", "everybody's", f"own:{number}")


def broadcast(wire: Wire, number: int) -> None:
    resp3(wire, number)
    assert wire.call("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", f"own:{number}", "PREFIX", "all").raw == b"+OK\r\n"


def silent(wire: Wire, _: int) -> None:
    wire.send_command("CLIENT", "REPLY", "OFF")
    wire.send(b"PING\r\n")


def precious(wire: Wire, _: int) -> None:
    assert wire.call("CLIENT", "NO-EVICT", "ON").raw == wire.call("CLIENT", "NO-TOUCH", "ON").raw == b"+OK\r\n"


@dataclass(frozen=True)
class Mode:
    """`needs`: a command that has to be delivered. `without`: ways to go that have no meaning for it.

    `most`: so many of a round and no more, because each of them is owed megabytes.
    """

    enter: Callable[[Wire, int], None]
    needs: str = "PING"
    without: frozenset[str] = frozenset()
    most: int = 1 << 30


# These never time out. Who waits in the middle of a request or for good has no way to say QUIT.
EXEMPT = frozenset({"time-out"})
SPEECHLESS = frozenset({"QUIT", "protocol error", "output limit"})
MODES: dict[str, Mode] = {
    "plain": Mode(plain),
    "RESP3": Mode(resp3),
    "half request": Mode(half_request, without=SPEECHLESS),
    "half big argument": Mode(half_big_argument, without=SPEECHLESS),
    "watching": Mode(watching, "WATCH"),
    "in MULTI": Mode(in_transaction, "MULTI", frozenset({"output limit"})),
    "subscribed": Mode(subscribed, "SSUBSCRIBE", EXEMPT),
    "subscribed, RESP3": Mode(subscribed3, "SSUBSCRIBE", EXEMPT),
    "blocked": Mode(blocked, "BLPOP", EXEMPT | SPEECHLESS),
    "blocked with time-out": Mode(blocked_for_long, "BLMOVE", EXEMPT | SPEECHLESS),
    "not reading": Mode(not_reading, "GET", frozenset({"time-out", "QUIT", "protocol error"}), 50),
    "MONITOR": Mode(monitoring, "MONITOR", EXEMPT, 50),
    "tracking": Mode(tracking, "CLIENT|TRACKING"),
    "tracking, broadcast": Mode(broadcast, "CLIENT|TRACKING"),
    "REPLY OFF": Mode(silent, "CLIENT|REPLY", frozenset({"output limit"})),
    "NO-EVICT": Mode(precious, "CLIENT|NO-EVICT"),
}
WAYS = ("FIN", "RST", "half-close", "QUIT", "kill", "protocol error", "time-out", "output limit", "query limit")


@dataclass
class Guest:
    wire: Wire
    identity: int
    mode: str
    way: str


def pairs() -> list[tuple[str, str]]:
    """Every mode with every way to go that makes sense for it."""
    delivered = set(delivered_commands())
    return [(name, way) for name, mode in MODES.items() if mode.needs in delivered
            for way in WAYS if way not in mode.without]


def raise_descriptor_limit(wanted: int) -> int:
    """Descriptors that this process may have: `wanted`, or as many as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, allowed), hard))
    return allowed


class Crowd:
    """Rounds of guests at one server. `control` is the only connection that stays."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self.control = server.connect(GONE_SECONDS)
        self._fill()

    def close(self) -> None:
        self.control.close()

    def figures(self) -> dict[str, int]:
        """The counters of modes, clients, descriptors, and memory in bytes.

        A reply that is copied into more blocks than a server keeps for later comes first: how many it has kept of the
        crowd's is a matter of time, and no leak.
        """
        self.control.call("MGET", *["copied"] * (8 * MEGABYTE // COPIED_BYTES))
        info = parse_info(self.control.call("INFO", "everything").text)
        return {
            "connected_clients": int(info["connected_clients"]),
            **{name: int(info[name]) for name in COUNTERS},
            "mem_clients_normal": int(info["mem_clients_normal"]),
            "used_memory": int(info["used_memory"]),
            "descriptors": len(self.server.descriptors()),
            "resident": self.server.resident_bytes(),
        }

    def closes(self) -> dict[str, str]:
        """The reasons for which the server has closed connections so far, when it counts them."""
        info = parse_info(self.control.call("INFO", "everything").text)
        return {name: value for name, value in info.items() if name.startswith("client_closes")}

    def arrive(self, count: int) -> list[Guest]:
        """`count` connections, each in its mode."""
        guests = []
        chosen = list(itertools.islice(itertools.cycle(pairs()), count))
        scarce = [pair for pair in pairs() if MODES[pair[0]].most < count]
        kept = [pair for pair in chosen if pair not in scarce]
        # The costly ones come last: a monitor is told everything that the others do.
        for mode in dict.fromkeys(mode for mode, _ in scarce):
            kept += [pair for pair in chosen if pair[0] == mode][: MODES[mode].most]
        for number, (mode, way) in enumerate(kept):
            wire = self.server.connect(GONE_SECONDS)
            identity = wire.call("CLIENT", "ID").number
            MODES[mode].enter(wire, number)
            guests.append(Guest(wire, identity, mode, way))
        return guests

    def send_away(self, guests: Sequence[Guest]) -> None:
        """All of them, each in its way."""
        by_way = {way: [guest for guest in guests if guest.way == way] for way in WAYS}
        for start in range(0, len(guests), BATCH):
            for way in ("FIN", "RST", "half-close", "QUIT", "protocol error"):
                for guest in guests[start : start + BATCH]:
                    if guest.way == way:
                        LEAVE[way](guest.wire)
        self._kill(by_way["kill"])
        self._meet_query_limit(by_way["query limit"])
        self._meet_output_limit(by_way["output limit"])
        self._time_out(by_way["time-out"])
        left = [guest for guest in guests if guest.way not in ("FIN", "RST")]
        for guest in left:
            _await_end(guest)
        eventually(self.alone, "all clients are gone", GONE_SECONDS)
        self._fill()                 # which forgets the keys that clients tracked

    def _fill(self) -> None:
        self.control.call("FLUSHALL", "SYNC")
        self.control.call("SET", "large", b"l" * (4 * MEGABYTE))
        self.control.call("SET", "copied", b"c" * COPIED_BYTES)

    def alone(self) -> bool:
        """Only the control connection is left, by the server's account and by the kernel's."""
        connected = parse_info(self.control.call("INFO", "clients").text)["connected_clients"]
        return connected == "1" and self.server.connection_count() == 1

    def _set(self, option: str, value: str) -> None:
        assert self.control.call("CONFIG", "SET", option, value).raw == b"+OK\r\n"

    def _kill(self, guests: Sequence[Guest]) -> None:
        for guest in guests:
            assert self.control.call("CLIENT", "KILL", "ID", guest.identity).raw == b":1\r\n", guest

    def _meet_query_limit(self, guests: Sequence[Guest]) -> None:
        """A request that never ends, or whose beginning is in the way of nothing else: one byte too many."""
        self._set("client-query-buffer-limit", str(LIMIT_BYTES))
        for guest in guests:
            beginning = b"" if guest.mode.startswith("half") else b"*3\r\n$3\r\nSET\r\n$5\r\nnever\r\n$2000000\r\n"
            _send_unheard(guest.wire, beginning + b"q" * (LIMIT_BYTES + LIMIT_BYTES // 2))
        eventually(lambda: self._are_gone(guests), "who asks for too much is closed", GONE_SECONDS)
        self._set("client-query-buffer-limit", str(1 << 30))

    def _meet_output_limit(self, guests: Sequence[Guest]) -> None:
        limits = " ".join(f"{kind} {LIMIT_BYTES} 0 0" for kind in ("normal", "pubsub"))
        self._set("client-output-buffer-limit", limits)
        for guest in guests:
            if guest.mode.startswith("subscribed"):
                _send_unheard(guest.wire, encode_command("SUBSCRIBE", "flood"))
            elif guest.mode != "MONITOR":
                _send_unheard(guest.wire, encode_command("SELECT", 0) + encode_command("GET", "large"))
        eventually(lambda: self._are_ready(guests), "the flood finds its subscribers", GONE_SECONDS)
        self.control.call("PUBLISH", "flood", b"f" * (2 * LIMIT_BYTES))
        self.control.call("EXISTS", b"e" * (2 * LIMIT_BYTES))       # for those who monitor
        eventually(lambda: self._are_gone(guests), "who is owed too much is closed", GONE_SECONDS)
        self._set("client-output-buffer-limit", "normal 0 0 0 pubsub 33554432 8388608 60")

    def _time_out(self, guests: Sequence[Guest]) -> None:
        if guests:
            self._set("timeout", "1")
            # The control connection keeps itself busy by asking.
            eventually(lambda: self._are_gone(guests), "idle clients are closed", GONE_SECONDS)
            self._set("timeout", "0")

    def _are_ready(self, guests: Sequence[Guest]) -> bool:
        subscribers = sum(guest.mode.startswith("subscribed") for guest in guests)
        return self.control.call("PUBSUB", "NUMSUB", "flood").items[1].number == subscribers

    def _are_gone(self, guests: Sequence[Guest]) -> bool:
        if not guests:
            return True
        listed = self.control.call("CLIENT", "LIST", "ID", *(guest.identity for guest in guests)).text
        return not listed.strip()


def _send_unheard(wire: Wire, data: bytes) -> None:
    """Send to a server that may close in the middle of it."""
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        wire.send(data)


def _await_end(guest: Guest) -> None:
    """Read to the end that the server has made, and close."""
    try:
        guest.wire.read_to_end()
    except TimeoutError:
        raise AssertionError(f"{guest.mode}, {guest.way}: still connected") from None
    guest.wire.close()


LEAVE: dict[str, Callable[[Wire], None]] = {
    "FIN": lambda wire: wire.close(),
    "RST": lambda wire: wire.reset(),
    "half-close": lambda wire: wire.half_close(),
    "QUIT": lambda wire: wire.send(encode_command("QUIT")),
    "protocol error": lambda wire: wire.send(b"*x\r\n"),
}
