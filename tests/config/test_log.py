"""The server log: the shape of its lines, its levels, its file."""

import os
import re
import time
from pathlib import Path

import pytest

from ranvier.observe.log import DEBUG, LEVELS, MARKS, NOTICE, VERBOSE, WARNING, ServerLog

SHAPE = re.compile(r"(\d+):M (\d\d [A-Z][a-z][a-z] \d{4} \d\d:\d\d:\d\d)\.(\d{3}) ([.\-*#]) (.*)")


def test_a_line_has_the_shape_of_redis(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    log = ServerLog.to_file(str(path), "debug")
    for level, mark in enumerate(MARKS):
        log.log(level, f"level {mark}")
    log.close()
    found = [SHAPE.fullmatch(line) for line in path.read_text().splitlines()]
    assert [match and (int(match[1]), match[4], match[5]) for match in found] == [
        (os.getpid(), mark, f"level {mark}") for mark in MARKS
    ]


def test_the_time_is_the_local_one_with_milliseconds(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    moment = time.mktime((2026, 1, 2, 3, 4, 5, 0, 0, -1)) + 0.0625
    log = ServerLog(descriptor, role="S", now=lambda: moment)
    log.log(NOTICE, "text")
    log.close()
    assert path.read_text() == f"{os.getpid()}:S 02 Jan 2026 03:04:05.062 * text\n"


@pytest.mark.parametrize("level", LEVELS)
def test_events_below_the_level_are_not_written(tmp_path: Path, level: str) -> None:
    path = tmp_path / "server.log"
    log = ServerLog.to_file(str(path), "nothing")
    log.set_level(level)
    for event in (DEBUG, VERBOSE, NOTICE, WARNING):
        log.log(event, str(event))
    log.close()
    written = [int(line.split()[-1]) for line in path.read_text().splitlines()]
    assert written == list(range(LEVELS.index(level), len(MARKS)))


def test_a_log_file_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    path.write_text("before\n")
    log = ServerLog.to_file(str(path))
    log.log(WARNING, "after \udcff")
    log.close()
    assert path.read_bytes().startswith(b"before\n")
    assert path.read_bytes().endswith(b"# after \xff\n")


def test_a_log_that_nobody_reads_harms_nobody() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    log = ServerLog(writer)
    log.log(WARNING, "lost")
    log.close()
    with pytest.raises(OSError, match=r"Bad file"):
        os.fstat(writer)
