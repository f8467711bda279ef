"""Which kinds of servers stand on the two sides. `own` is the server under test."""

from collections.abc import Callable
from dataclasses import dataclass

from harness.process import ServerProcess
from harness.workload import Workload

OWN = "own"
PAIRS = ((OWN, OWN), (OWN, "valkey"), (OWN, "redis"), ("valkey", OWN), ("redis", OWN))


@dataclass
class Pair:
    """Two servers that do not follow each other yet, and what makes data on the first."""

    primary: ServerProcess
    replica: ServerProcess
    workload: Workload

    @property
    def same_commands(self) -> bool:
        """Whether values built by the same commands have the same encodings: SORT changes Valkey's sorted sets."""
        return self.primary.kind == "ranvier"


# The fixture `start_pair`: the pair of kinds, options of both servers, then `clean=`.
StartPair = Callable[..., Pair]
