"""The sorted set's structure: both encodings against a sorted list, whatever comes and goes."""

import math
import random
import struct

import pytest

from ranvier.engine.store.handles import StandaloneKeyspace
from ranvier.engine.types.sorted_set_handle import (
    SortedSetHandle,
    format_score,
    format_score_plainly,
    parse_score,
    parse_score_limit,
    sorted_set_of,
)

Model = dict[bytes, float]


def in_order(model: Model) -> list[tuple[bytes, float]]:
    return sorted(model.items(), key=lambda pair: (pair[1], pair[0]))


def name_of(number: int) -> bytes:
    """Names of all lengths, some of which print as integers."""
    return b"%d" % number if number % 3 == 0 else b"m" * (number % 300) + b"%d" % number


@pytest.mark.parametrize("entries", [0, 8, 128])
@pytest.mark.parametrize("scores", [3, 1_000_000])
def test_random_changes(entries: int, scores: int) -> None:
    chance = random.Random(entries * 7 + scores)
    handle, model = SortedSetHandle(entries=entries, value_bytes=64), Model()
    for step in range(6000):
        name = name_of(chance.randrange(900))
        if chance.random() < (0.7 if step % 3000 < 1500 else 0.35):
            score = chance.randrange(scores) / 4 - scores / 8
            expected = "added" if name not in model else "same" if model[name] == score else "updated"
            assert handle.add(name, score) == expected
            model[name] = score
        elif chance.random() < 0.5:
            assert handle.remove(name) == (model.pop(name, None) is not None)
        elif model:
            start = chance.randrange(len(model))
            pairs = in_order(model)[start : start + 3]
            assert handle.remove_ranks(start, 3) == len(pairs)
            for gone, _ in pairs:
                del model[gone]
        if step % 37 == 0:
            handle.check()
            agree(handle, model, chance)
    assert handle.remove_ranks(0, len(model) + 1) == len(model)
    assert (len(handle), handle.used_bytes) == (0, 0)


def agree(handle: SortedSetHandle, model: Model, chance: random.Random) -> None:
    pairs = in_order(model)
    assert list(handle) == pairs
    assert len(handle) == len(pairs)
    assert handle.range_by_rank(reverse=True) == pairs[::-1]
    for rank in chance.sample(range(len(pairs)), min(len(pairs), 5)):
        name, score = pairs[rank]
        assert (handle.score(name), handle.rank(name)) == (score, rank)
        assert handle.range_by_rank(rank, 4) == pairs[rank : rank + 4]
        other = chance.choice(pairs)[1]
        low, high = min(score, other), max(score, other)
        assert handle.range_by_score(low, high) == [pair for pair in pairs if low <= pair[1] <= high]
        assert handle.range_by_score(low, high, exclude_minimum=True, exclude_maximum=True, reverse=True) == [
            pair for pair in pairs[::-1] if low < pair[1] < high
        ]
    assert handle.score(b"absent") is handle.rank(b"absent") is None


@pytest.mark.parametrize("order", ["ascending", "descending", "random"])
def test_many_members_in_every_order(order: str) -> None:
    numbers = list(range(20_000))
    if order == "descending":
        numbers.reverse()
    elif order == "random":
        random.Random(5).shuffle(numbers)
    handle = SortedSetHandle((b"member:%d" % number, number / 2) for number in numbers)
    handle.check()
    assert handle.encoding == "skiplist"
    assert [score for _, score in handle] == [number / 2 for number in range(20_000)]
    for number in (0, 1, 31, 4_999, 19_999):
        assert handle.rank(b"member:%d" % number) == number
        assert handle.range_by_rank(number, 1) == [(b"member:%d" % number, number / 2)]
    if order != "random":
        # What comes in order fills its leaves: 8 bytes a member for the order, not 16.
        assert handle.used_bytes < 20_000 * (24 + 20 + 10)
    copy = handle.copy()
    copy.check()
    assert list(copy) == list(handle)
    for number in numbers:
        handle.remove(b"member:%d" % number)
        if number % 997 == 0:
            handle.check()
    assert handle.used_bytes == 0


