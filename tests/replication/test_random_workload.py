"""Random commands of all types on a primary whose replica is a real server, compared at the end (and on the way).

What the primary decides, by chance or by its clock, has to arrive as decided; what it propagates has to mean the same
to Valkey and to Redis. RANVIER_REPLICATED_COMMANDS sets how many commands each case sends (CI: 6,000; `make nightly`:
200,000); `--seed` the seed.
"""

import os

import pytest

from harness.data_set import expect_equal
from harness.link import FaultyLink
from harness.process import StartServer
from harness.replication import Synchronisations, attach, promote, wait_for_link, wait_until_in_step
from harness.workload import Workload
from replication.pairs import OWN

COMMANDS = int(os.environ.get("RANVIER_REPLICATED_COMMANDS", "6000"))
COMPARED_EVERY = 3_000


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
