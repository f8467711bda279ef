"""Conversations about the connection itself, beside Valkey: HELLO to PING, and where Redis and Valkey differ.

(Lifecycle A4, A11, A14, A17.) A conversation is a line of requests parted by ` / `; `""` is an empty argument. Replies
are compared byte for byte, HELLO's field by field where it names the server.
"""

import re
from contextlib import suppress

import pytest

from differential.differences import same_hello
from harness.memory import memory_client, memory_server, read_replies
from harness.process import ServerProcess, StartServer
from harness.wire import Reply, encode_command
from ranvier.server.accept import DENIED

CONVERSATIONS = {
    "A11 GETNAME": "client getname / client setname me / client getname / client setname / client getname x",
    "A11 SETNAME": r'client setname a\x20b / client setname a\x0ab / client setname \x7f / client setname ~!"#'
                   r' / client getname / client setname "" / client getname / client setname \xff',
    "A11 SETINFO": r"client setinfo lib-name me / client setinfo LIB-VER 1.0 / client setinfo foo bar"
                   r" / client setinfo lib-name a\x20b / client setinfo lib-ver a\x0ab / client setinfo lib-name"
                   r' / client setinfo lib-name "" / client setinfo lib-ver ""',
    "A11 KILL": "client kill / client kill nobody:1 / client kill id 0 / client kill id x / client kill id -5"
                " / client kill maxage 0 / client kill maxage x / client kill user nobody / client kill type x"
                " / client kill type / client kill skipme maybe / client kill id 999999999 / client kill foo bar"
                " / client kill addr 1.2.3.4:5 / client kill laddr 1.2.3.4:5 / client kill id 1 id",
    "A11 HELLO": "hello 1 / hello 4 / hello x / hello 3 foo / hello 2 auth / hello 2 auth a / hello 3 auth a b"
                 r" / hello 3 setname / hello 3 setname a\x20b / get k / hello 3 auth nobody x setname b"
                 " / client getname / get k / hello / hello 3 / get k / hello / hello 2 setname c / client getname"
                 " / get k / hello 3 auth default any / hello 2 setname x auth default y foo / client getname",
    "A11 RESET": "client setname me / client setinfo lib-name lib / select 3 / hello 3 / multi / set a 1 / reset"
                 " / client getname / get k / exec / reset x",
    "A11 AUTH": "auth / auth x / auth default x / auth nobody x / auth a b c / auth default x y z",
    "A11 SELECT": "select / select 0 / select 15 / select 16 / select -1 / select x / select 1.5 / select 99999999999"
                  " / select +1 / select 01 / select 1 2",
    "A11 PING": r'ping / ping a / ping "" / ping a b / PiNg \x0d\x0a / hello 3 / ping / ping a',
    "A4-3": r"nosuch / nosuch a b c / no\x0asuch a\x0d\x0ab / client / client nosuch / object nosuch x y / config"
            r" / CLIENT NoSuch / debug nosuch / command nosuch x / get|set / client|id / \x00get / get\x00"
            f" / {'n' * 200} / nosuch {'a' * 200} b / nosuch {' '.join('abcdefghij' for _ in range(30))}",
    "A4-4": "get / get a b / client setname / client id x / object encoding / set k / EXEC x / config get / ping a b"
            " / select / discard x / subscribe / publish a / multi x / reset x / hello",
    "A14-2": "config set requirepass secret / reset / nosuch / get / client nosuch / debug x / get k / quit",
    "A14-3": "multi / multi / exec / multi / watch a / exec / multi / shutdown / exec / multi / discard x"
             " / discard",
    "A14-12": "config get repl-backlog-size",
    "A14-13": "config get lazyfree*",
    "A14-17": "client list id x / client list id 0 / client list id / client list id 999 x / client kill id x"
              " / client list type foo / client list foo bar / client list id -1 / client list id 1.5",
    "A17-20": "set s 1 / rpush l 1 / get l / lpush s 1 / incr l / lrange s 0 -1 / append l x / blpop s 1"
              " / lmove s l left right / getrange l 0 1 / llen s / setrange l 1 x / getdel l / incrbyfloat l 1"
              " / del s l",
    "A17-21": "set s 1 / pfadd s a / pfcount s / pfmerge s s / rpush l 1 / pfadd l a / pfcount l / del s l",
    "A17-22": r"set a 1 / restore a 0 \x00\x01v\x0a\x00\x00\x00\x00\x00\x00\x00\x00\x00 / set k 1 / dump nosuch"
              r" / restore k 0 \x00\x05aajhu\x08\x00VBji1jJC / restore k 0 \x00\x05aajhu\x08\x00VBji1jJC replace"
              " / get k / del a k",
    "A17-23": "xadd s 1-1 f v / xgroup create s g 0 / xgroup create s g 0 / xgroup create s g $ mkstream / del s",
}