def test_small_changes_of_a_score_stay_in_place() -> None:
    handle = SortedSetHandle((b"%d" % number, number * 10.0) for number in range(5000))
    for number in range(5000):
        assert handle.add(b"%d" % number, number * 10.0 + number % 7 - 3.5) == "updated"
    handle.check()
    for number in range(5000):
        assert handle.rank(b"%d" % number) == number


@pytest.mark.parametrize("budget", [1, 7, 100])
def test_freeing_in_slices(budget: int) -> None:
    handle = SortedSetHandle((b"member:%d" % number, number) for number in range(3000))
    slices, before = 0, handle.used_bytes
    while not handle.clear_slice(budget):
        slices += 1
        assert before - handle.used_bytes < budget * 2200 + 70_000      # a segment of the table goes as a whole
        before = handle.used_bytes
    assert handle.used_bytes == 0
    assert slices >= 3000 // budget


def test_names_of_one_score() -> None:
    for entries in (0, 128):
        handle = SortedSetHandle([(bytes([byte]), 0) for byte in b"dabce"], entries=entries)
        assert [name for name, _ in handle.range_by_name(b"b", b"d")] == [b"b", b"c", b"d"]
        assert [name for name, _ in handle.range_by_name(b"b", b"d", True, True)] == [b"c"]
        assert [name for name, _ in handle.range_by_name(None, b"bb", reverse=True)] == [b"b", b"a"]
        assert [name for name, _ in handle.range_by_name(b"d", None)] == [b"d", b"e"]
        assert handle.range_by_name(b"d", b"b") == []


def test_encoding_follows_the_thresholds() -> None:
    handle = SortedSetHandle(entries=3, value_bytes=4)
    for number in range(3):
        handle.add(b"%d" % number, number)
    assert handle.encoding == "listpack"
    handle.add(b"3", 3)
    assert handle.encoding == "skiplist"
    handle.remove(b"3")
    assert handle.encoding == "skiplist"
    handle.settle()
    assert (handle.encoding, list(handle)) == ("listpack", [(b"0", 0.0), (b"1", 1.0), (b"2", 2.0)])
    handle.expect(4, 0)
    assert handle.encoding == "skiplist"
    handle.settle()
    handle.add(b"12345", 1)
    assert handle.encoding == "skiplist"
    handle.settle()
    assert handle.encoding == "skiplist"


def test_minus_zero_is_zero_in_a_listpack() -> None:
    assert math.copysign(1, SortedSetHandle([(b"a", -0.0)]).score(b"a") or 0) == 1
    index = SortedSetHandle([(b"a", -0.0)], entries=0)
    assert format_score(index.range_by_rank()[0][1]) == b"-0"


def test_conditions() -> None:
    for entries in (0, 128):
        handle = SortedSetHandle([(b"a", 5.0)], entries=entries)
        assert handle.add(b"a", 1, only_new=True) == "nothing"
        assert handle.add(b"b", 1, only_present=True) == "nothing"
        assert handle.add(b"a", 4, greater=True) == "nothing"
        assert handle.add(b"a", 6, greater=True) == "updated"
        assert handle.add(b"a", 7, less=True) == "nothing"
        assert handle.add(b"a", 1, increment=True) == "updated"
        assert handle.add(b"a", 0, increment=True) == "same"
        assert handle.add(b"a", math.inf, increment=True) == "updated"
        assert handle.add(b"a", -math.inf, increment=True) == "not a number"
        assert list(handle) == [(b"a", math.inf)]
        with pytest.raises(ValueError, match="number"):
            handle.add(b"c", math.nan)


def test_under_a_key() -> None:
    keyspace = StandaloneKeyspace()
    database = keyspace.database()
    empty = keyspace.used_bytes
    handle = sorted_set_of(database, b"k", entries=4)
    assert (len(handle), handle.encoding, list(handle), handle.score(b"a")) == (0, None, [], None)
    for number in range(2000):
        handle.add(b"m%d" % number, number)
    assert (database.type_name(b"k"), database.encoding(b"k")) == ("zset", "skiplist")
    assert database.copy_to(database, b"k", b"copy")
    assert list(sorted_set_of(database, b"copy")) == list(handle)
    measured = database.memory_usage(b"k", 0)
    assert measured is not None
    assert 2000 * 40 < measured < 2000 * 70
    assert abs((database.memory_usage(b"k") or 0) - measured) < measured / 5
    assert handle.remove_ranks(0, 5000) == 2000
    assert not database.exists(b"k")
    assert database.delete(b"copy")
    assert keyspace.garbage_count == 1
    while keyspace.garbage_count:
        assert keyspace.free_garbage(50) <= 50
    assert keyspace.used_bytes - empty < 200


