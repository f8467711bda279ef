"""The phases of a client: which may follow which, pair by pair (design, law 5)."""

import itertools

import pytest

from ranvier.engine.phase import transitions

PHASES = ("HANDSHAKE", "READY", "BLOCKED", "CLOSING_AFTER_REPLY", "CLOSING", "DRAINING", "CLOSED")
LEGAL = {
    ("HANDSHAKE", "READY"),
    ("HANDSHAKE", "CLOSING_AFTER_REPLY"),
    ("HANDSHAKE", "CLOSING"),
    ("READY", "BLOCKED"),
    ("READY", "CLOSING_AFTER_REPLY"),
    ("READY", "CLOSING"),
    ("BLOCKED", "READY"),
    ("BLOCKED", "CLOSING_AFTER_REPLY"),
    ("BLOCKED", "CLOSING"),
    ("CLOSING_AFTER_REPLY", "DRAINING"),
    ("CLOSING_AFTER_REPLY", "CLOSING"),
    ("DRAINING", "CLOSING"),
    ("CLOSING", "CLOSED"),
}


@pytest.mark.parametrize(("start", "end"), list(itertools.product(PHASES, PHASES)))
def test_transition(start: str, end: str) -> None:
    assert (end in transitions()[start]) == ((start, end) in LEGAL)


def test_no_other_phases() -> None:
    assert tuple(transitions()) == PHASES


def test_every_phase_leads_to_closed_and_no_closing_phase_back() -> None:
    closing = {"CLOSING_AFTER_REPLY", "CLOSING", "DRAINING", "CLOSED"}
    for phase in PHASES:
        reached, left = {phase}, [phase]
        while left:
            for following in transitions()[left.pop()]:
                if following not in reached:
                    reached.add(following)
                    left.append(following)
        assert "CLOSED" in reached
        if phase in closing:
            assert reached <= closing
