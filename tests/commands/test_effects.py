"""Law 7, seen from outside: what every write tells and what it is propagated as.

The events are held against Valkey's keyspace notifications for the same requests; the propagated forms against what the
command table promises: deterministic, with absolute times and resulting values.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

import ranvier
from harness.process import ServerProcess
from harness.wire import Wire
from ranvier.clock import VirtualClock
from ranvier.commands.spec import load_table

WALL_MS = 1_700_000_000_000
Event = tuple[int, str, str]


@dataclass
class Observed:
    """A server, a connection to it, and what its effect calls told."""

    wire: Wire
    events: list[Event] = field(default_factory=list)
    propagated: list[list[bytes]] = field(default_factory=list)

    def run(self, lines: str) -> None:
        for line in lines.split(";"):
            reply = self.wire.call(*line.split())
            assert not reply.is_error, (line, reply)


@pytest.fixture
def observed() -> Iterator[Observed]:
    with ranvier.Server(clock=VirtualClock(WALL_MS)) as server, Wire(server.port) as wire:
        seen = Observed(wire)
        server.core.post(lambda: server.core.observe(
            lambda database, key, _, event: seen.events.append((database, key.decode(), event)),
            lambda database, requests: seen.propagated.extend(requests),
        ))
        wire.call("PING")
        yield seen


# Set-up ; lines, and what the last of them is propagated as ("" for nothing). Times count from the virtual clock.
PAYLOAD = "\x00\x05aajhu\x08\x00VBji1jJC"          # of DUMP, such that it has no space
READ = "xadd s 1-1 f v;xgroup create s g 0;xreadgroup group g c streams s >;xadd s 2-1 f v"
WRITES = """
; append k v > append k v
; decr k > decr k
; decrby k 2 > decrby k 2
set k v ; delifeq k v > DEL k
set k v ; delifeq k w >
set k v ; getdel k > DEL k
; getdel k >
set k v ; getex k ex 10 > PEXPIREAT k 1700000010000
set k v ; getex k exat 1 > UNLINK k
set k v ex 9 ; getex k persist > PERSIST k
set k v ; getex k >
set k v ; getset k w > SET k w
; incr k > incr k
; incrby k 5 > incrby k 5
; incrbyfloat k 1.5 > SET k 1.5 KEEPTTL
; mset a 1 b 2 > mset a 1 b 2
; msetex 2 a 1 b 2 ex 10 > SET a 1 PXAT 1700000010000 | SET b 2 PXAT 1700000010000
; msetex 1 a 1 > SET a 1
set a 1 ; msetex 1 a 2 nx >
set a 1 ex 9 ; msetex 1 a 2 keepttl > SET a 2 KEEPTTL
; msetnx a 1 > msetnx a 1
set a 1 ; msetnx a 1 b 2 >
; psetex k 5 v > SET k v PXAT 1700000000005
; set k v > set k v
; set k v ex 10 > SET k v PXAT 1700000010000
; set k v px 10 nx > SET k v PXAT 1700000000010
; set k v exat 2000000000 get > SET k v PXAT 2000000000000
set k v ; set k w keepttl > SET k w KEEPTTL
set k v ; set k w nx >
set k v ; set k w exat 1 > UNLINK k
set k v ; set k w ifeq v pxat 1 get > UNLINK k
set k v ; set k w ifne v2 > SET k w
set k v ; set k w ifne v >
; set k w ifdne 0000000000000000 ex 10 > SET k w PXAT 1700000010000
rpush k v ; set k w exat 1 > UNLINK k
; increx k > SET k 1
set k 5 ; increx k byint 9 ubound 7 saturate ex 10 > SET k 7 PXAT 1700000010000
set k 5 ; increx k byint 9 ubound 7 >
set k 5 ex 10 ; increx k byfloat 0.5 > SET k 5.5 PXAT 1700000010000
set k 5 ex 10 ; increx k persist > SET k 6
set k 5 ; increx k pxat 1 > UNLINK k
set k v ; set k w nx exat 1 >
; set k w exat 1 >
; setex k 5 v > SET k v PXAT 1700000005000
; setnx k v > setnx k v
set k v ; setnx k w >
; setrange k 2 v > setrange k 2 v
; setrange k 2 "" >
set a 1;set b 2 ; del a no b > del a no b
; del no >
set a 1 ; unlink a > unlink a
set k v ; expire k 10 > PEXPIREAT k 1700000010000
set k v ; expire k -1 > UNLINK k
set k v ; pexpire k 10 > PEXPIREAT k 1700000000010
set k v ; expireat k 2000000000 > PEXPIREAT k 2000000000000
set k v ; pexpireat k 1 > UNLINK k
; expire k 10 >
set k v ex 9 ; persist k > persist k
set k v ; persist k >
set a 1 ; rename a b > rename a b
set a 1 ; renamenx a b > renamenx a b
set a 1 ; copy a b > copy a b
set a 1 ; move a 1 > move a 1
set a 1 ; flushdb > flushdb
set a 1 ; flushall async > flushall async
set a 1 ; swapdb 0 1 > swapdb 0 1
; lpush l 1 2 > lpush l 1 2
; lpushx l 1 >
rpush l 1 ; lpushx l 2 > lpushx l 2
; rpush l 1 > rpush l 1
rpush l 1 ; rpushx l 2 > rpushx l 2
rpush l 1 2 ; lpop l > lpop l
rpush l 1 2 ; rpop l 2 > rpop l 2
; lpop l >
rpush l 1 2 ; linsert l before 2 9 > linsert l before 2 9
rpush l 1 2 ; linsert l before 7 9 >
rpush l 1 2 ; lset l 0 9 > lset l 0 9
rpush l 1 2 1 ; lrem l 0 1 > lrem l 0 1
rpush l 1 2 1 ; lrem l 0 7 >
rpush l 1 2 3 ; ltrim l 1 1 > ltrim l 1 1
rpush l 1 ; lmove l m left right > lmove l m left right
rpush l 1 ; rpoplpush l m > rpoplpush l m
rpush l 1 2 ; lmpop 2 k l left count 2 > LPOP l 2
rpush l 1 2 ; lmpop 1 l right > RPOP l 1
rpush l 1 2 ; blpop k l 0 > LPOP l
rpush l 1 2 ; brpop l 1 > RPOP l
rpush l 1 2 ; blmove l m left right 0 > LMOVE l m left right
rpush l 1 2 3 ; lmovem l m left left count 2 bulk > LPUSH m 2 1 | LPOP l 2
rpush l 1 2 3 ; lmovem l m right left count 2 obo > LPUSH m 3 2 | RPOP l 2
rpush l 1 2 3 ; lmovem l m left right exactly 4 obo >
rpush l 1 2 3 ; blmovem l m left right 0 > RPUSH m 1 | LPOP l 1
rpush l 1 2 3 ; lmovem l l left left count 2 obo >
rpush l 1 2 ; brpoplpush l m 0 > RPOPLPUSH l m
rpush l 1 2 ; blmpop 0 2 k l left count 2 > LPOP l 2
rpush l 2 1 ; sort l store m > RPUSH m 1 2
rpush l 2 1;set m x ; sort l store m > DEL m | RPUSH m 1 2
set m x ; sort no store m > DEL m
; sort no store m >
; migrate 127.0.0.1 1 no 0 10 >
; restore k 0 %payload > restore k 0 %payload
; restore k 10000 %payload > restore k 1700000010000 %payload ABSTTL
set k v ; restore k 9000 %payload replace idletime 5 > restore k 1700000009000 %payload replace idletime 5 ABSTTL
set k v ; restore k 1 %payload replace absttl > UNLINK k
; restore k 1 %payload absttl >
; restore-asking k 0 %payload > restore-asking k 0 %payload
; sadd s 1 2 > sadd s 1 2
sadd s 1 ; sadd s 1 >
sadd s 1 2 ; srem s 1 9 > srem s 1 9
sadd s 1 ; srem s 1 > srem s 1
sadd s 1 ; srem s 9 >
sadd s 1 ; spop s > SREM s 1
sadd s 1 ; spop s 5 > UNLINK s
sadd s 1 ; spop s 0 >
; spop s >
sadd s 1 2 ; smove s t 1 > smove s t 1
sadd s 1;sadd t 1 ; smove s t 1 > smove s t 1
sadd s 1 ; smove s s 1 >
sadd s 1 ; smove s t 9 >
sadd s 1 2;sadd t 2 ; sinterstore d s t > sinterstore d s t
sadd s 1 2;set d x ; sinterstore d s no > sinterstore d s no
sadd s 1 2 ; sinterstore d s no >
sadd s 1 2 ; sunionstore s s t > sunionstore s s t
sadd s 1;sadd d 1 ; sunionstore d t > sunionstore d t
sadd s 1 2;sadd t 2 ; sdiffstore d s t > sdiffstore d s t
sadd s 1 2;sadd d 2 ; sdiffstore d s s > sdiffstore d s s
; setbit k 9 1 > setbit k 9 1
setbit k 9 1 ; setbit k 9 1 >
; setbit k 9 0 > setbit k 9 0
setbit k 9 1 ; setbit k 7 0 >
; bitfield k set u8 0 5 incrby i5 #2 -1 > bitfield k set u8 0 5 incrby i5 #2 -1
setbit k 9 1 ; bitfield k set u8 0 0 get u8 8 >
setbit k 9 1 ; bitfield k get u8 8 >
setbit k 9 1 ; bitfield k overflow fail incrby u2 0 4 >
set a abc;set b abd ; bitop xor k a b > bitop xor k a b
set k v ; bitop or k a b > bitop or k a b
; bitop or k a b >
; pfadd k a b > pfadd k a b
pfadd k a b ; pfadd k a >
; pfadd k > pfadd k
pfadd k a ; pfcount k > pfcount k
pfadd k a;pfcount k ; pfcount k >
pfadd k a;pfadd l b ; pfmerge k l m > pfmerge k l m
; pfmerge k > pfmerge k
pfadd k a ; pfdebug todense k > pfdebug todense k
pfadd k a ; pfdebug encoding k >
set k v ; delex k > DEL k
set k v ; delex k ifeq v > DEL k
set k v ; delex k ifne v >
; hset h a 1 b 2 > hset h a 1 b 2
; hmset h a 1 > hmset h a 1
; hsetnx h a 1 > hsetnx h a 1
hset h a 1 ; hsetnx h a 2 >
hset h a 1 b 2 ; hdel h a c > hdel h a c
hset h a 1 ; hdel h a > hdel h a
hset h a 1 ; hdel h b >
; hincrby h a 5 > hincrby h a 5
hsetex h pxat 4102444800000 fields 1 a 1 ; hincrby h a 5 > HSETEX h PXAT 4102444800000 FIELDS 1 a 6
; hincrbyfloat h a 1.5 > HSET h a 1.5
hsetex h pxat 4102444800000 fields 1 a 1 ; hincrbyfloat h a .5 > HSETEX h PXAT 4102444800000 FIELDS 1 a 1.5
hset h a 1 b 2 ; hexpire h 10 fields 2 a c > HPEXPIREAT h 1700000010000 FIELDS 1 a
hset h a 1 ; hexpire h 10 xx fields 1 a >
hset h a 1 b 2 ; hexpire h 0 fields 2 a c > HDEL h a
hset h a 1 ; hpexpire h 10 nx fields 1 a > HPEXPIREAT h 1700000000010 FIELDS 1 a
hset h a 1 ; hexpireat h 4102444800 fields 1 a > HPEXPIREAT h 4102444800000 FIELDS 1 a
hset h a 1 ; hexpireat h 1 fields 1 a > HDEL h a
hset h a 1 ; hpexpireat h 4102444800000 fields 1 a > HPEXPIREAT h 4102444800000 FIELDS 1 a
hset h a 1 ; hpexpireat h 4102444800000 fields 1 b >
hsetex h ex 10 fields 1 a 1 ; hpersist h fields 2 a b > hpersist h fields 2 a b
hset h a 1 ; hpersist h fields 1 a >
hset h a 1 ; hgetex h fields 1 a >
hset h a 1 ; hgetex h ex 10 fields 2 a b > HPEXPIREAT h 1700000010000 FIELDS 1 a
hset h a 1 b 2 ; hgetex h exat 1 fields 1 a > HDEL h a
hsetex h ex 10 fields 1 a 1 ; hgetex h persist fields 2 a b > HPERSIST h FIELDS 1 a
hset h a 1 ; hgetex h persist fields 1 a >
; hsetex h fields 1 a 1 > HSETEX h FIELDS 1 a 1
; hsetex h ex 10 fnx fields 2 a 1 b 2 > HSETEX h PXAT 1700000010000 FIELDS 2 a 1 b 2
hset h a 1 ; hsetex h keepttl fxx fields 1 a 2 > HSETEX h KEEPTTL FIELDS 1 a 2
hset h a 1 ; hsetex h fnx fields 1 a 2 >
hset h a 1 ; hsetex h exat 1 fields 2 a 2 b 3 > HDEL h a
; hsetex h exat 1 fields 1 a 2 >
hset h a 1 b 2 ; hgetdel h fields 2 a c > HDEL h a
hset h a 1 ; hgetdel h fields 1 a > HDEL h a
hset h a 1 ; hgetdel h fields 1 b >
; zadd z 1 a 2 b > zadd z 1 a 2 b
zadd z 1 a ; zadd z 1 a >
zadd z 1 a ; zadd z ch 2 a 1 b > zadd z ch 2 a 1 b
zadd z 1 a ; zadd z xx 2 b >
; zadd z incr 2 a > zadd z incr 2 a
zadd z 1 a ; zadd z nx incr 2 a >
; zincrby z 2.5 a > ZADD z 2.5 a
zadd z 1 a ; zincrby z 0 a >
zadd z 1 a 2 b ; zrem z a c > zrem z a c
zadd z 1 a ; zrem z a > zrem z a
zadd z 1 a ; zrem z b >
zadd z 1 a 2 b ; zremrangebyrank z 0 0 > zremrangebyrank z 0 0
zadd z 1 a 2 b ; zremrangebyrank z 5 9 >
zadd z 1 a 2 b ; zremrangebyscore z 0 5 > zremrangebyscore z 0 5
zadd z 1 a 1 b ; zremrangebylex z [b + > zremrangebylex z [b +
zadd z 1 a 2 b ; zrangestore y z 0 0 > zrangestore y z 0 0
set y x;zadd z 1 a ; zrangestore y z 5 9 > zrangestore y z 5 9
; zrangestore y z 5 9 >
zadd z 1 a 2 b ; zpopmin z > zpopmin z
zadd z 1 a 2 b ; zpopmax z 5 > zpopmax z 5
zadd z 1 a ; zpopmin z 0 >
zadd z 1 a 2 b ; zmpop 2 k z min count 5 > ZPOPMIN z 2
zadd z 1 a 2 b ; zmpop 1 z max > ZPOPMAX z 1
zadd z 1 a 2 b ; bzpopmin k z 0 > ZPOPMIN z
zadd z 1 a ; bzpopmax z 1 > ZPOPMAX z
zadd z 1 a 2 b ; bzmpop 0 2 k z min count 5 > ZPOPMIN z 2
zadd z 1 a 2 b ; zunionstore y 2 z k weights 2 3 > zunionstore y 2 z k weights 2 3
set y x ; zunionstore y 1 z > zunionstore y 1 z
; zunionstore y 1 z >
zadd z 1 a;sadd s a b ; zinterstore y 2 z s > zinterstore y 2 z s
zadd z 1 a;zadd y 1 a ; zdiffstore y 2 z y > zdiffstore y 2 z y
; xadd s 1-1 f v > xadd s 1-1 f v
; xadd s * f v > xadd s 1700000000000-0 f v
xadd s 5-1 f v ; xadd s 5-* f v > xadd s 5-2 f v
xadd s 1-1 f v ; xadd s maxlen 1 2-1 f v > xadd s maxlen 1 2-1 f v
xadd s 1-1 f v ; xadd s maxlen ~ 1 limit 9 2-1 f v > xadd s maxlen = 2 2-1 f v
xadd s 1-1 f v ; xadd s minid ~ 2 2-1 f v > xadd s minid = 1-1 2-1 f v
; xadd s nomkstream * f v >
xadd s 1-1 f v;xadd s 2-1 f v ; xdel s 1-1 7-7 > xdel s 1-1 7-7
xadd s 1-1 f v ; xdel s 7-7 >
xadd s 1-1 f v;xadd s 2-1 f v ; xtrim s maxlen 1 > xtrim s maxlen 1
xadd s 1-1 f v;xadd s 2-1 f v ; xtrim s maxlen ~ 0 limit 9 > xtrim s maxlen = 0
xadd s 1-1 f v ; xtrim s minid ~ 7-7 limit 0 > xtrim s minid = 18446744073709551615-18446744073709551615
xadd s 1-1 f v ; xadd s minid ~ 7-7 limit 0 2-1 f v > xadd s minid = 18446744073709551615-18446744073709551615 2-1 f v
xadd s 1-1 f v ; xtrim s maxlen 1 >
xadd s 1-1 f v ; xsetid s 9-9 > xsetid s 9-9
; xgroup create s g $ mkstream > xgroup create s g 0-0 mkstream
xadd s 1-1 f v ; xgroup create s g 0 > xgroup create s g 0
xadd s 1-1 f v;xgroup create s g 0 ; xgroup setid s g $ entriesread 1 > xgroup setid s g 1-1 entriesread 1
xadd s 1-1 f v;xgroup create s g 0 ; xgroup createconsumer s g c > xgroup createconsumer s g c
xadd s 1-1 f v;xgroup create s g 0;xgroup createconsumer s g c ; xgroup createconsumer s g c >
xadd s 1-1 f v;xgroup create s g 0;xgroup createconsumer s g c ; xgroup delconsumer s g c > xgroup delconsumer s g c
xadd s 1-1 f v;xgroup create s g 0 ; xgroup delconsumer s g c >
xadd s 1-1 f v;xgroup create s g 0 ; xgroup destroy s g > xgroup destroy s g
xadd s 1-1 f v ; xgroup destroy s g >
READ ; xreadgroup group g c streams s > > XCLAIM s g c 0 2-1 TIME 1700000000000 RETRYCOUNT 1 FORCE JUSTID LASTID 2-1 \
    | XGROUP SETID s g 2-1 ENTRIESREAD 2
READ ; xreadgroup group g c noack streams s > > XGROUP SETID s g 2-1 ENTRIESREAD 2
READ ; xreadgroup group g d streams s 0 > XGROUP CREATECONSUMER s g d
READ ; xreadgroup group g c streams s 0 >
READ ; xack s g 1-1 7-7 > xack s g 1-1 7-7
READ ; xack s g 7-7 >
READ ; xclaim s g c 0 1-1 > XCLAIM s g c 0 1-1 TIME 1700000000000 RETRYCOUNT 2 FORCE JUSTID LASTID 1-1
READ ; xclaim s g d 0 1-1 7-7 justid > XGROUP CREATECONSUMER s g d \
    | XCLAIM s g d 0 1-1 TIME 1700000000000 RETRYCOUNT 1 FORCE JUSTID LASTID 1-1
READ ; xclaim s g c 99 1-1 >
READ ; xclaim s g c 99 1-1 lastid 3-0 > XGROUP SETID s g 3-0 ENTRIESREAD 1
READ ; xclaim s g c 0 1-1 lastid 3-0 > XCLAIM s g c 0 1-1 TIME 1700000000000 RETRYCOUNT 2 FORCE JUSTID LASTID 3-0
READ ; xclaim s g d 0 9-9 lastid 3-0 > XGROUP CREATECONSUMER s g d | XGROUP SETID s g 3-0 ENTRIESREAD 1
READ ; xclaim s g c 0 9-9 lastid 1-0 >
READ ; xautoclaim s g c 0 0 > XCLAIM s g c 0 1-1 TIME 1700000000000 RETRYCOUNT 2 FORCE JUSTID LASTID 1-1
READ ; xautoclaim s g c 99 0 >
READ ; xdelex s delref ids 2 1-1 9-9 > XACK s g 1-1 | XDEL s 1-1
READ ; xdelex s acked ids 1 2-1 >
READ ; xackdel s g ids 1 1-1 > XACK s g 1-1 | XDEL s 1-1
; geoadd k 0 0 a 90 0 b > ZADD k 3377699720527872 a 3940649673949184 b
geoadd k 0 0 a ; geoadd k nx 1 1 a >
geoadd k 0 0 a ; geosearchstore d k fromlonlat 0 0 byradius 1 km > DEL d | ZADD d 3377699720527872 a
set d v ; geosearchstore d k fromlonlat 0 0 byradius 1 km > DEL d
; geosearchstore d k fromlonlat 0 0 byradius 1 km >
geoadd k 0 0 a ; georadius k 0 0 1 km store d > DEL d | ZADD d 3377699720527872 a
geoadd k 0 0 a ; georadiusbymember k a 1 km storedist d > DEL d | ZADD d 0 a
geoadd k 0 0 a ; georadiusbymember k a 1 km >
; get k >
""".replace("%payload", PAYLOAD).strip().splitlines()


def parts(line: str) -> tuple[str, str, str]:
    """Set-up, the request, its propagated form."""
    request, _, form = line.replace("READ ;", READ + " ;").rpartition(">")
    setup, _, request = request.rpartition(" ; ") if " ; " in request else ("", "", request.lstrip("; "))
    return setup.strip(), request.strip().replace('""', ""), form.strip()


@pytest.mark.parametrize("line", WRITES)
def test_propagated_form(observed: Observed, line: str) -> None:
    setup, request, form = parts(line)
    if setup:
        observed.run(setup)
    observed.propagated.clear()
    words = request.split(" ")
    assert not observed.wire.call(*words).is_error
    expected = [part.encode().split() for part in form.split("|")] if form else []
    assert observed.propagated == ([[b"MULTI"], *expected, [b"EXEC"]] if len(expected) > 1 else expected)


def test_many_popped_members_are_propagated_in_parts(observed: Observed) -> None:
    observed.run("sadd s " + " ".join(map(str, range(3000))))
    for count, parts_of in ((2500, [1024, 1024, 452]), (100, [100])):
        observed.propagated.clear()
        popped = [item.text for item in observed.wire.call("SPOP", "s", count).items]
        requests = observed.propagated[1:-1] if len(parts_of) > 1 else observed.propagated
        assert [len(request) - 2 for request in requests] == parts_of
        assert all(request[:2] == [b"SREM", b"s"] for request in requests)
        assert [member for request in requests for member in request[2:]] == popped
    observed.run("config set lazyfree-lazy-server-del no")
    observed.run("spop s 400")
    assert observed.propagated[1:] == [[b"DEL", b"s"]]


def test_every_write_is_in_the_list() -> None:
    words = [parts(line)[1].upper().split() for line in WRITES]
    covered = {word[0] for word in words} | {" ".join(word[:2]) for word in words}
    writes = {record.name for record in load_table().implemented() if "write" in record.flag_set}
    assert writes <= covered


# Whole databases are told of as such; the reference tells of no event then. Some commands it does not have.
UNKNOWN_THERE = re.compile(r"flush|swapdb|delex|xdelex|xackdel|increx|b?lmovem|set .* ifd?ne")
ONE_KEY = [line for line in WRITES if not UNKNOWN_THERE.match(parts(line)[1])]


@pytest.mark.parametrize("line", ONE_KEY)
def test_events_are_the_reference_events(observed: Observed, valkey: ServerProcess, line: str) -> None:
    setup, request, _ = parts(line)
    with valkey.connect() as theirs, valkey.connect() as listener:
        theirs.call("FLUSHALL")
        theirs.call("CONFIG", "SET", "notify-keyspace-events", "EA")
        listener.call("PSUBSCRIBE", "__keyevent@*__:*")
        for part in [*filter(None, setup.split(";")), request]:
            theirs.call(*part.strip(" ").split(" "))
            observed.wire.call(*part.strip(" ").split(" "))
        theirs.call("PUBLISH", "__keyevent@9__:end", "")
        expected: list[Event] = []
        while True:
            _, _, channel, key = (item.text.decode() for item in listener.reply().items)
            where, _, event = channel.removeprefix("__keyevent@").partition("__:")
            if event == "end":
                break
            expected.append((int(where), key, event))
        theirs.call("CONFIG", "SET", "notify-keyspace-events", "")
        theirs.call("FLUSHALL")
    assert observed.events == expected
