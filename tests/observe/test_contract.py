"""Names that others have built upon: INFO's fields, error codes, lines of the log (lifecycle A16)."""

import pytest

from harness.memory import memory_client, memory_server
from harness.process import StartServer
from harness.waiting import eventually
from harness.wire import encode_command

FIELDS = {
    "A16 CLIENTS": ("clients", """
        connected_clients cluster_connections maxclients client_recent_max_input_buffer client_recent_max_output_buffer
        blocked_clients tracking_clients pubsub_clients watching_clients clients_in_timeout_table total_watched_keys
        total_blocking_keys total_blocking_keys_on_nokey"""),
    "A16 STATS": ("stats", """
        total_connections_received rejected_connections evicted_clients total_net_input_bytes total_net_output_bytes
        total_net_repl_input_bytes total_net_repl_output_bytes instantaneous_input_kbps instantaneous_output_kbps
        client_query_buffer_limit_disconnections client_output_buffer_limit_disconnections reply_buffer_shrinks
        reply_buffer_expands total_reads_processed total_writes_processed unexpected_error_replies total_error_replies
        eventloop_cycles eventloop_duration_sum eventloop_duration_cmd_sum instantaneous_eventloop_cycles_per_sec
        instantaneous_eventloop_duration_usec"""),
    "A16 MEMORY": ("memory", "mem_clients_normal mem_clients_slaves used_memory maxmemory"),
}


@pytest.mark.parametrize("number", FIELDS)
def test_fields_are_there_and_are_numbers(number: str) -> None:
    section, names = FIELDS[number]
    with memory_server() as server:
        lines = server.info_text([section]).split("\r\n")
        shown = dict(line.split(":", 1) for line in lines if ":" in line)
        for name in names.split():
            assert float(shown[name]) >= 0, name


def test_a16_errors_are_counted_by_their_code() -> None:
    """A16 ERRORSTATS: by the first word; what is no code counts as ERR."""
    with memory_server() as server, memory_client(server) as client:
        client.talk(b"NOSUCH\r\nGET\r\nSET s x\r\nLPUSH s 1\r\nLLEN s\r\nINCR s\r\nAUTH default\r\nHELLO 9\r\n")
        lines = server.info_text(["errorstats"]).split("\r\n")
        assert {line for line in lines if line.startswith("errorstat_")} == {
            "errorstat_ERR:count=4", "errorstat_WRONGTYPE:count=2", "errorstat_NOPROTO:count=1"
        }
        stats = server.info_text(["stats"])
        assert "total_error_replies:7\r\n" in stats


def test_a16_lines_that_operators_search_for(start_server: StartServer) -> None:
    """A16 LOG, A3-16: with the client's line, and the bytes at fault made printable."""
    server = start_server("--loglevel", "verbose", "--timeout", "1", "--client-query-buffer-limit", "1mb",
                          "--client-output-buffer-limit", "normal 100000 0 0")
    with server.connect() as wire:
        wire.send(b"PING\r\n*1\r\n\x01abc'\r\n")
        wire.read_to_end()
    with server.connect() as wire:
        wire.send(b"*2\r\n$4\r\nECHO\r\n$20000000\r\n")
        wire.send(b"x" * 1_100_000)
        wire.read_to_end()
    with server.connect() as wire:
        wire.send(encode_command("SET", "k", "v" * 300_000) + encode_command("GET", "k"))
        wire.read_to_end()
    with server.connect() as wire:
        wire.read_to_end()
    for line in (
        "Protocol error (expected '$', got '\x01') from client: id=", "Query buffer during protocol error: '",
        "Closing client that reached max query buffer length: id=", "Closing idle client",
        "scheduled to be closed ASAP for overcoming of output buffer limits.",
    ):
        eventually(lambda wanted=line: wanted in server.log(), line)  # type: ignore[misc]
