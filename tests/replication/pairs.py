"""Which kinds of servers stand on the two sides. `own` is the server under test."""

import os
from collections.abc import Callable
from dataclasses import dataclass

from harness.process import ServerProcess
from harness.workload import Workload

OWN = "own"
# Each side once with each of the others; `make nightly` runs all of them.
QUICK_PAIRS = ((OWN, "valkey"), ("redis", OWN))
EVERY_PAIR = ((OWN, OWN), (OWN, "valkey"), (OWN, "redis"), ("valkey", OWN), ("redis", OWN))
PAIRS = EVERY_PAIR if os.environ.get("RANVIER_EVERY_PAIR") == "1" else QUICK_PAIRS


@dataclass
class Pair:
    """Two servers that do not follow each other yet, and what makes data on the first."""

    primary: ServerProcess
    replica: ServerProcess
    workload: Workload


# The fixture `start_pair`: the pair of kinds, options of both servers, then `clean=`.
StartPair = Callable[..., Pair]
