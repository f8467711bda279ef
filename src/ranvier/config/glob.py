"""Redis's glob patterns over option names, case-insensitively, in time bounded by pattern length plus names.

`*` any run, `?` any character, `[a-c]` and `[^a-c]` classes, `\\x` the character x. A pattern is read once into
steps; runs of stars become one, and a pattern that needs more characters than any name has matches nothing, so no
pattern of a peer is ever tried at length.
"""

from __future__ import annotations

from collections.abc import Callable

NAME_LENGTH_MAX = 64
_MAGIC = frozenset("*?[")

Step = Callable[[str], bool]


def is_pattern(text: str) -> bool:
    """Whether the text is a pattern rather than a plain name."""
    return not _MAGIC.isdisjoint(text)


def matcher(pattern: str) -> Callable[[str], bool]:
    """A function that says whether a lower-case name matches."""
    steps = _steps(pattern.lower())
    if sum(step is not None for step in steps) > NAME_LENGTH_MAX:
        return lambda name: False
    return lambda name: _matches(steps, name)


def _matches(steps: list[Step | None], name: str) -> bool:
    """Two positions and one point of return: the last star takes one more character after each failure."""
    at, position = 0, 0
    star, star_position = -1, 0
    while position < len(name):
        step = steps[at] if at < len(steps) else _never
        if step is None:
            star, star_position = at, position
            at += 1
        elif step(name[position]):
            at += 1
            position += 1
        elif star >= 0:
            star_position += 1
            at, position = star + 1, star_position
        else:
            return False
    return all(step is None for step in steps[at:])


def _steps(pattern: str) -> list[Step | None]:
    """The pattern as character tests; None is a star. Stops soon after no name can match any more."""
    steps: list[Step | None] = []
    position, end = 0, len(pattern)
    while position < end and len(steps) <= 2 * NAME_LENGTH_MAX + 2:
        character = pattern[position]
        position += 1
        if character == "*":
            if not steps or steps[-1] is not None:
                steps.append(None)
        elif character == "?":
            steps.append(_any)
        elif character == "[":
            step, position = _class(pattern, position)
            steps.append(step)
        else:
            if character == "\\" and position < end:
                character = pattern[position]
                position += 1
            steps.append(character.__eq__)
    return steps


def _class(pattern: str, position: int) -> tuple[Step, int]:
    """The test of a character class that opens before `position`, and the position after it."""
    end = len(pattern)
    negated = position < end and pattern[position] == "^"
    position += negated
    ranges: list[tuple[str, str]] = []
    while position < end and pattern[position] != "]":
        if pattern[position] == "\\" and position + 1 < end:
            position += 1
            ranges.append((pattern[position], pattern[position]))
        elif position + 2 < end and pattern[position + 1] == "-":
            low, high = sorted((pattern[position], pattern[position + 2]))
            ranges.append((low, high))
            position += 2
        else:
            ranges.append((pattern[position], pattern[position]))
        position += 1
    return lambda character: any(low <= character <= high for low, high in ranges) != negated, position + 1


def _any(character: str) -> bool:
    return True


def _never(character: str) -> bool:
    return False