def words(request: str) -> list[bytes]:
    return [b"" if word == '""' else word.encode().decode("unicode_escape").encode("latin-1")
            for word in request.split()]


def converse(server: ServerProcess, lines: str) -> list[tuple[str, Reply]]:
    with server.connect() as wire:
        wire.call("FLUSHALL")
        said = [(request, wire.call(*words(request))) for request in lines.split(" / ")]
    with server.connect() as wire:
        if wire.call("PING").is_error:
            assert wire.pipeline([("AUTH", "secret"), ("CONFIG", "SET", "requirepass", "")])[1].raw == b"+OK\r\n"
    return said


@pytest.mark.parametrize("number", CONVERSATIONS)
def test_answers_are_valkeys(number: str, server: ServerProcess, valkey: ServerProcess) -> None:
    """Also lesson 14: what is echoed stays one line."""
    for (request, ours), (_, theirs) in zip(*(converse(one, CONVERSATIONS[number]) for one in (server, valkey)),
                                            strict=True):
        same = same_hello(ours, theirs) if request.startswith("hello") else ours.raw == theirs.raw
        assert same, (request, ours, theirs)
        assert not (ours.is_error and {b"\r", b"\n"} & {bytes([byte]) for byte in ours.text})


def test_a11_id_and_info(server: ServerProcess) -> None:
    """A11 ID, A11 INFO: the id is the line's, a bulk string in RESP2, verbatim text in RESP3; one line and its end."""
    with server.connect() as wire:
        identity = wire.call("CLIENT", "ID").number
        for kind, protocol in ((b"$", 2), (b"=", 3)):
            wire.call("HELLO", protocol)
            reply = wire.call("CLIENT", "INFO")
            text = reply.text.removeprefix(b"txt:")
            assert (reply.kind, reply.text == text) == (kind, protocol == 2)
            assert text.startswith(b"id=%d addr=127.0.0.1:%d " % (identity, wire.socket.getsockname()[1]))
            assert text.endswith(b"\n") and text.count(b"\n") == 1
            assert b" resp=%d " % protocol in text
            assert b" cmd=client|info " in text


def test_a11_hello_names_what_clients_ask_for(server: ServerProcess) -> None:
    """A11 HELLO, A14-1: the fields in order; the server and version that clients choose their behaviour by."""
    with server.connect() as wire:
        reply = wire.call("HELLO", "3", "SETNAME", "me")
        assert reply.kind == b"%"
        fields = {key.text: value.plain() for key, value in zip(reply.items[::2], reply.items[1::2], strict=True)}
        identity = fields.pop(b"id")
        assert identity == wire.call("CLIENT", "ID").number
        assert list(fields.items()) == [
            (b"server", b"redis"), (b"version", b"7.2.4"), (b"proto", 3), (b"mode", b"standalone"),
            (b"role", b"master"), (b"modules", []),
        ]
        assert wire.call("CLIENT", "GETNAME").text == b"me"


