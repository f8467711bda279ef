"""Splitting and quoting of configuration lines; the reference is Valkey, with its inline requests and its files."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.reference import first_refusal
from harness.process import ServerProcess
from ranvier.config.words import decode, encode, quote, split

CASES = [
    (r"a b  c", ["a", "b", "c"]),
    (r"", []),
    ("\ta \r", ["a"]),
    (r'"a b" c', ["a b", "c"]),
    (r'a"b c"d', ["ab cd"]),
    (r'""', [""]),
    (r"'' x", ["", "x"]),
    (r'"\n\r\t\b\a\\\""', ["\n\r\t\b\a\\\""]),
    (r'"\x41\x7a\xg1\x4"', ["Azxg1x4"]),
    (r"'a\'b\n'", [r"a'b\n"]),
    (r"a\x41", [r"a\x41"]),
    (r'"it''s"', ["its"]),
    (r'"don\'t"', ["don't"]),
    (r'"a"b', ["ab"]),
    (r'"\xff\xfe"', [decode(b"\xff\xfe")]),
]
UNBALANCED = ['"', "'", 'a "b', "'a\\'", '"a\\"', 'x y"']


@pytest.mark.parametrize(("line", "words"), CASES)
def test_a_line_is_split_into_words(line: str, words: list[str]) -> None:
    assert split(line) == words


@pytest.mark.parametrize("line", UNBALANCED)
def test_unbalanced_quotes_give_no_words(line: str) -> None:
    assert split(line) is None


@settings(deadline=None)
@given(st.lists(st.binary(max_size=20), max_size=6))
def test_quoted_words_come_back(words: list[bytes]) -> None:
    line = " ".join(quote(decode(word)) for word in words)
    assert line.isascii()
    assert line.isprintable()
    assert [encode(word) for word in split(line) or []] == words


@settings(deadline=None)
@given(st.text(alphabet="ab \t\"'\\xn4f1", max_size=16))
def test_any_line_is_split_or_refused(line: str) -> None:
    words = split(line)
    assert words is None or all(isinstance(word, str) for word in words)


@settings(deadline=None)
@given(st.lists(st.text(alphabet="ab \t\"'\\xn4f1", max_size=16), max_size=40))
def test_lines_are_split_as_valkey_splits_inline_requests(valkey: ServerProcess, lines: list[str]) -> None:
    """COMMAND GETKEYS EVAL gives back every word that follows the count, so the reply shows the words themselves."""
    with valkey.connect() as wire:
        for line in lines:
            words = split(line)
            if words is None or not words:
                continue
            inline = f"COMMAND GETKEYS EVAL x {len(words)} {line}\r\n".encode()
            wire.send(inline)
            assert wire.reply().plain() == [encode(word) for word in words], line


@pytest.mark.parametrize("line", UNBALANCED)
def test_valkey_refuses_the_same_quotes(line: str) -> None:
    """In a file; inline, Valkey takes a backslash before the very last quote for an ordinary one."""
    refusal = first_refusal(f"requirepass {line}")
    assert refusal is not None
    assert refusal.reason == "Unbalanced quotes in configuration line"
