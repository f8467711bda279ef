"""All modes at once as a model: random conversations of four clients with Ranvier and with Valkey, step by step.

`make model` plays more of them, with a seed of one's choice: --model-examples, --model-steps, --seed.
"""

from collections.abc import Iterator

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from harness.process import ServerProcess
from model.lines import play, steps
from model.table import AGREEMENT_SECONDS, Table

SHRINKING_SECONDS = 1.0
OPTIONS = ("--notify-keyspace-events", "KEA", "--loglevel", "warning")


@pytest.fixture(scope="module")
def pair(server_kind: str) -> Iterator[tuple[ServerProcess, ServerProcess]]:
    """Servers of this module's own: their counters must come back to zero."""
    started = [ServerProcess(kind, OPTIONS) for kind in (server_kind, "valkey")]
    yield started[0], started[1]
    for server in started:
        assert server.is_running(), server.log()
        assert server.stop() == 0, server.log()
        server.discard()


@pytest.mark.timeout(3600)
def test_a13_random_conversations_in_all_modes_go_as_on_valkey(
    pair: tuple[ServerProcess, ServerProcess], request: pytest.FixtureRequest
) -> None:
    examples, longest, seed = (
        int(request.config.getoption(name)) for name in ("--model-examples", "--model-steps", "--seed")
    )

    patience = [AGREEMENT_SECONDS]

    @hypothesis.seed(seed)
    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck),
              phases=[Phase.generate, Phase.shrink])
    @given(script=steps(longest))
    def converse(script: list[tuple[object, ...]]) -> None:
        with Table(*pair, patience[0]) as table:
            try:
                play(table, script)
            except AssertionError:
                patience[0] = SHRINKING_SECONDS      # what follows only looks for a shorter way to the same end
                raise

    converse()