def test_a11_reset_keeps_the_library_and_nothing_else() -> None:
    """A11 RESET: also of who has to authenticate, and in every mode at once."""
    with memory_server(requirepass="secret") as server, memory_client(server) as client:
        client.talk(b"AUTH secret\r\nCLIENT SETNAME me\r\n")
        client.talk(b"CLIENT SETINFO lib-name lib\r\nCLIENT SETINFO lib-ver 1\r\n")
        client.talk(b"HELLO 3\r\nSELECT 5\r\nSUBSCRIBE a\r\nPSUBSCRIBE b\r\nSSUBSCRIBE c\r\nWATCH k\r\nMULTI\r\n")
        assert client.talk(b"RESET\r\n") == b"+RESET\r\n"
        assert client.talk(b"PING\r\n") == b"-NOAUTH Authentication required.\r\n"
        assert client.talk(b"RESET\r\nAUTH secret\r\n") == b"+RESET\r\n+OK\r\n"
        line = read_replies(client.talk(b"CLIENT INFO\r\n"))[0].text.decode()
        fields = dict(field.partition("=")[::2] for field in line.split())
        expected = {"name": "", "flags": "N", "db": "0", "sub": "0", "psub": "0", "ssub": "0", "multi": "-1",
                    "watch": "0", "resp": "2", "lib-name": "lib", "lib-ver": "1", "user": "default"}
        assert {name: fields[name] for name in expected} == expected
        assert server.engine.pubsub.counts() == (0, 0, 0, 0)


def test_a11_auth_is_redacted(start_server: StartServer) -> None:
    """A11 AUTH: neither the slow log nor the log shows a password, in AUTH or in HELLO."""
    server = start_server("--requirepass", "secret-1", "--slowlog-log-slower-than", "0", "--loglevel", "debug")
    with server.connect() as wire:
        wire.pipeline([("AUTH", "wrong-2"), ("HELLO", "2", "AUTH", "default", "secret-1"), ("AUTH", "secret-1")])
        shown = wire.call("SLOWLOG", "GET", "10").raw
        assert shown.count(b"(redacted)") >= 3
        assert b"secret-1" not in shown and b"wrong-2" not in shown
    assert "secret-1" not in server.log() and "wrong-2" not in server.log()


# ---- A4: who may ---------------------------------------------------------------------------------------------------

DEBUG_REFUSED = (
    b"-ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a "
    b"local connection, otherwise you need to set this option in the configuration file, and then restart the server."
    b"\r\n"
)


@pytest.mark.parametrize(("permission", "answer"), [
    ("no", DEBUG_REFUSED), ("local", b"-ERR unknown subcommand"), ("yes", b"-ERR unknown subcommand"),
])
def test_a4_5_debug_is_for_whom_it_is_opened(permission: str, answer: bytes, start_server: StartServer) -> None:
    """Behind arity and authentication; inside MULTI the refusal aborts."""
    server = start_server("--enable-debug-command", permission)
    with server.connect() as wire:
        assert wire.call("DEBUG").raw == b"-ERR wrong number of arguments for 'debug' command\r\n"
        said = [reply.raw for reply in wire.pipeline([("DEBUG", "SLEEP", "0"), ("MULTI",), ("DEBUG", "SLEEP", "0"),
                                                      ("EXEC",)])]
        if permission == "no":
            assert said == [answer, b"+OK\r\n", answer,
                            b"-EXECABORT Transaction discarded because of previous errors.\r\n"]
        else:
            assert said == [b"+OK\r\n", b"+OK\r\n", b"+QUEUED\r\n", b"*1\r\n+OK\r\n"]