def test_a_scan_finds_what_stays() -> None:
    handle = SortedSetHandle((b"stay%d" % number, number) for number in range(3000))
    found: set[bytes] = set()
    cursor, turn = 0, 0
    while True:
        cursor, pairs = handle.scan(cursor, 20)
        found |= {name for name, _ in pairs}
        if cursor == 0:
            break
        turn += 1
        for number in range(100):
            if turn // 10 % 2:
                handle.remove(b"pass%d" % (number + turn))
            else:
                handle.add(b"pass%d" % (number + turn), -1)
    assert {b"stay%d" % number for number in range(3000)} <= found


SCORE_TEXTS = {
    b"1": 1.0, b"-1.5": -1.5, b"+5": 5.0, b".5": 0.5, b"5.": 5.0, b"1e5": 1e5, b"1E05": 1e5, b"inf": math.inf,
    b"-Infinity": -math.inf, b"+inf": math.inf, b"5e-324": 5e-324, b"0e999": 0.0,
    b"123456789012345678": 123456789012345680.0,
    b"1e00000000000000000001": 10.0, b"0." + b"0" * 60 + b"1": 1e-61, b"1" * 100: float("1" * 100), b"1e22": 1e22,
    b"9007199254740993": 9007199254740992.0, b"0.1": 0.1, b"1e23": 1e23, b"8.5e-23": 8.5e-23,
}  # fmt: skip
NOT_SCORES = (
    *(b"", b" 1", b"1 ", b"nan", b"-nan", b"0x10", b"1e400", b"-1e400", b"1e-400", b"1\x00", b"1_0", b"e5", b".", b"+"),
    *(b"1e", b"1e+", b"--1", b"+-1", b"infi", b"1,5", b"1.2.3", b"\xd9\xa1"),
)


def test_reading_scores() -> None:
    for text, score in SCORE_TEXTS.items():
        assert parse_score(text) == parse_score_limit(text) == score
    for text in NOT_SCORES:
        assert parse_score(text) is None, text
    limits = {b"": 0.0, b"1\x00x": 1.0, b"1e400": math.inf, b"-1e400": -math.inf, b"1e-400": 0.0}
    for text, limit in limits.items():
        assert parse_score_limit(text) == limit
    assert parse_score_limit(b" 1") is parse_score_limit(b"+") is None
    chance = random.Random(3)
    for _ in range(5000):
        text = b"%d.%de%d" % (chance.randrange(10**9), chance.randrange(10**9), chance.randrange(-30, 30))
        assert parse_score(text) == float(text)


def test_printing_scores() -> None:
    shown = {
        1.0: b"1", -0.0: b"-0", 3.14: b"3.14", 1e8: b"100000000", 2.0**62: b"4611686018427387904", 1e19: b"1e+19",
        123456789012345680000.0: b"123456789012345680000", 1e-5: b"0.00001", 1.234e-6: b"1.234e-6", 1e-7: b"1e-7",
        5e-324: b"5e-324", 1.7976931348623157e308: b"1.7976931348623157e+308", math.inf: b"inf", -math.inf: b"-inf",
        0.00015: b"0.00015", -2.5: b"-2.5", 2.2250738585072014e-308: b"2.2250738585072014e-308",
    }  # fmt: skip
    for score, text in shown.items():
        assert format_score(score) == text
    # Not the shortest digits, but Valkey's.
    assert format_score(880030168773411.8) == b"880030168773411.7"
    assert format_score(63214108773.48209) == b"63214108773.482094"
    assert format_score_plainly(0.1) == b"0.10000000000000001"
    assert format_score_plainly(1e17) == b"1e+17"
    chance = random.Random(4)
    for _ in range(20_000):
        score = struct.unpack("<d", chance.randbytes(8))[0]
        if math.isfinite(score):
            assert float(format_score(score)) == score
            assert parse_score(format_score(score)) == score
