"""CONFIG REWRITE: what stays, what goes, what comes, and that a second rewrite changes nothing."""

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.reference import first_refusal
from ranvier.config import rewrite
from ranvier.config.file import load, load_text, parse_arguments
from ranvier.config.option_table import OPTIONS
from ranvier.config.options import Configuration
from ranvier.config.rewrite import MARKER, rewrite_file, rewritten
from ranvier.errors import CommandError

# A value of every option that differs from its default, as CONFIG SET takes it.
FLAGS = [option for option in OPTIONS if isinstance(option.default, bool)]
CHANGES = {
    **{option.name: "no" if option.default else "yes" for option in FLAGS},
    "hz": "20", "timeout": "7", "maxmemory": "1gb", "proto-max-bulk-len": "1000000000",
    "requirepass": 'a"b \\ \xff\n', "save": "1 2 3 4", "bind": "127.0.0.1 -::1",
    "client-output-buffer-limit": "normal 1mb 2mb 3 slave 1 2 3", "notify-keyspace-events": "AKE",
    "maxmemory-clients": "10%", "shutdown-on-sigterm": "nosave now", "loglevel": "debug",
    "oom-score-adj-values": "1 2 3", "latency-tracking-info-percentiles": "50 99", "slowlog-log-slower-than": "-1",
    "slot-migration-max-failover-repl-bytes": "-1", "availability-zone": "a'b", "maxmemory-policy": "allkeys-lfu",
}  # fmt: skip

FILE = """\
# top comment
port 7913

# a comment about hz
hz   10
slave-read-only yes   
save 900 1
save 300 10
timeout 5
timeout "6"

maxmemory 1gb
rename-command debug ""
user bob on nopass
include /nonexistent/*
client-output-buffer-limit pubsub 32mb 8mb 60
# the end
"""  # noqa: W291


def from_text(text: str) -> Configuration:
    configuration = Configuration()
    load_text(configuration, text, "test")
    return configuration


def values(configuration: Configuration) -> dict[str, object]:
    return {option.name: configuration.value(option.name) for option in OPTIONS}


def rewrite_text(text: str, configuration: Configuration) -> str:
    return rewritten(text, {option.name: configuration.value(option.name) for option in OPTIONS})


def test_a_file_that_says_it_all_stays_as_it_is_but_for_overridden_lines() -> None:
    assert rewrite_text(FILE, from_text(FILE)) == FILE.replace("timeout 5\n", "")


def test_changed_lines_are_replaced_in_place_and_new_ones_come_last() -> None:
    configuration = from_text(FILE)
    configuration.set([("hz", "20"), ("save", "1 2"), ("timeout", "0"), ("maxmemory", "1048577")])
    configuration.set([("lua-time-limit", "9"), ("slave-read-only", "no"), ("requirepass", 'p"w')])
    assert rewrite_text(FILE, configuration) == (
        FILE.replace("hz   10", "hz 20")
        .replace("slave-read-only yes   ", "slave-read-only no")
        .replace("save 900 1\nsave 300 10\n", "save 1 2\n")
        .replace('timeout 5\ntimeout "6"\n', "timeout 0\n")
        .replace("maxmemory 1gb", "maxmemory 1048577")
        + f'\n{MARKER}\nbusy-reply-threshold 9\nrequirepass "p\\"w"\n'
    )


def test_one_marker_serves_all_rewrites() -> None:
    configuration = Configuration()
    configuration.set([("hz", "20")])
    once = rewrite_text("", configuration)
    assert once == f"{MARKER}\nhz 20\n"
    configuration.set([("timeout", "5")])
    assert rewrite_text(once, configuration) == f"{MARKER}\nhz 20\ntimeout 5\n"
    configuration.set([("timeout", "0"), ("hz", "10")])
    assert rewrite_text(once, configuration) == f"{MARKER}\nhz 10\n"


def test_a_file_without_a_last_line_end_and_one_with_carriage_returns() -> None:
    configuration = from_text("hz 10\ntimeout 1")
    configuration.set([("hz", "20")])
    assert rewrite_text("hz 10\ntimeout 1", configuration) == "hz 20\ntimeout 1"
    assert rewrite_text("hz 10\r\ntimeout 1\r\n", configuration) == "hz 20\r\ntimeout 1\r\n"


