"""Fixtures that start servers, the choice of the server under test, and server logs beside a failure."""

import gc
import os
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path

import hypothesis
import pytest

from harness.audit import audit
from harness.process import ServerProcess, StartServer
from ranvier.shells.memory import MemoryClient

# Every server of the run, in this process or another, looks after each close whether anything still refers to the
# client (engine/audit); what it finds ends the server, and the test. RANVIER_AUDIT=0 leaves it out: for figures.
os.environ.setdefault("RANVIER_AUDIT", "1")

# How long an example takes is the machine's affair, and the sanitizers'.
hypothesis.settings.register_profile("ranvier", parent=hypothesis.settings(), deadline=None)   # parent: CI's, in CI
hypothesis.settings.load_profile("ranvier")

STARTED = pytest.StashKey[list[ServerProcess]]()


def pytest_configure(config: pytest.Config) -> None:
    """Answers are counted against requests on every connection, in memory and over sockets (lesson 20)."""
    audit(MemoryClient)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--server-under-test",
        choices=("ranvier", "valkey", "redis"),
        default="ranvier",
        help="run the socket tests against another server: proves the tests themselves",
    )
    parser.addoption("--seed", type=int, default=1, help="seed of the random requests of the differential tests")
    parser.addoption(
        "--differential-requests", type=int, default=300, help="random requests per command in the differential tests"
    )
    parser.addoption("--model-examples", type=int, default=60, help="random conversations of tests/model")
    parser.addoption("--model-steps", type=int, default=40, help="steps of the longest of them")


def pytest_collection_finish() -> None:
    """Tests that count objects collect garbage often: not through all that pytest keeps of ten thousand tests."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def server_kind(request: pytest.FixtureRequest) -> str:
    return str(request.config.getoption("--server-under-test"))


def _servers(request: pytest.FixtureRequest) -> list[ServerProcess]:
    return request.session.stash.setdefault(STARTED, [])


def _end(request: pytest.FixtureRequest, server: ServerProcess, *, clean: bool) -> None:
    """Stop, and insist on a clean end: a crash must not pass for a closed connection."""
    _servers(request).remove(server)
    running = server.is_running()
    status = server.stop()
    log = server.log()
    server.discard()
    if clean:
        assert running, f"the server had ended by itself with status {status}:\n{log}"
        assert status == 0, f"the server ended with status {status}:\n{log}"


@pytest.fixture
def start_server(request: pytest.FixtureRequest, server_kind: str) -> Iterator[StartServer]:
    """Start servers with options of the test's own; `kind` names another server, `clean=False` allows it to be dead.

    `rewritable` (a configuration file that CONFIG REWRITE may write) and `files` are ServerProcess's.
    """
    started: list[tuple[ServerProcess, bool]] = []

    def start(
        *options: str,
        kind: str = server_kind,
        clean: bool = True,
        rewritable: bool = False,
        files: Mapping[str, bytes] | None = None,
    ) -> ServerProcess:
        server = ServerProcess(kind, options, rewritable=rewritable, files=files)
        started.append((server, clean))
        _servers(request).append(server)
        return server

    yield start
    for server, clean in reversed(started):
        _end(request, server, clean=clean)


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest, server_kind: str) -> Iterator[ServerProcess]:
    """The server under test with default options, shared by the whole run: a test leaves it as it was."""
    running = ServerProcess(server_kind)
    _servers(request).append(running)
    yield running
    _end(request, running, clean=True)


@pytest.fixture(scope="session")
def valkey(request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    """Valkey 9.1.2, the reference for the whole run."""
    running = ServerProcess("valkey")
    _servers(request).append(running)
    yield running
    _end(request, running, clean=True)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the working tree."""
    return Path(__file__).parent.parent


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        for server in item.session.stash.get(STARTED, []):
            report.sections.append((f"log of {server.kind} on port {server.port}", server.log()))
    return report
