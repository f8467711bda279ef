"""redis-cli and redis-benchmark, which take the server for a Redis."""

import subprocess

from harness import programs
from harness.process import ServerProcess


def redis_cli(server: ServerProcess, *arguments: str, standard_input: str | None = None) -> str:
    outcome = subprocess.run(
        [str(programs.require("redis-cli")), "-p", str(server.port), *arguments],
        input=standard_input,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr
    return outcome.stdout


def test_redis_cli_prints_what_it_prints_of_redis(server: ServerProcess) -> None:
    assert redis_cli(server, "FLUSHALL") == "OK\n"
    assert redis_cli(server, "SET", "k", "a b") == "OK\n"
    assert redis_cli(server, "--no-raw", "GET", "k") == '"a b"\n'
    assert redis_cli(server, "--no-raw", "RPUSH", "l", "1", "2") == "(integer) 2\n"
    assert redis_cli(server, "--no-raw", "LRANGE", "l", "0", "-1") == '1) "1"\n2) "2"\n'
    assert redis_cli(server, "--no-raw", "GET", "none") == "(nil)\n"
    assert redis_cli(server, "--no-raw", "GET", "l").startswith("(error) WRONGTYPE")
    assert redis_cli(server, "-3", "--no-raw", "CONFIG", "GET", "databases") == '1# "databases" => "16"\n'
    assert redis_cli(server, "-n", "3", "DBSIZE") == "0\n"


def test_redis_cli_reads_commands_from_standard_input(server: ServerProcess) -> None:
    lines = "".join(f"SET cli:{number} '{number} x'\n" for number in range(200)) + "GET cli:199\nDEL cli:0\n"
    replies = redis_cli(server, standard_input=lines).split("\n")
    assert replies[:200] == ["OK"] * 200
    assert replies[200:202] == ["199 x", "1"]


def test_redis_cli_pipe_mode(server: ServerProcess) -> None:
    lines = "".join(f"SET pipe:{number} {number}\r\n" for number in range(5000))
    assert "errors: 0, replies: 5000" in redis_cli(server, "--pipe", standard_input=lines)


def test_redis_cli_scan_bigkeys_and_info(server: ServerProcess) -> None:
    redis_cli(server, "FLUSHALL")
    redis_cli(server, "MSET", "a:1", "x", "a:2", "yy", "b:1", "zzz")
    assert sorted(redis_cli(server, "--scan", "--pattern", "a:*").split()) == ["a:1", "a:2"]
    assert "Biggest string found" in redis_cli(server, "--bigkeys")
    assert "redis_version:7.2.4" in redis_cli(server, "INFO")


def test_redis_benchmark_runs_its_tests_of_what_is_delivered(server: ServerProcess) -> None:
    tests = "ping_inline,ping_mbulk,set,get,incr,lpush,rpush,lpop,rpop,lrange_100,lrange_600,mset"
    for pipeline in ("1", "16"):
        outcome = subprocess.run(
            [
                *(str(programs.require("redis-benchmark")), "-p", str(server.port), "-n", "2000", "-c", "20"),
                *("-P", pipeline, "-q", "-t", tests, "-r", "1000"),
            ],
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert outcome.returncode == 0, outcome.stderr
        assert outcome.stdout.count("requests per second") >= len(tests.split(","))
        assert "rror" not in outcome.stdout + outcome.stderr
