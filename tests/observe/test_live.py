"""INFO and SLOWLOG of a running server."""

from harness.process import ServerProcess, StartServer, parse_info
from ranvier.observe.info import PASSING, SECTIONS


def test_info_shows_every_field(server: ServerProcess) -> None:
    shown = server.info("everything")
    assert {name for section in SECTIONS.values() for name in section} - PASSING <= shown.keys()
    assert shown["tcp_port"] == str(server.port)
    assert shown["process_id"] == str(server.pid)
    assert shown["redis_version"] == "7.2.4" and shown["server_name"] == "ranvier"
    assert int(shown["used_memory"]) > 0 and int(shown["connected_clients"]) >= 1


def test_info_counts_what_was_done(start_server: StartServer) -> None:
    with start_server().connect(protocol=3) as wire:
        wire.pipeline([("SET", "a", "1"), ("SET", "b", "1", "EX", "100"), ("GET", "a"), ("GET", "no"), ("NOSUCH",),
                       ("LPUSH", "a", "1"), ("GET",)])
        reply = wire.call("INFO", "stats", "commandstats", "errorstats", "keyspace")
        assert reply.kind == b"="
        shown = parse_info(reply.text[4:])
    assert (shown["keyspace_hits"], shown["keyspace_misses"]) == ("1", "1")
    assert shown["errorstat_ERR"] == "count=2" and shown["errorstat_WRONGTYPE"] == "count=1"
    assert shown["total_error_replies"] == "3"
    assert shown["db0"].startswith("keys=2,expires=1,")
    assert shown["cmdstat_set"].startswith("calls=2,")
    assert shown["cmdstat_get"].startswith("calls=2,") and "rejected_calls=1,failed_calls=0" in shown["cmdstat_get"]
    assert "failed_calls=1" in shown["cmdstat_lpush"]


def test_slowlog_keeps_no_password_and_trims(start_server: StartServer) -> None:
    with start_server("--slowlog-log-slower-than", "0").connect() as wire:
        wire.pipeline([
            ("CLIENT", "SETNAME", "me"), ("SLOWLOG", "RESET"), ("AUTH", "user", "secret"),
            ("MSET", *map(str, range(40))), ("SET", "k", "x" * 200),
        ])
        entries = [entry.items for entry in wire.call("SLOWLOG", "GET", "3").items]
        arguments = [[word.text for word in entry[3].items] for entry in entries]
        assert arguments[0] == [b"SET", b"k", b"x" * 128 + b"... (72 more bytes)"]
        assert len(arguments[1]) == 32 and arguments[1][-1] == b"... (10 more arguments)"
        assert arguments[2] == [b"AUTH", b"(redacted)", b"(redacted)"]
        assert entries[0][5].text == b"me" and entries[0][4].text.startswith(b"127.0.0.1:")
        newest = entries[0][0].number
        assert [entry[0].number for entry in entries] == [newest, newest - 1, newest - 2]
        assert wire.call("SLOWLOG", "LEN").number == 5      # RESET, AUTH, MSET, SET, GET
        assert wire.call("SLOWLOG", "RESET").text == b"OK"
