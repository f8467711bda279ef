"""How replies leave: slow readers, resets, half-closed peers, output limits (lifecycle A6)."""

import pytest

from harness.process import ServerProcess, StartServer
from harness.programs import only_ranvier
from harness.waiting import eventually
from harness.wire import Wire, encode_command

MEGABYTE = 1 << 20
# The kernel takes three to four megabytes per loopback socket before a slow reader shows.
BEYOND_THE_KERNEL = 24 * MEGABYTE


def fill_list(wire: Wire, name: str, size: int) -> None:
    """A list of 1 KB elements, about `size` bytes as a reply."""
    elements = [b"e" * 1024] * 256
    for _ in range(size // (1024 * 256)):
        wire.call("RPUSH", name, *elements)


def connected(server: ServerProcess) -> int:
    """Connected clients besides the one that asks."""
    return int(server.info("clients")["connected_clients"]) - 1


def disconnections(server: ServerProcess) -> int:
    """Clients closed for the size of what they were owed."""
    return int(server.info("stats")["client_output_buffer_limit_disconnections"])


def test_a6_02_a_large_reply_to_a_slow_reader_is_complete(start_server: StartServer) -> None:
    """lesson 11."""
    server = start_server()
    value = bytes(range(256)) * (BEYOND_THE_KERNEL // 256)
    with server.connect(60, receive_buffer_bytes=4096) as wire, server.connect() as other:
        other.call("SET", "large", value)
        wire.send(encode_command("GET", "large") + b"PING\r\n" + encode_command("GET", "large") + b"PING\r\n")
        for _ in range(2):
            assert wire.reply().text == value
            assert other.call("PING").raw == b"+PONG\r\n"
            assert wire.reply().raw == b"+PONG\r\n"


def test_a6_02_a_value_that_changes_while_it_is_sent_arrives_as_it_was(start_server: StartServer) -> None:
    """A referenced value is copied on write."""
    server = start_server()
    value = b"a" * BEYOND_THE_KERNEL
    changes = [("SETRANGE", "large", 0, "b" * MEGABYTE), ("APPEND", "large", "tail"), ("DEL", "large"), ("FLUSHALL",)]
    for change in changes:
        with server.connect(60, receive_buffer_bytes=65536) as wire, server.connect() as other:
            other.call("SET", "large", value)
            wire.send_command("GET", "large")
            assert wire.read_exactly(11) == b"$%d\r\n" % len(value)
            other.call(*change)
            assert wire.read_exactly(len(value) + 2) == value + b"\r\n", change[0]


def test_a6_04_reset_in_the_middle_of_a_100_mb_reply(start_server: StartServer) -> None:
    server = start_server()
    with server.connect(60) as other:
        other.call("SET", "huge", b"h" * (100 * MEGABYTE))
        before = int(server.info("memory")["used_memory"])
        for _ in range(5):
            wire = server.connect(60)
            wire.send(encode_command("GET", "huge") * 3)
            wire.skip_exactly(MEGABYTE)
            wire.reset()
            eventually(lambda: connected(server) == 1, "the client is gone")
        assert other.call("STRLEN", "huge").number == 100 * MEGABYTE
        eventually(lambda: int(server.info("memory")["used_memory"]) - before < MEGABYTE, "memory given back")


def test_a6_07_half_close_after_a_pipeline_delivers_small_replies(server: ServerProcess) -> None:
    with server.connect() as wire:
        wire.send(b"PING\r\n" * 2000)
        wire.half_close()
        assert wire.read_to_end() == (b"+PONG\r\n" * 2000, "eof")


def test_a6_07_half_close_delivers_everything(start_server: StartServer) -> None:
    server = start_server()
    only_ranvier(server.kind, "pending output is dropped at the end of input")
    value = b"v" * MEGABYTE
    with server.connect(60, receive_buffer_bytes=65536) as wire, server.connect() as other:
        other.call("SET", "value", value)
        wire.send(encode_command("GET", "value") * 30 + b"PING\r\n")
        wire.half_close()
        for _ in range(30):
            assert wire.reply().text == value
        assert wire.read_to_end() == (b"+PONG\r\n", "eof")
    eventually(lambda: connected(server) == 0, "the client is gone")


def test_a6_07_half_close_with_an_unfinished_request(server: ServerProcess) -> None:
    with server.connect() as wire:
        wire.send(b"PING\r\n*2\r\n$4\r\nECHO\r\n$10\r\nhalf")
        wire.half_close()
        assert wire.read_to_end() == (b"+PONG\r\n", "eof")


def test_a6_08_hard_limit_drops_all_that_is_pending(start_server: StartServer) -> None:
    """Nothing that was queued arrives, the rest of the pipeline does not run."""
    server = start_server("--client-output-buffer-limit", "normal 1mb 0 0")
    with server.connect() as other:
        fill_list(other, "list", 3 * MEGABYTE)
        with server.connect() as wire:
            wire.send(b"PING\r\n" + encode_command("LRANGE", "list", 0, -1) + encode_command("SET", "after", "1"))
            raw, _ = wire.read_to_end()
        assert raw == b""
        assert other.call("EXISTS", "after").raw == b":0\r\n"
        assert disconnections(server) == 1
        eventually(lambda: "overcoming of output buffer limits" in server.log(), "the log names the reason")


def test_a6_08_the_hard_limit_counts_referenced_values(start_server: StartServer) -> None:
    """A5-5, A14-11, lesson 10."""
    server = start_server("--client-output-buffer-limit", "normal 1mb 0 0")
    only_ranvier(server.kind, "referenced values are not counted")
    with server.connect() as wire, server.connect() as other:
        other.call("SET", "value", b"v" * (2 * MEGABYTE))
        wire.send_command("GET", "value")
        assert wire.read_to_end()[0] == b""
        assert disconnections(server) == 1


def test_a6_08_below_the_hard_limit_large_replies_pass(start_server: StartServer) -> None:
    server = start_server("--client-output-buffer-limit", "normal 1mb 0 0")
    with server.connect() as wire:
        wire.call("SET", "value", b"v" * 400_000)
        for _ in range(20):
            assert len(wire.call("GET", "value").text) == 400_000


def test_a6_08_soft_limit_closes_after_its_seconds(start_server: StartServer) -> None:
    server = start_server("--client-output-buffer-limit", "normal 0 1mb 1")
    with server.connect() as other:
        fill_list(other, "list", BEYOND_THE_KERNEL)
        with server.connect(receive_buffer_bytes=4096) as wire:
            wire.send_command("LRANGE", "list", 0, -1)
            eventually(lambda: disconnections(server) == 1, "the limit acts")
            raw, _ = wire.read_to_end()
        assert raw.startswith(b"*")
        assert len(raw) < BEYOND_THE_KERNEL


def test_a6_08_soft_limit_forgives_a_reader_that_catches_up(start_server: StartServer) -> None:
    server = start_server("--client-output-buffer-limit", "normal 0 1mb 1000")
    with server.connect() as other:
        fill_list(other, "list", BEYOND_THE_KERNEL)
        with server.connect(60, receive_buffer_bytes=65536) as wire:
            for _ in range(2):
                reply = wire.call("LRANGE", "list", 0, -1)
                assert len(reply.items) == BEYOND_THE_KERNEL // 1024
        assert disconnections(server) == 0


def test_a6_08_limits_set_while_running_act(start_server: StartServer) -> None:
    server = start_server()
    with server.connect() as other:
        fill_list(other, "list", 3 * MEGABYTE)
        assert other.call("CONFIG", "SET", "client-output-buffer-limit", "normal 1mb 0 0").raw == b"+OK\r\n"
        with server.connect() as wire:
            wire.send_command("LRANGE", "list", 0, -1)
            assert wire.read_to_end()[0] == b""


def test_a6_09_unauthenticated_flood_is_cut_off(start_server: StartServer) -> None:
    """More than 1 KB of answers in the queue of a client that has not said who it is (lesson 12)."""
    server = start_server("--requirepass", "secret")
    with server.connect() as wire:
        wire.send(encode_command("PING") * 4000)
        raw, _ = wire.read_to_end()
        assert set(raw.split(b"\r\n")) <= {b"-NOAUTH Authentication required.", b""}
        assert raw.count(b"\r\n") < 4000
    with server.connect() as other:
        assert other.call("AUTH", "secret").raw == b"+OK\r\n"
        assert len(other.pipeline([("PING",)] * 4000)) == 4000


@pytest.mark.parametrize("protocol", [2, 3])
def test_a6_03_one_fast_reader_does_not_starve_others(start_server: StartServer, protocol: int) -> None:
    server = start_server()
    with server.connect(60, protocol=protocol) as reader, server.connect(protocol=protocol) as other:
        other.call("SET", "large", b"l" * (20 * MEGABYTE))
        reader.send(encode_command("GET", "large") * 5)
        for _ in range(5):
            reader.skip_exactly(10 * MEGABYTE)
            assert other.call("PING").raw == b"+PONG\r\n"
            reader.skip_exactly(10 * MEGABYTE + len(b"$20971520\r\n") + 2)
        assert reader.call("PING").raw == b"+PONG\r\n"
