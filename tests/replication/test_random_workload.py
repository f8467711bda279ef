"""Random commands of all types on a primary whose replica is a real server, compared at the end (and on the way).

What the primary decides, by chance or by its clock, has to arrive as decided; what it propagates has to mean the same
to Valkey and to Redis. RANVIER_REPLICATED_COMMANDS sets how many commands each case sends (CI: 6,000; `make nightly`:
200,000); `--seed` the seed.
"""

import os

import pytest

from harness.data_set import expect_equal
from harness.link import FaultyLink
from harness.process import ServerProcess, StartServer
from harness.replication import Synchronisations, attach, promote, wait_for_link, wait_until_in_step
from harness.workload import Workload
from replication.pairs import OWN

COMMANDS = int(os.environ.get("RANVIER_REPLICATED_COMMANDS", "6000"))
COMPARED_EVERY = 3_000
POLICIES = ("allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-ttl")
PADDING_KEYS = 500          # with an expiry, so that every policy finds something to evict
PADDING_BYTES = 200
EVICTED_BYTES = 50_000      # at once, when the limit is set: about half of the padding


@pytest.mark.timeout(120 + COMMANDS // 100)
@pytest.mark.parametrize("pair", [(OWN, "valkey"), (OWN, "redis"), ("valkey", OWN), ("redis", OWN)], ids="-".join)
def test_a_replica_does_as_its_primary(
    pair: tuple[str, str], start_one: StartServer, request: pytest.FixtureRequest
) -> None:
    primary, replica = (start_one(kind) for kind in pair)
    attach(replica, primary)
    seed = int(request.config.getoption("--seed"))
    workload = Workload(primary, seed, with_redis="redis" in pair)
    for _ in range(max(1, COMMANDS // COMPARED_EVERY)):
        workload.run(COMPARED_EVERY)
        wait_until_in_step(replica, primary)
        assert expect_equal(primary, replica, encodings=primary.kind == "ranvier") > 30


def limit_memory(server: ServerProcess, policy: str, limit_bytes: int) -> None:
    with server.connect() as wire:
        assert wire.call("CONFIG", "SET", "maxmemory-policy", policy, "maxmemory", limit_bytes).text == b"OK"


def add_padding(server: ServerProcess) -> None:
    with server.connect() as wire:
        wire.call("SELECT", 12)
        value = b"x" * PADDING_BYTES
        wire.pipeline([("SET", f"padding:{number}", value, "EX", 1000 + number) for number in range(PADDING_KEYS)])


@pytest.mark.timeout(120 + COMMANDS // 50)
@pytest.mark.parametrize("pair", [(OWN, "valkey"), (OWN, OWN), ("valkey", OWN)], ids="-".join)
def test_a_replica_loses_what_its_primary_evicts(
    pair: tuple[str, str], start_one: StartServer, request: pytest.FixtureRequest
) -> None:
    """Nothing else, however small its own limit is: a replica does not evict (replica-ignore-maxmemory)."""
    primary, replica = (start_one(kind) for kind in pair)
    attach(replica, primary)
    workload = Workload(primary, int(request.config.getoption("--seed")))
    for policy in POLICIES:
        limit_memory(primary, policy, 0)
        add_padding(primary)
        before = int(primary.info("stats")["evicted_keys"])
        limit_memory(primary, policy, int(primary.info("memory")["used_memory"]) - EVICTED_BYTES)
        limit_memory(replica, policy, 1)
        workload.run(max(300, COMMANDS // len(POLICIES)))
        wait_until_in_step(replica, primary)
        limit_memory(primary, policy, 0)        # or what is asked for the comparison makes it evict more
        assert int(primary.info("stats")["evicted_keys"]) > before
        wait_until_in_step(replica, primary)
        expect_equal(primary, replica, encodings=primary.kind == "ranvier")
    assert replica.info("stats")["evicted_keys"] == "0"


@pytest.mark.timeout(120 + COMMANDS // 100)
def test_a_replica_does_as_its_primary_over_a_link_that_breaks(
    start_one: StartServer, request: pytest.FixtureRequest
) -> None:
    """Wherever the link breaks, commands are neither lost nor done twice."""
    primary, replica = start_one(OWN), start_one("valkey")
    workload = Workload(primary, int(request.config.getoption("--seed")))
    breaks = 3
    with FaultyLink(primary.port) as link:
        attach(replica, primary, port=link.port)
        for number in range(breaks):
            link.cut_down_after(7_001 * (number + 1))
            workload.run(COMMANDS // breaks // 4)
            link.cut_down_after(None)
            wait_for_link(replica)
            wait_until_in_step(replica, primary)
            expect_equal(primary, replica, encodings=Synchronisations.of(primary).full == 1)
        promote(replica)
