"""Lists in both encodings against a Python list, and their structure after every step."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranvier.engine.types.list_handle import ListHandle, listpack_decode, listpack_encode, listpack_is_valid

NUMBERS = st.one_of(
    st.integers(-200, 200),
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([s * 2**n + d for n in (6, 7, 12, 13, 15, 23, 31, 62) for s in (1, -1) for d in (-1, 0, 1)]),
).map(lambda number: b"%d" % number)
TEXTS = st.one_of(
    st.binary(max_size=8),
    st.sampled_from([b"", b"-0", b"01", b"+1", b" 1", b"-", b"9223372036854775808", b"-9223372036854775809"]),
    st.sampled_from([b"x" * n for n in (62, 63, 64, 65, 123, 124, 125, 126, 127, 500, 4094, 4095, 4096, 8190)]),
)
LARGE = st.sampled_from([b"L" * n for n in (8192, 8193, 16379, 16380, 16381, 20000, 70000)])
VALUES = st.one_of(NUMBERS, TEXTS, TEXTS, LARGE)
PLACES = st.integers(-400, 400)
OPERATIONS = st.one_of(
    st.tuples(st.just("push"), st.booleans(), VALUES, st.integers(1, 40)),
    st.tuples(st.just("pop"), st.booleans(), st.integers(1, 30)),
    st.tuples(st.just("set"), PLACES, VALUES),
    st.tuples(st.just("insert"), PLACES, st.booleans(), VALUES, st.integers(1, 10)),
    st.tuples(st.just("remove"), PLACES, st.booleans(), st.integers(1, 5)),
    st.tuples(st.just("delete"), PLACES, st.integers(0, 100)),
    st.tuples(st.just("rotate"), st.booleans(), st.integers(1, 20)),
)


def apply(step: tuple[Any, ...], real: ListHandle, model: list[bytes]) -> None:
    """Do one operation to both; its own results are compared here."""
    match step:
        case ("push", at_head, value, times):
            for _ in range(times):
                real.push(value, at_head)
                model.insert(0 if at_head else len(model), value)
        case ("pop", at_head, times):
            for _ in range(min(times, len(model))):
                assert real.pop(at_head) == model.pop(0 if at_head else -1)
        case ("set", place, value) if model:
            real[place % len(model)] = value
            model[place % len(model)] = value
        case ("insert", place, after, value, times) if model:
            for _ in range(times):
                index = place % len(model)
                real.insert(index, value, after)
                model.insert(index + after, value)
        case ("remove", place, forward, limit) if model:
            remove(model[place % len(model)], forward, limit, real, model)
        case ("delete", place, count) if model:
            start = place % len(model)
            assert real.delete_range(start, count) == len(model[start : start + count])
            del model[start : start + count]
        case ("rotate", from_head, times) if model:
            for _ in range(times):
                real.rotate(from_head)
                model.insert(len(model) if from_head else 0, model.pop(0 if from_head else -1))


def remove(value: bytes, forward: bool, limit: int, real: ListHandle, model: list[bytes]) -> None:
    found = [i for i, other in enumerate(model) if other == value]
    chosen = found[:limit] if forward else found[-limit:]
    assert real.remove(value, limit, forward) == len(chosen)
    for i in reversed(chosen):
        del model[i]


@settings(max_examples=400, deadline=None)
@given(st.sampled_from([-5, -2, -2, -1, 0, 1, 3, 20, 128]), st.lists(OPERATIONS, max_size=30))
def test_against_a_python_list(fill: int, steps: list[tuple[Any, ...]]) -> None:
    real = ListHandle(fill=fill)
    model: list[bytes] = []
    for step in steps:
        apply(step, real, model)
        real.check()
        assert len(real) == len(model)
    assert list(real) == model
    assert real.range(-1, forward=False) == model[::-1]
    assert [real[i] for i in range(-len(model), len(model), 7)] == [model[i] for i in range(-len(model), len(model), 7)]
    copy = real.copy()
    copy.check()
    assert (list(copy), copy.encoding, copy.node_count) == (model, real.encoding, real.node_count)
    for _ in range(len(model)):
        real.pop(True)
    real.check()
    assert list(copy) == model, "the copy depends on its original"


@given(st.lists(VALUES, max_size=30))
def test_encode_and_decode(values: list[bytes]) -> None:
    block = listpack_encode(values)
    assert listpack_decode(block) == values
    assert int.from_bytes(block[:4], "little") == len(block)


@settings(max_examples=500)
@given(st.binary(max_size=60))
def test_any_bytes_are_judged(noise: bytes) -> None:
    """Bytes under a true size and end marker: accepted ones decode and are consistent, nothing crashes."""
    block = (len(noise) + 7).to_bytes(4, "little") + b"\xff\xff" + noise + b"\xff"
    if listpack_is_valid(block):
        assert len(listpack_decode(block)) <= len(noise)
    assert not listpack_is_valid(block[:-1])
    assert not listpack_is_valid(block + b"\xff")


@settings(max_examples=300)
@given(st.lists(VALUES, min_size=1, max_size=6), st.data())
def test_a_changed_byte_is_found_or_harmless(values: list[bytes], data: st.DataObject) -> None:
    block = bytearray(listpack_encode(values))
    place = data.draw(st.integers(0, min(len(block) - 1, 300)))
    block[place] ^= data.draw(st.integers(1, 255))
    if listpack_is_valid(bytes(block)):
        listpack_decode(bytes(block))
        assert place >= 4


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"\x07\0\0\0\0\0",
        b"\x07\0\0\0\0\0\0",
        b"\x07\0\0\0\x01\0\xff",  # counts one, holds none
        b"\x09\0\0\0\0\0\x01\x01\xff",  # counts none, holds one
        b"\x09\0\0\0\x01\0\x01\x02\xff",  # wrong length at the right end
        b"\x09\0\0\0\x01\0\xff\x01\xff",  # end marker in the middle
        b"\x09\0\0\0\x01\0\xf5\x01\xff",  # unknown encoding
        b"\x0c\0\0\0\x01\0\xf0\xff\xff\xff\xff\xff",  # a string of 4 GB
        b"\x0a\0\0\0\x01\0\x85ab\xff",  # a string past the end
        b"\x08\0\0\0\x01\0\xf4\xff",  # an integer past the end
    ],
)
def test_malformed_blocks_are_refused(block: bytes) -> None:
    assert not listpack_is_valid(block)


def test_a_count_past_sixteen_bits_is_walked() -> None:
    block = listpack_encode([b"1"] * 70000)
    assert block[4:6] == b"\xff\xff"
    assert len(listpack_decode(block)) == 70000


def test_memory_is_counted_and_given_back() -> None:
    real = ListHandle()
    empty = real.used_bytes
    for i in range(20000):
        real.push(b"element:%d" % i, bool(i & 1))
    assert real.memory_usage() == real.used_bytes
    assert abs(real.memory_usage(5) - real.used_bytes) < real.used_bytes // 2
    assert real.used_bytes < 1.15 * sum(len(block) for _, block in real.blocks()), "nodes keep spare room"
    for _ in range(20000):
        real.pop()
    assert real.used_bytes == empty
    assert real.encoding is None


def test_freeing_in_slices_is_bounded() -> None:
    real = ListHandle([b"x" * 4000] * 100)
    assert real.node_count == 50
    slices = 1
    while not real.clear_slice(7):
        slices += 1
    assert slices == 8
    assert list(real) == []


def test_a_queue_moves_few_bytes() -> None:
    """Push at the head and pop at the tail for a long time: memory stays that of the elements held."""
    real = ListHandle()
    for i in range(50000):
        real.push(b"job %06d" % i, True)
        if i >= 300:
            assert real.pop() == b"job %06d" % (i - 300)
    assert real.used_bytes < 16384
