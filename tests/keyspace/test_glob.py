"""Glob patterns: against a plain recursive definition, against Valkey's KEYS, and within a bounded number of steps."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.process import ServerProcess
from ranvier.keyspace.glob import compile_glob, glob_matches


@pytest.mark.parametrize(("pattern", "matching", "others"), [
    (b"", [b""], [b"a"]),
    (b"*", [b"", b"a", b"a\xff\n"], []),
    (b"**", [b"a", b"a\xff\n"], [b""]),         # an empty text is no work for the reference servers' matching
    (b"h?llo", [b"hello", b"h\xffllo"], [b"hllo", b"heello"]),
    (b"h*llo", [b"hllo", b"heeello", b"hllollo"], [b"hell"]),
    (b"h[ae]llo", [b"hello", b"hallo"], [b"hillo"]),
    (b"h[^e]llo", [b"hallo"], [b"hello", b"hllo"]),
    (b"[a-c]", [b"a", b"b", b"c"], [b"d", b"-"]),
    (b"[c-a]", [b"a", b"b", b"c"], [b"d"]),
    (b"[a-]", [b"a", b"^"], [b"-", b"b"]),      # a range up to `]`, and no end
    (rb"[\]]", [b"]"], [b"\\"]),
    (b"[abc", [b"a", b"c"], [b"[abc"]),
    (b"[]a", [], [b"a", b"]a"]),
    (rb"\*", [b"*"], [b"a", b"\\*"]),
    (rb"a\q", [b"aq"], [b"a\\q"]),
    (b"a\\", [b"a\\"], [b"a"]),
    (b"a**b***c", [b"abc", b"axbyc"], [b"ab"]),
    (b"*ab*ab*", [b"abab", b"xabyabz"], [b"ab", b"aba"]),
    (b"*aab", [b"aaab"], [b"aaba"]),
    (b"GET", [b"GET"], [b"get"]),
])
def test_patterns(pattern: bytes, matching: list[bytes], others: list[bytes]) -> None:
    assert [text for text in matching + others if glob_matches(pattern, text)] == matching


def test_case_is_ignored_for_ascii_letters_only() -> None:
    assert glob_matches(b"*GET[A-C]", b"hgeta", ignore_case=True)
    assert glob_matches(b"*get[a-c]", b"HGETA", ignore_case=True)
    assert not glob_matches(b"\xc4", b"\xe4", ignore_case=True)


def by_definition(pattern: bytes, text: bytes) -> bool:
    """What `*` and `?` mean, without any thought for time."""
    if not pattern:
        return not text
    if pattern[:1] == b"*":
        return any(by_definition(pattern[1:], text[at:]) for at in range(len(text) + 1))
    return bool(text) and pattern[:1] in (b"?", text[:1]) and by_definition(pattern[1:], text[1:])


@given(st.text("ab?*", max_size=8), st.text("abc", min_size=1, max_size=8))
def test_stars_mean_what_they_say(pattern: str, text: str) -> None:
    assert glob_matches(pattern.encode(), text.encode()) == by_definition(pattern.encode(), text.encode())


@given(st.binary(max_size=12), st.binary(max_size=12), st.booleans())
@settings(max_examples=500)
def test_any_bytes_are_a_pattern(pattern: bytes, text: bytes, ignore_case: bool) -> None:
    assert glob_matches(pattern, text, ignore_case) in (True, False)


def test_as_the_reference_matches_keys(valkey: ServerProcess) -> None:
    chance = random.Random(20260101)
    texts = {bytes(chance.choices(b"abcA-]^[\\", k=chance.randrange(1, 6))) for _ in range(300)}
    with valkey.connect() as wire:
        wire.call("SELECT", 7)
        wire.call("FLUSHDB")
        wire.call("MSET", *(word for text in texts for word in (text, b"")))
        patterns = [bytes(chance.choices(b"ab*?[]^-\\cA", k=chance.randrange(1, 9))) for _ in range(1500)]
        replies = wire.pipeline([("KEYS", pattern) for pattern in patterns])
        wire.call("FLUSHDB")
    for pattern, reply in zip(patterns, replies, strict=True):
        matches = compile_glob(pattern)
        assert {text for text in texts if matches(text)} == {item.text for item in reply.items}, pattern


class CountedText(bytes):
    """Bytes that count how often they are looked at."""

    looks = 0

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        self.looks += 1
        return super().__getitem__(index)

    def find(self, *args, **options):  # type: ignore[no-untyped-def]
        found = super().find(*args, **options)
        self.looks += (found if found >= 0 else args[2]) - args[1] + 1
        return found


@pytest.mark.parametrize("pattern", [
    b"a*" * 50 + b"b", b"*a?" * 30 + b"b", b"*[ab]" * 40 + b"c", b"*" + b"?" * 100 + b"c" + b"*a" * 50,
])
def test_many_stars_take_bounded_time(pattern: bytes) -> None:
    """lesson 19."""
    text = CountedText(b"a" * 2000)
    assert not glob_matches(pattern, text)
    assert text.looks <= (len(pattern) + 2) * (len(text) + 1)
