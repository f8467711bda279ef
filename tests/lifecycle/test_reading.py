"""How requests arrive: cut anywhere, in floods, unfinished, too large (lifecycle A2, A3)."""

import threading

from harness.process import ServerProcess, StartServer
from harness.programs import only_ranvier
from harness.waiting import eventually
from harness.wire import Wire, encode_command

# Every kind of request in a row; its replies do not depend on what is in the database.
MIXED = b"".join(
    [
        b"\r\n",
        b"PING\r\n",
        b"*0\r\n",
        encode_command("SET", "split", "a\r\n*1\r\n$1\r\n"),
        b"GET split\n",
        b'ECHO "a b\\x41\\n" \r\n',
        encode_command("NOSUCH", "\r\n"),
        b"GET\r\n",
        encode_command("ECHO", ""),
        b"*-1\r\n",
        encode_command("STRLEN", "split"),
        encode_command("DEL", "split"),
        b"ECHO end\r\n",
    ]
)
LAST_REPLY = b"$3\r\nend\r\n"


def replies_to_mixed(wire: Wire) -> bytes:
    raw = b""
    while not raw.endswith(LAST_REPLY):
        raw += wire.reply().raw
    return raw


def settle(wire: Wire) -> None:
    """Two round trips on another connection: what was sent before them has been read."""
    for _ in range(2):
        assert wire.call("PING").raw == b"+PONG\r\n"


def test_law_3_a_pipeline_cut_at_every_byte_gives_the_same_replies(server: ServerProcess) -> None:
    with server.connect() as wire, server.connect() as other:
        wire.send(MIXED)
        whole = replies_to_mixed(wire)
        assert whole.count(b"\r\n") >= 14
        for cut in range(1, len(MIXED)):
            wire.send(MIXED[:cut])
            settle(other)
            wire.send(MIXED[cut:])
            assert replies_to_mixed(wire) == whole, f"cut at {cut}"


def test_law_3_single_bytes_and_trailing_bytes_give_the_same_replies(server: ServerProcess) -> None:
    with server.connect() as wire, server.connect() as other:
        wire.send(MIXED)
        whole = replies_to_mixed(wire)
        for offset in range(len(MIXED)):
            wire.send(MIXED[offset : offset + 1])
            if offset % 5 == 0:
                settle(other)
        assert replies_to_mixed(wire) == whole
        wire.send(MIXED * 3 + b"PI")
        for _ in range(3):
            assert replies_to_mixed(wire) == whole
        wire.send(b"NG\r\n")
        assert wire.reply().raw == b"+PONG\r\n"


def test_a2_02_a_big_argument_cut_around_its_ends(server: ServerProcess) -> None:
    value = bytes(index % 253 for index in range(40_000))
    request = encode_command("ECHO", value) + b"PING\r\n"
    start = request.index(value)
    with server.connect() as wire, server.connect() as other:
        for cut in [*range(start - 12, start + 3), 32_767, 32_768, *range(start + 39_997, len(request))]:
            wire.send(request[:cut])
            settle(other)
            wire.send(request[cut:])
            assert wire.reply().text == value, f"cut at {cut}"
            assert wire.reply().raw == b"+PONG\r\n"


def test_a0_02_a_thousand_pings_in_one_send(server: ServerProcess) -> None:
    with server.connect() as wire:
        assert {reply.raw for reply in wire.pipeline([("PING",)] * 1000)} == {b"+PONG\r\n"}


