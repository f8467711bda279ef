"""Random state machines, one per type, beside live Valkey: what every one of them shares.

A machine is its rules: functions that make one request for a key. A round runs some hundred of them, on a few keys,
with thresholds drawn from a short list, on both servers; after each request OBJECT ENCODING of its key is compared, at
the end of the round what the keys hold. A difference is shrunk to the fewest requests that show it.

A type's file makes a `Machine` and calls `run_machine`; see test_hash_machine.py. RANVIER_MACHINE_COMMANDS sets how
many commands all rounds of a type send together (CI: 5,000; nightly: 100,000). Equal seeds: equal commands.
"""

import contextlib
import os
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import pytest

from differential.compare import Mismatch, Pair, Request
from harness.process import ServerProcess

CI_COMMANDS = 5_000
ROUND_COMMANDS = 150
MISMATCHES_SHOWN = 3
PROTOCOLS = (2, 3)

# Makes one request for a key.
Rule = Callable[[random.Random, bytes], Request]


@dataclass(frozen=True)
class Machine:
    """What is random about one type.

    `rules` with their weights; `probes` asks what a key of the type holds, at the end of a round; `settings` are
    choices of CONFIG SET's arguments, of which a round draws one (small thresholds are crossed more often).
    """

    name: str
    rules: Sequence[tuple[int, Rule]]
    probes: Callable[[bytes], Sequence[Request]]
    keys: tuple[bytes, ...] = (b"a", b"b", b"c")
    settings: Sequence[tuple[bytes, ...]] = field(default=((),))

    def round(self, choose: random.Random, commands: int) -> list[Request]:
        """The requests of one round: its settings, the commands with their probes, the state at the end."""
        setting = choose.choice(self.settings)
        requests: list[Request] = [(b"CONFIG", b"SET", *setting)] if setting else []
        rules, weights = [rule for _, rule in self.rules], [weight for weight, _ in self.rules]
        for rule in choose.choices(rules, weights, k=commands):
            key = choose.choice(self.keys)
            requests += [rule(choose, key), (b"OBJECT", b"ENCODING", key)]
        for key in self.keys:
            requests += [(b"TYPE", key), *self.probes(key)]
        return requests


def wanted_commands() -> int:
    """How many commands a type's machine sends, in all protocols together."""
    return int(os.environ.get("RANVIER_MACHINE_COMMANDS", CI_COMMANDS))


def run_machine(machine: Machine, ours: ServerProcess, theirs: ServerProcess, protocol: int, seed: int) -> None:
    """Run one protocol's share of the rounds; fail with the differences found, shrunk, and the seed."""
    pair = Pair(ours, theirs, protocol)
    found: list[Mismatch] = []
    rounds = max(1, wanted_commands() // len(PROTOCOLS) // ROUND_COMMANDS)
    with _settings_kept(machine, (ours, theirs)):
        for number in range(rounds):
            choose = random.Random(f"{machine.name} {protocol} {seed} {number}")
            mismatch = pair.first_difference(machine.round(choose, ROUND_COMMANDS))
            if mismatch is not None:
                found.append(mismatch)
            if len(found) == MISMATCHES_SHOWN:
                break
    if found:
        shown = "\n".join(map(str, found))
        pytest.fail(f"machine {machine.name} with --seed {seed} in RESP{protocol}:\n{shown}", pytrace=False)


@contextlib.contextmanager
def _settings_kept(machine: Machine, servers: Sequence[ServerProcess]) -> Iterator[None]:
    """Put the options that a machine changes back as they were, on all servers."""
    names = sorted({name for setting in machine.settings for name in setting[::2]})
    before: list[list[bytes]] = []
    for server in servers:
        with server.connect() as wire:
            before.append([wire.call("CONFIG", "GET", name).items[1].text for name in names])
    try:
        yield
    finally:
        for server, values in zip(servers, before, strict=True):
            with server.connect() as wire:
                for name, value in zip(names, values, strict=True):
                    assert not wire.call("CONFIG", "SET", name, value).is_error
                wire.call("FLUSHALL")
