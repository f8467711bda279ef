"""A bounded random workload over all types, for a server whose replica is compared with it afterwards.

Three sources, mixed by weight: the rules of every type's state machine, each type in a database of its own; random
requests over all data commands (`differential.shapes`) in databases 0, 1 and 9; and what the comparison of two
independent servers has to leave out, because chance or the clock decides it: random pops, generated ids, short times,
blocked clients that are served, transactions. Equal seeds: equal requests; the answers are the server's.
"""

import random
from collections.abc import Iterator, Sequence

from differential import delivered
from differential.machines import (
    test_bitmap_machine,
    test_geo_machine,
    test_hash_machine,
    test_hyperloglog_machine,
    test_set_machine,
    test_sorted_set_machine,
    test_stream_machine,
)
from differential.machines.runner import Machine
from differential.shapes import Generator, Request, read_shapes
from harness.process import ServerProcess
from harness.wire import Wire

MACHINES: Sequence[Machine] = tuple(
    module.MACHINE
    for module in (
        test_bitmap_machine,
        test_geo_machine,
        test_hash_machine,
        test_hyperloglog_machine,
        test_set_machine,
        test_sorted_set_machine,
        test_stream_machine,
    )
)
FIRST_MACHINE_DATABASE = 2
CHANCE_DATABASE = 10
SHAPES_DATABASES = (b"0", b"1", b"9")
BATCH = 50
# A sorted set in which all scores are equal.
LEVEL_KEY = b"all:level"
# These leave little to compare: now and then.
RARE = frozenset({"FLUSHDB", "SWAPDB"})
NOT_DATA = frozenset({"KEYS", "SCAN", "RANDOMKEY", "OBJECT|FREQ", "OBJECT|IDLETIME", "OBJECT|REFCOUNT"})
FIELD_TIMES = frozenset({b"HEXPIRE", b"HPEXPIRE", b"HEXPIREAT", b"HPEXPIREAT", b"HGETEX", b"HSETEX"})


def _known_commands(wire: Wire) -> list[str]:
    """Those of the data commands that this server has."""
    wanted = [name for name in (*delivered.values(), *delivered.GENERIC, *sorted(RARE)) if name not in NOT_DATA]
    replies = wire.call("COMMAND", "INFO", *wanted).items
    return [name for name, reply in zip(wanted, replies, strict=True) if reply.value]


def _is_ambiguous(request: Request) -> bool:
    """What the reference servers' replicas do not do as their primaries.

    Ranges of names mean nothing where scores differ: what goes then hangs on the value's encoding. A command on a
    HyperLogLog made by hand may change it and then fail, and what fails is not passed on.
    """
    name = request[0].upper()
    by_name = name == b"ZRANGESTORE" and b"BYLEX" in (word.upper() for word in request)
    by_hand = any(word.startswith((b"HYLL", b"HYLX")) for word in request)
    return by_name or by_hand or (name == b"ZREMRANGEBYLEX" and request[1] != LEVEL_KEY)


def _is_not_passed_on(request: Request) -> bool:
    """What the reference servers' own replicas do not learn.

    A BITFIELD that fails makes its string longer. SORT BY ... ALPHA leaves members of equal weight as they come, which
    hangs on the server where they come from a set.
    """
    words = {word.upper() for word in request}
    return words >= {b"BITFIELD", b"FAIL"} or words >= {b"SORT", b"BY", b"ALPHA", b"STORE"}


def _is_beyond_redis(request: Request) -> bool:
    return request[0].upper() in FIELD_TIMES or any(word.startswith(b"0x") for word in request)