def test_a4_24_a_call_is_counted_answered_and_then_its_effects_are_served(
    server: ServerProcess, valkey: ServerProcess
) -> None:
    """Its own pushes behind its own reply; who waited for its key afterwards; failed and rejected calls apart."""
    heard = []
    for one in (server, valkey):
        with one.connect(protocol=3) as wire, one.connect() as waiter:
            wire.pipeline([("CONFIG", "RESETSTAT"), ("DEL", "l", "s")])
            wire.call("CONFIG", "SET", "notify-keyspace-events", "KEA")
            wire.send_command("PSUBSCRIBE", "__key*__:l")
            said = [wire.reply().raw]
            waiter.send_command("BLPOP", "l", "0")
            one.settle()
            wire.send_command("RPUSH", "l", "1")
            said += [reply.raw for reply in wire.replies(4)] + [waiter.reply().raw]
            wire.send(encode_command("SET", "s", "x") + encode_command("INCR", "s") + encode_command("INCR"))
            said += [reply.raw for reply in wire.replies(3)]
            wire.send_command("CONFIG", "SET", "notify-keyspace-events", "")
            said.append(wire.reply().raw)
            statistics = one.info("commandstats")
            said += [re.sub(rb"usec[^,]*,", b"", statistics[f"cmdstat_{name}"].encode())
                     for name in ("rpush", "blpop", "incr", "set")]
            said.append(one.info("errorstats")["errorstat_ERR"].encode())
            wire.call("DEL", "s")
            heard.append(said)
    assert heard[0] == heard[1]
    assert heard[0][1] == b":1\r\n"


def test_a4_26_metadata_and_checks_come_from_one_table(server: ServerProcess) -> None:
    """What COMMAND says of arity is what is enforced, and what it says of flags opens the gates."""
    with server.connect() as wire:
        table = []
        for entry in wire.call("COMMAND").items:
            table += [entry, *entry.items[9].items]
        assert len(table) > 100
        for entry in table:
            name, arity, flags = entry.items[0].text, entry.items[1].number, {f.text for f in entry.items[2].items}
            request = name.split(b"|")
            if (arity < 0 and -arity == len(request)) or entry.items[9].items:
                continue            # any number of arguments is enough, or the container has a say of its own
            wrong = [*request, *[b"x"] * (-arity - 1 - len(request) if arity < 0 else arity + 1 - len(request))]
            reply = wire.call(*wrong)
            assert reply.raw.endswith(b" wrong number of arguments for '%s' command\r\n" % name), (name, reply)
            assert (b"no_auth" in flags) == (name in (b"auth", b"hello", b"quit", b"reset"))


# ---- A14: between Redis and Valkey ----------------------------------------------------------------------------------

@pytest.mark.parametrize(("number", "data"), [
    ("A14-4", b"*1\r\n$4\r\nPINGxx"),
    ("A14-5", b'ECHO "a"b\r\n'),
    ("A14-6", b"ECHO " + b"x" * 70_000 + b"\r\n"),
    ("A14-6", b"ECHO " + b"x" * 65_500 + b"\r\n"),
])
def test_where_redis_and_valkey_part_ranvier_goes_with_valkey(
    number: str, data: bytes, server: ServerProcess, valkey: ServerProcess
) -> None:
    heard = []
    for one in (server, valkey):
        with one.connect() as wire:
            wire.send(data)
            with suppress(OSError):         # the server has closed already
                wire.half_close()
            heard.append(wire.read_to_end()[0])
    assert heard[0] == heard[1] != b""


def test_a14_15_only_what_is_there_is_counted(server: ServerProcess) -> None:
    """COMMAND COUNT tells the truth about this server, which neither reference's number would be."""
    with server.connect() as wire:
        names = [entry.items[0].text for entry in wire.call("COMMAND").items]
        assert wire.call("COMMAND", "COUNT").number == len(names) == len(set(names))
        for name in names:
            assert b"unknown command" not in wire.call("COMMAND", "INFO", name).raw
            assert wire.call("COMMAND", "INFO", name).items[0].items


def test_a14_16_info_has_the_fields_of_valkey(server: ServerProcess, valkey: ServerProcess) -> None:
    fields = [[name for name in one.info("everything") if name.startswith(("paused_", "acl_access_denied"))]
              for one in (server, valkey)]
    assert fields[0] == fields[1]
    assert len(fields[0]) >= 7


def test_a17_1_denied_names_the_reason_and_four_ways_out() -> None:
    """A14-14: the first word is a client's, the rest a person's."""
    assert DENIED.startswith(b"-DENIED ") and DENIED.endswith(b"\r\n") and DENIED.count(b"\n") == 1
    for said in (b"protected mode", b"on this machine", b"CONFIG SET", b"configuration file", b"--protected-mode no",
                 b"password"):
        assert said in DENIED, said
