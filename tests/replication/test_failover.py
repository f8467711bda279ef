"""FAILOVER: which replica takes over, when, and what is refused or called off."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest

from harness.memory import memory_client, memory_server
from harness.wire import encode_command
from ranvier.engine.timers import Timers
from ranvier.errors import CommandError
from ranvier.replication.failover import Failover, Stage, Target


def replica(name: str, port: int, acknowledged: int = 0, online: bool = True) -> Target:
    return Target((name, port), online, acknowledged)


@dataclass
class Host:
    """A server with a clock that the test moves, and what the failover did to it."""

    replicas: list[Target] = field(default_factory=list)
    is_primary: bool = True
    offset: int = 100
    now_ms: int = 1000
    planned: list[tuple[int, object]] = field(default_factory=list)
    done: list[str] = field(default_factory=list)

    @property
    def timers(self) -> Timers:
        return self  # type: ignore[return-value]

    def call_at(self, at_ms: int, callback: object) -> None:
        self.planned.append((at_ms, callback))

    def cancel(self, callback: object) -> None:
        self.planned = [plan for plan in self.planned if plan[1] != callback]

    def targets(self) -> Iterable[Target]:
        return self.replicas

    def hold_writes(self, held: bool) -> None:
        self.done.append("hold" if held else "let go")

    def hand_over(self, host: str, port: int) -> None:
        self.is_primary = False
        self.done.append(f"hand over to {host}:{port}")

    def take_back(self) -> None:
        self.is_primary = True
        self.done.append("take back")

    def notice(self, text: str) -> None:
        """Logged."""

    def pass_time(self, milliseconds: int) -> None:
        end_ms = self.now_ms + milliseconds
        while self.planned and min(self.planned, key=lambda plan: plan[0])[0] <= end_ms:
            plan = min(self.planned, key=lambda plan: plan[0])
            self.planned.remove(plan)
            self.now_ms = max(self.now_ms, plan[0])
            plan[1]()  # type: ignore[operator]
        self.now_ms = end_ms


def test_any_replica_that_has_everything() -> None:
    host = Host([replica("a", 1, 99), replica("b", 2, 100, online=False)])
    failover = Failover(host)
    failover.begin(None, 0, False)
    host.pass_time(1000)
    assert (failover.stage, host.done) == (Stage.WAITING, ["hold"])
    host.replicas[0] = replica("a", 1, 100)
    host.pass_time(1000)
    assert (failover.stage, host.done) == (Stage.IN_PROGRESS, ["hold", "hand over to a:1"])
    failover.over(None)
    assert (failover.stage, host.done[-1]) == (Stage.NONE, "let go")
    assert host.planned == []


def test_the_replica_that_was_named() -> None:
    host = Host([replica("a", 1, 100), replica("b", 2, 50)])
    failover = Failover(host)
    failover.begin(("b", 2), 0, False)
    host.pass_time(1000)
    assert failover.stage is Stage.WAITING
    host.replicas[1] = replica("b", 2, 100)
    host.pass_time(1000)
    assert host.done[-1] == "hand over to b:2"


def test_time_runs_out() -> None:
    host = Host([replica("a", 1, 50)])
    failover = Failover(host)
    failover.begin(None, 500, False)
    host.pass_time(499)
    assert failover.stage is Stage.WAITING
    host.pass_time(200)
    assert (failover.stage, host.done) == (Stage.NONE, ["hold", "let go"])


def test_by_force_it_takes_over_in_any_case() -> None:
    host = Host([replica("a", 1, 50)])
    failover = Failover(host)
    failover.begin(("a", 1), 500, True)
    host.pass_time(700)
    assert host.done == ["hold", "hand over to a:1"]


def test_the_other_server_refuses() -> None:
    host = Host([replica("a", 1, 100)])
    failover = Failover(host)
    failover.begin(None, 0, False)
    host.pass_time(0)
    failover.over("Failover target rejected psync request")
    assert host.done == ["hold", "hand over to a:1", "take back", "let go"]
    assert not failover.goes_on


@pytest.mark.parametrize("acknowledged", [50, 100])
def test_it_is_called_off(acknowledged: int) -> None:
    host = Host([replica("a", 1, acknowledged)])
    failover = Failover(host)
    failover.begin(None, 0, False)
    host.pass_time(10)
    failover.abort()
    assert host.is_primary
    assert host.done[-1] == "let go"
    assert host.planned == []
    with pytest.raises(CommandError, match=r"^ERR No failover in progress\.$"):
        failover.abort()


def test_what_is_refused() -> None:
    host = Host()
    failover = Failover(host)

    def refusal(target: tuple[str, int] | None = None, timeout_ms: int = 0, force: bool = False) -> str:
        with pytest.raises(CommandError) as caught:
            failover.begin(target, timeout_ms, force)
        return caught.value.text

    assert refusal() == "ERR FAILOVER requires connected replicas."
    host.is_primary = False
    assert refusal() == "ERR FAILOVER is not valid when server is a replica."
    host.is_primary = True
    host.replicas = [replica("a", 1, online=False)]
    both = "ERR FAILOVER with force option requires both a timeout and target HOST and IP."
    assert refusal(force=True) == refusal(("a", 1), force=True) == refusal(None, 5, force=True) == both
    assert refusal(("b", 1)) == refusal(("a", 2)) == "ERR FAILOVER target HOST and PORT is not a replica."
    assert refusal(("a", 1)) == "ERR FAILOVER target replica is not online."
    failover.begin(None, 0, False)
    assert refusal() == "ERR FAILOVER already in progress."


@pytest.mark.parametrize(("words", "answer"), [
    ("FAILOVER", "ERR FAILOVER requires connected replicas."),
    ("FAILOVER ABORT", "ERR No failover in progress."),
    ("FAILOVER TO 127.0.0.1 x", "ERR value is not an integer or out of range"),
    ("FAILOVER FORCE TO 1 1", "ERR FAILOVER requires connected replicas."),
    ("FAILOVER TIMEOUT 0", "ERR FAILOVER timeout must be greater than 0"),
    ("FAILOVER TIMEOUT -1", "ERR FAILOVER timeout must be greater than 0"),
    ("FAILOVER TIMEOUT x", "ERR value is not an integer or out of range"),
    ("FAILOVER TO 1 1 TO 1 1", "ERR syntax error"),
    ("FAILOVER FORCE FORCE", "ERR syntax error"),
    ("FAILOVER ABORT TIMEOUT 10", "ERR syntax error"),
    ("FAILOVER TO 1", "ERR syntax error"),
    ("FAILOVER bogus", "ERR syntax error"),
])
def test_the_command_answers_as_valkeys(words: str, answer: str) -> None:
    with memory_server() as server, memory_client(server) as client:
        assert client.talk(encode_command(*words.split())) == f"-{answer}\r\n".encode()
