"""Servers in pairs, one to be the other's replica."""

import pytest

from harness.process import ServerProcess, StartServer
from harness.replication import PRIMARY_OPTIONS
from harness.workload import Workload
from replication.pairs import OWN, PAIRS, Pair, StartPair


@pytest.fixture
def start_one(start_server: StartServer, server_kind: str) -> StartServer:
    """A server of one of the pair's kinds, ready to be a primary or a replica."""

    def start(kind: str, *options: str, clean: bool = True) -> ServerProcess:
        return start_server(*PRIMARY_OPTIONS, *options, kind=server_kind if kind == OWN else kind, clean=clean)

    return start


@pytest.fixture
def start_pair(start_one: StartServer, request: pytest.FixtureRequest) -> StartPair:
    """Both servers of a pair with the same options."""

    def start(pair: tuple[str, str], *options: str, clean: bool = True) -> Pair:
        primary, replica = (start_one(kind, *options, clean=clean) for kind in pair)
        seed = int(request.config.getoption("--seed"))
        return Pair(primary, replica, Workload(primary, seed, with_redis="redis" in (primary.kind, replica.kind)))

    return start


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test that asks for `pair` runs for each of them, or names its own."""
    named = any("pair" in str(marker.args[0]) for marker in metafunc.definition.iter_markers("parametrize"))
    if "pair" in metafunc.fixturenames and not named:
        metafunc.parametrize("pair", PAIRS, ids="-".join)