def test_law_4_a_hundred_thousand_requests_of_a_client_that_does_not_read(start_server: StartServer) -> None:
    """Every byte sent is taken while nothing is read, others are served, and all replies come, in order."""
    server = start_server()
    count, size = 100_000, 1000
    with server.connect(60, receive_buffer_bytes=65536) as wire, server.connect() as other:
        other.call("SET", "kilobyte", "v" * size)
        wire.send((encode_command("GET", "kilobyte") + encode_command("PING")) * (count // 2))
        assert other.call("PING").raw == b"+PONG\r\n"
        expected = b"$%d\r\n%s\r\n+PONG\r\n" % (size, b"v" * size)
        for _ in range(count // 2):
            assert wire.read_exactly(len(expected)) == expected
        assert wire.call("ECHO", "done").text == b"done"


def test_law_4_what_is_owed_from_one_read_stays_bounded(start_server: StartServer) -> None:
    """A hundred thousand GETs of 64 KB would owe 6.5 GB."""
    server = start_server()
    only_ranvier(server.kind, "it buffers every reply")
    with server.connect(60, receive_buffer_bytes=65536) as wire, server.connect() as other:
        other.call("SET", "block", "v" * 65536)
        before = int(server.info("memory")["used_memory"])
        wire.send(encode_command("GET", "block") * 100_000)
        settle(other)
        assert int(server.info("memory")["used_memory"]) - before < 32 << 20
        for _ in range(200):
            assert wire.reply().text == b"v" * 65536
        wire.reset()
        eventually(lambda: int(server.info("memory")["used_memory"]) - before < 1 << 20, "memory given back")


def test_a3_09_inline_of_64_kb(server: ServerProcess) -> None:
    """The longest line that is allowed, whole and cut."""
    value = b"v" * (64 * 1024 - len(b"ECHO \r\n"))
    with server.connect() as wire, server.connect() as other:
        wire.send(b"ECHO " + value + b"\r\n")
        assert wire.reply().text == value
        wire.send(b"ECHO " + value[:50_000])
        settle(other)
        wire.send(value[50_000:] + b"\r\n")
        assert wire.reply().text == value


def test_a2_11_announced_sizes_cost_nothing(server: ServerProcess) -> None:
    """2^31-1 arguments, or 512 MB, announced by many clients at once."""
    only_ranvier(server.kind, "it sets the announced bytes aside")
    before = int(server.info("memory")["used_memory"])
    wires = [server.connect() for _ in range(40)]
    for index, wire in enumerate(wires):
        wire.send(b"*2147483647\r\n$4\r\n" if index % 2 else b"*2\r\n$4\r\nECHO\r\n$536870912\r\nx")
    server.settle()
    assert int(server.info("memory")["used_memory"]) - before < 8 << 20
    for wire in wires:
        wire.close()


def test_a2_04_query_buffer_limit_closes_without_a_word(start_server: StartServer) -> None:
    server = start_server("--client-query-buffer-limit", "1mb")
    with server.connect() as wire, server.connect() as other:
        wire.send(b"*2\r\n$4\r\nECHO\r\n$%d\r\n" % (4 << 20))
        sender = threading.Thread(target=send_until_refused, args=(wire, b"x" * (3 << 20)))
        sender.start()
        raw, _ = wire.read_to_end()
        sender.join()
        assert raw == b""
        assert other.call("PING").raw == b"+PONG\r\n"
    assert server.info("stats")["client_query_buffer_limit_disconnections"] == "1"
    eventually(lambda: "max query buffer length" in server.log(), "the log names the reason")


def send_until_refused(wire: Wire, data: bytes) -> None:
    try:
        wire.send(data)
    except OSError:
        return


def test_a2_04_below_the_query_buffer_limit_everything_passes(start_server: StartServer) -> None:
    server = start_server("--client-query-buffer-limit", "1mb")
    with server.connect() as wire:
        assert wire.call("ECHO", b"x" * 900_000).text == b"x" * 900_000
        assert len(wire.pipeline([("ECHO", b"y" * 100_000)] * 40)) == 40


def test_a2_06_bulk_limit_is_an_option(start_server: StartServer) -> None:
    server = start_server("--proto-max-bulk-len", "1mb")
    with server.connect() as wire:
        assert wire.call("ECHO", b"x" * (1 << 20)).text == b"x" * (1 << 20)
        wire.send(b"*2\r\n$4\r\nECHO\r\n$%d\r\n" % ((1 << 20) + 1))
        assert wire.read_to_end() == (b"-ERR Protocol error: invalid bulk length\r\n", "eof")


def test_a7_04_an_unfinished_request_executes_nothing(server: ServerProcess) -> None:
    request = encode_command("SET", "unfinished", "value")
    with server.connect() as other:
        other.call("DEL", "unfinished")
        for cut in range(1, len(request)):
            with server.connect() as wire:
                wire.send(request[:cut])
        settle(other)
        assert other.call("EXISTS", "unfinished").raw == b":0\r\n"


def test_lesson_20_as_many_answers_as_requests(server: ServerProcess) -> None:
    """Good, bad, empty and unknown requests in one stream: one answer each, none for an empty one."""
    kinds = [
        (encode_command("PING"), 1), (b"PING\r\n", 1), (b"\r\n", 0), (b"*0\r\n", 0), (b"GET\r\n", 1), (b"*-5\r\n", 0),
        (encode_command("NOSUCH"), 1), (encode_command("INCR", "text"), 1), (encode_command("LLEN", "text"), 1),
        (encode_command("MGET", *["text"] * 50), 1), (encode_command("CLIENT", "NOSUCH"), 1), (b" \n", 0),
        (encode_command("ECHO", b"e" * 40_000), 1), (encode_command("COMMAND", "INFO", "get", "none"), 1),
    ]  # fmt: skip
    with server.connect() as wire:
        assert wire.call("SET", "text", "no number").raw == b"+OK\r\n"
        stream, expected = b"", 0
        for index in range(600):
            data, answers = kinds[index * 7 % len(kinds)]
            stream, expected = stream + data, expected + answers
        wire.send(stream + encode_command("ECHO", "the end"))
        wire.replies(expected)
        assert wire.reply().text == b"the end"
