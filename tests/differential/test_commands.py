"""Random requests for every delivered command: the same bytes to Ranvier and to Valkey 9.1.2, raw replies compared.

`--differential-requests N` sets the requests per command, `--seed S` the seed; a failure prints both and the fewest
requests that show it.
"""

import random
import zlib

import pytest

from differential import delivered
from differential.compare import Mismatch, Pair, Request
from differential.shapes import Generator, Shape, read_shapes
from harness.process import ServerProcess

GROUP_REQUESTS = 40
# Every so many requests of the command under test, another one changes the ground it stands on.
OTHERS_SHARE = 0.3
MISMATCHES_SHOWN = 6
CI_REQUESTS = 20_000


@pytest.fixture(scope="module")
def shapes(valkey: ServerProcess) -> dict[str, Shape]:
    with valkey.connect() as wire:
        return read_shapes(wire, delivered.random_commands())


def make_group(generator: Generator, name: str, others: list[str]) -> list[Request]:
    """One group: something to work on, then mostly the command, now and then another of the same kind."""
    group = generator.seeds()
    while len(group) < GROUP_REQUESTS:
        other = generator.choose.random() < OTHERS_SHARE
        group.append(generator.request(generator.choose.choice(others) if other else name))
    return group


def expect_none(mismatches: list[Mismatch], seed: int, protocol: int) -> None:
    """Fails with the distinct differences, without a traceback that would hide them."""
    distinct = {(m.requests[-1][0].upper(), str(m.ours)[:30], str(m.theirs)[:30]): m for m in mismatches}
    shown = "\n".join(str(found) for found in list(distinct.values())[:MISMATCHES_SHOWN])
    if distinct:
        pytest.fail(f"{len(distinct)} differences with --seed {seed} in RESP{protocol}:\n{shown}", pytrace=False)


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("name", delivered.random_commands())
def test_replies_equal_valkeys(
    name: str,
    protocol: int,
    server: ServerProcess,
    valkey: ServerProcess,
    shapes: dict[str, Shape],
    request: pytest.FixtureRequest,
) -> None:
    seed = request.config.getoption("--seed")
    generator = Generator(shapes, zlib.crc32(f"{name} {protocol} {seed}".encode()))
    others = [*delivered.values(), *delivered.GENERIC, "FLUSHDB", "SWAPDB", "SELECT"]
    pair = Pair(server, valkey, protocol)
    mismatches = []
    while pair.requests_sent < request.config.getoption("--differential-requests") // 2:
        found = pair.first_mismatch(make_group(generator, name, others))
        if found is not None:
            mismatches.append(found)
    expect_none(mismatches, seed, protocol)


def test_ci_sends_enough_requests(request: pytest.FixtureRequest) -> None:
    per_command = request.config.getoption("--differential-requests")
    assert per_command * len(delivered.random_commands()) >= CI_REQUESTS


@pytest.mark.parametrize("protocol", [2, 3])
def test_replies_equal_valkeys_when_all_commands_are_mixed(
    protocol: int,
    server: ServerProcess,
    valkey: ServerProcess,
    shapes: dict[str, Shape],
    request: pytest.FixtureRequest,
) -> None:
    seed = request.config.getoption("--seed")
    names = delivered.random_commands()
    mismatches = []
    for number in range(10):
        generator = Generator(shapes, seed * 1000 + number)
        group = generator.seeds() + [generator.request(generator.choose.choice(names)) for _ in range(200)]
        found = Pair(server, valkey, protocol).first_mismatch(group)
        if found is not None:
            mismatches.append(found)
    expect_none(mismatches, seed, protocol)


def test_equal_seeds_make_equal_requests(shapes: dict[str, Shape]) -> None:
    names = random.Random(1).choices(delivered.random_commands(), k=300)
    one, other = (Generator(shapes, 7) for _ in range(2))
    assert [one.request(name) for name in names] == [other.request(name) for name in names]
