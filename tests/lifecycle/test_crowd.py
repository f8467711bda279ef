"""A8: hundreds of connections in every mode, sent away in every way; counters, descriptors and memory come back.

tools/crowd.py does the same with thousands, and prints the figures.
"""

from collections.abc import Iterator

import pytest

from harness.crowd import COUNTERS, MODES, Crowd, pairs
from harness.process import ServerProcess

GUESTS = 5 * len(pairs())
# A leak of a hundred bytes per connection is found; the counted memory is exact.
USED_MEMORY_SLACK_BYTES = 32 * 1024
# Modes by the figure that counts them.
COUNTED = {
    "blocked_clients": ("blocked", "blocked with time-out"),
    "clients_in_timeout_table": ("blocked with time-out",),
    "watching_clients": ("watching", "in MULTI"),
    "pubsub_clients": ("subscribed", "subscribed, RESP3"),
    "tracking_clients": ("tracking", "tracking, broadcast"),
}


@pytest.fixture
def crowd(server_kind: str) -> Iterator[Crowd]:
    """At a server of its own, whose memory no other test moves."""
    server = ServerProcess(server_kind, ("--maxclients", "2000", "--loglevel", "warning"))
    guests = Crowd(server)
    yield guests
    guests.close()
    assert server.is_running()
    assert server.stop() == 0, server.log()
    server.discard()


def test_a8_a_crowd_in_every_mode_leaves_in_every_way_and_leaves_nothing(crowd: Crowd) -> None:
    figures = []
    for _ in range(2):               # the first round warms up: what a server keeps for the next one is no leak
        guests = crowd.arrive(GUESTS)
        crowd.server.settle()
        height = crowd.figures()
        for name, modes in COUNTED.items():
            assert height[name] == sum(guest.mode in modes for guest in guests), name
        assert {guest.mode for guest in guests} == {mode for mode in MODES if mode in dict(pairs())}
        crowd.send_away(guests)
        figures.append(crowd.figures())
    first, second = figures
    assert {name: second[name] for name in COUNTERS} == dict.fromkeys(COUNTERS, 0)
    assert second["connected_clients"] == 1
    assert second["descriptors"] == first["descriptors"]
    assert second["used_memory"] - first["used_memory"] < USED_MEMORY_SLACK_BYTES, figures
