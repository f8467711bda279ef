"""The options of a connection's life (lifecycle A15): defaults, what may change at run time, and that they are known.

`test_against_valkey.py` compares every option of both servers; here stands what the contract names, as a list.
"""

import pytest

from harness.process import ServerProcess
from ranvier.config.option_table import OPTION_BY_NAME
from ranvier.config.options import Configuration

# name: (default as CONFIG GET shows it, whether it may be set at run time)
OPTIONS = {
    "port": ("6379", True),
    "bind": ("* -::*", True),
    "unixsocket": ("", False),
    "unixsocketperm": ("0", False),
    "unixsocketgroup": ("", False),
    "tcp-backlog": ("511", False),
    "protected-mode": ("yes", True),
    "timeout": ("0", True),
    "tcp-keepalive": ("300", True),
    "maxclients": ("10000", True),
    "maxmemory-clients": ("0", True),
    "client-output-buffer-limit":
        ("normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60", True),
    "client-query-buffer-limit": ("1073741824", True),
    "proto-max-bulk-len": ("536870912", True),
    "max-new-connections-per-cycle": ("10", True),
    "max-new-tls-connections-per-cycle": ("1", True),
    "hz": ("10", True),
    "prefetch-batch-max-size": ("16", True),
    "tracking-table-max-keys": ("1000000", True),
    "busy-reply-threshold": ("5000", True),
    "shutdown-timeout": ("10", True),
    "shutdown-on-sigint": ("default", True),
    "shutdown-on-sigterm": ("default", True),
    "databases": ("16", False),
    "requirepass": ("", True),
    "acl-pubsub-default": ("resetchannels", True),
    "enable-debug-command": ("no", False),
    "enable-module-command": ("no", False),
    "enable-protected-configs": ("no", False),
    "socket-mark-id": ("0", False),
    "repl-backlog-ttl": ("3600", True),
    "repl-timeout": ("60", True),
    "repl-ping-replica-period": ("10", True),
    "repl-disable-tcp-nodelay": ("no", True),
    "repl-diskless-sync": ("yes", True),
    "repl-diskless-sync-delay": ("5", True),
    "availability-zone": ("", True),
    "extended-redis-compatibility": ("no", True),
    "import-mode": ("no", True),
    "hide-user-data-from-log": ("yes", True),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_a15_1_defaults(name: str) -> None:
    assert dict(Configuration().match([name])) == {name: OPTIONS[name][0]}


@pytest.mark.parametrize("name", OPTIONS)
def test_a15_2_what_may_change_at_run_time(name: str, server: ServerProcess, valkey: ServerProcess) -> None:
    """Setting what is there already: accepted of the ones, refused of the others, as by Valkey."""
    assert OPTION_BY_NAME[name].mutable == OPTIONS[name][1]
    said = []
    for one in (server, valkey):
        with one.connect() as wire:
            value = wire.call("CONFIG", "GET", name).items[1].text
            said.append(wire.call("CONFIG", "SET", name, value).raw)
    assert said[0] == said[1]
    assert (said[0] == b"+OK\r\n") == OPTIONS[name][1]