def test_our_own_options_are_written_and_read_again() -> None:
    """Apart from the rest, because no other server reads them."""
    given = {"admin-port": "7000", "proxy-protocol-from": "10.0.0.0/8 ::1"}
    assert set(given) <= {option.name for option in OPTIONS if option.own}
    configuration = Configuration()
    configuration.set(list(given.items()))
    text = rewrite_text("", configuration)
    assert text == f"{MARKER}\nadmin-port 7000\nproxy-protocol-from 10.0.0.0/8 ::1\n"
    assert values(from_text(text)) == values(configuration)
    assert from_text('proxy-protocol-from ""').proxy_protocol_from == ()


def test_a_line_that_no_server_would_take_is_replaced() -> None:
    configuration = from_text("hz 20")
    assert rewrite_text("hz nonsense\nhz\n", configuration) == "hz 20\n"
    assert rewrite_text('hz "20\n', configuration) == f'hz "20\n\n{MARKER}\nhz 20\n'


@settings(deadline=None)
@given(st.permutations(sorted(CHANGES)), st.integers(0, len(CHANGES)), st.sampled_from(["", FILE, "hz 11\nhz 12"]))
def test_a_rewritten_file_gives_the_same_values_and_is_final(names: list[str], count: int, text: str) -> None:
    configuration = from_text(text)
    mutable = {option.name for option in OPTIONS if option.mutable and not option.protected}
    aliases = {alias for option in OPTIONS for alias in option.aliases}
    configuration.set([(name, CHANGES[name]) for name in names[:count] if name in mutable | aliases])
    once = rewrite_text(text, configuration)
    assert values(from_text(once)) == values(configuration)
    assert rewrite_text(once, configuration) == once


def test_every_kind_of_value_is_written_so_that_valkey_reads_it(tmp_path: Path) -> None:
    """CRLF inside quotes, units, percentages, lists: first_refusal gives None when valkey-server takes every line."""
    configuration = Configuration()
    for name, text in CHANGES.items():
        configuration.load(name, [text])
    text = rewrite_text("", configuration)
    missing = ("tls-", "rdma-", "activedefrag", "jemalloc")  # not in this build
    lines = [line for line in text.split("\n") if not line.startswith(missing)]
    assert len(lines) > 70
    assert first_refusal("\n".join(lines).encode("utf-8", "surrogateescape"), directory=tmp_path) is None


def started_with(path: Path) -> Configuration:
    configuration = Configuration()
    load(configuration, parse_arguments([str(path)]), lambda: b"")
    return configuration


def test_the_file_is_replaced_in_one_step_with_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "a.conf"
    path.write_text(FILE)
    path.chmod(0o640)
    inode = path.stat().st_ino
    configuration = started_with(path)
    configuration.set([("hz", "33")])
    configuration.rewrite()
    assert "hz 33\n" in path.read_text()
    assert path.stat().st_ino != inode
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["a.conf"]
    assert started_with(path).hz == 33


def test_a_rewrite_that_changes_nothing_leaves_the_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.conf"
    path.write_text("hz 20\n")
    before = path.stat()
    started_with(path).rewrite()
    assert path.stat() == before


def test_a_link_is_followed_and_a_missing_file_is_made(tmp_path: Path) -> None:
    target, link = tmp_path / "target.conf", tmp_path / "link.conf"
    target.write_text("hz 10\n")
    link.symlink_to(target)
    configuration = started_with(link)
    configuration.set([("hz", "20")])
    configuration.rewrite()
    assert link.is_symlink()
    assert target.read_text() == "hz 20\n"
    target.unlink()
    configuration.rewrite()
    assert target.read_text() == f"{MARKER}\nhz 20\n"
    assert stat.S_IMODE(target.stat().st_mode) == rewrite.NEW_FILE_MODE


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.conf"
    path.write_text("hz 10\n")
    configuration = started_with(path)
    configuration.set([("hz", "20")])

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CommandError) as caught:
        configuration.rewrite()
    assert caught.value.text == "ERR Rewriting config file: No space left on device"
    assert path.read_text() == "hz 10\n"
    assert os.listdir(tmp_path) == ["a.conf"]


def test_a_directory_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        rewrite_file(str(tmp_path / "none" / "a.conf"), {option.name: option.default for option in OPTIONS} | {"hz": 3})


def test_a_server_without_a_file_says_so() -> None:
    with pytest.raises(CommandError) as caught:
        Configuration().rewrite()
    assert caught.value.text == "ERR The server is running without a config file"