class Workload:
    """Requests for one server. `run(count)` sends so many of them in pipelines, beside a client that blocks.

    `with_redis`: Redis 7.0 is on one of the two sides. Then what it cannot express is left out (fields of hashes with a
    time), and what it does otherwise: it reads hexadecimal scores.
    """

    def __init__(self, server: ServerProcess, seed: int, *, with_redis: bool = False) -> None:
        self.server = server
        self.choose = random.Random(seed)
        with server.connect() as wire:
            shapes = read_shapes(wire, _known_commands(wire))
        self._names = sorted(shapes.keys() - RARE)
        self._generator = Generator(shapes, seed)
        self._with_redis = with_redis
        self.errors = 0

    def run(self, count: int) -> None:
        """Send `count` requests; the connection's database changes all the time."""
        sent = 0
        with self.server.connect(60) as wire, self.server.connect(60) as waiting:
            waiting.call("SELECT", CHANCE_DATABASE)
            identity = waiting.call("CLIENT", "ID").number
            while sent < count:
                requests = [request for request in self._batch() if not self._is_left_out(request)]
                self._block(waiting)
                self.errors += sum(reply.is_error for reply in wire.pipeline(requests))
                wire.call("CLIENT", "UNBLOCK", identity)
                waiting.reply()
                sent += len(requests)

    def _is_left_out(self, request: Request) -> bool:
        return (
            _is_ambiguous(request)
            or (self._with_redis and _is_beyond_redis(request))
            or (self.server.kind in ("redis", "valkey") and _is_not_passed_on(request))
        )

    def _batch(self) -> Iterator[Request]:
        dice = self.choose.random()
        if dice < 0.45:
            yield from self._of_a_machine()
        elif dice < 0.75:
            yield from self._of_shapes()
        else:
            yield from self._of_chance()

    def _of_a_machine(self) -> Iterator[Request]:
        number = self.choose.randrange(len(MACHINES))
        machine = MACHINES[number]
        yield b"SELECT", b"%d" % (FIRST_MACHINE_DATABASE + number)
        rules, weights = [rule for _, rule in machine.rules], [weight for weight, _ in machine.rules]
        for rule in self.choose.choices(rules, weights, k=BATCH):
            yield rule(self.choose, self.choose.choice(machine.keys))

    def _of_shapes(self) -> Iterator[Request]:
        yield b"SELECT", self.choose.choice(SHAPES_DATABASES)
        if self.choose.random() < 0.3:
            yield from self._generator.seeds()
        for _ in range(BATCH):
            dice = self.choose.random()
            name = self.choose.choice(self._names)
            if dice < 0.005:
                name = "SWAPDB" if dice > 0.001 else "FLUSHDB"
            yield self._generator.request(name)

    def _of_chance(self) -> Iterator[Request]:
        """What chance or the clock decides: the primary's decision has to arrive, not another one."""
        choose = self.choose
        yield b"SELECT", b"%d" % CHANCE_DATABASE
        in_transaction = choose.random() < 0.3
        if in_transaction:
            yield (b"MULTI",)
        for _ in range(BATCH // 2):
            number = b"%d" % choose.randrange(40)
            yield choose.choice((
                (b"SADD", b"set", *(b"%d" % choose.randrange(200) for _ in range(8))),
                (b"SPOP", b"set"), (b"SPOP", b"set", number),
                (b"XADD", b"stream", b"*", b"f", number), (b"XADD", b"stream", b"NOMKSTREAM", b"*", b"f", number),
                (b"XADD", b"stream", b"MAXLEN", b"~", b"50", b"*", b"f", number),
                (b"XGROUP", b"CREATE", b"stream", b"group", b"0", b"MKSTREAM"),
                (b"XREADGROUP", b"GROUP", b"group", b"one", b"COUNT", b"3", b"STREAMS", b"stream", b">"),
                (b"XAUTOCLAIM", b"stream", b"group", b"two", b"0", b"0", b"COUNT", b"2"),
                (b"XACK", b"stream", b"group", b"0-1"),
                (b"SET", b"short:" + number, number, b"PX", b"%d" % choose.randrange(1, 30)),
                (b"SET", b"long:" + number, number, b"EX", b"%d" % choose.randrange(1000, 2000)),
                (b"EXPIRE", b"long:" + number, b"5000", choose.choice((b"NX", b"XX", b"GT", b"LT"))),
                (b"GETEX", b"long:" + number, b"PX", b"900000"), (b"PERSIST", b"long:" + number),
                (b"INCRBYFLOAT", b"float", choose.choice((b"0.1", b"3e5", b"-1.75", b"1e-9"))),
                (b"HINCRBYFLOAT", b"hash", number, b"0.3"), (b"HSET", b"hash", number, b"1"),
                (b"ZADD", LEVEL_KEY, b"0", number), (b"ZREMRANGEBYLEX", LEVEL_KEY, b"[3", b"(30"),
                (b"ZADD", b"zset", b"INCR", b"0.7", number), (b"ZPOPMIN", b"zset", b"2"),
                (b"RPUSH", b"queue", number, b"x" * choose.randrange(200)), (b"LPOP", b"queue", b"3"),
                (b"PFADD", b"hll", *(b"%d" % choose.randrange(10**6) for _ in range(20))), (b"PFCOUNT", b"hll"),
                (b"GETDEL", b"long:" + number), (b"RPUSH", b"served", number), (b"RPUSH", b"source", number),
                (b"ZADD", b"served:z", number, number), (b"SORT", b"set", b"STORE", b"sorted"),
                (b"SETRANGE", b"text", number, b"abc"), (b"APPEND", b"text", number), (b"COPY", b"text", b"copy"),
                (b"BITFIELD", b"bits", b"INCRBY", b"u8", b"#" + number, b"100"), (b"DECRBY", b"counter", number),
                (b"MOVE", b"copy", b"11"), (b"SETBIT", b"bits", number, b"1"), (b"UNLINK", b"counter"),
            ))  # fmt: skip
        if in_transaction:
            yield choose.choice(((b"EXEC",), (b"EXEC",), (b"DISCARD",)))

    def _block(self, waiting: Wire) -> None:
        """A client that waits for what the batch may bring."""
        waiting.send_command(*self.choose.choice((
            (b"BLPOP", b"served", b"0"), (b"BLMOVE", b"served", b"moved", b"LEFT", b"RIGHT", b"0"),
            (b"BRPOPLPUSH", b"source", b"moved", b"0"), (b"BZPOPMIN", b"served:z", b"0"),
            (b"BZMPOP", b"0", b"1", b"served:z", b"MAX", b"COUNT", b"2"),
            (b"BLMPOP", b"0", b"2", b"source", b"served", b"RIGHT", b"COUNT", b"2"),
        )))  # fmt: skip
