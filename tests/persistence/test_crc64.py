"""The engine's CRC-64 is that of the catalogue, and of the library that checks DUMP payloads."""

import random

import anycrc
import pytest

from ranvier.engine.persistence.crc64 import checksum

REFERENCE = anycrc.Model("CRC64-REDIS")


def test_the_check_value_of_the_catalogue() -> None:
    assert checksum(b"123456789") == 0xE9C6D914C4B8D9CA
    assert checksum(b"") == 0


@pytest.mark.parametrize("length", [*range(40), 1000, 4096, 70_001])
def test_any_length_and_any_part(length: int) -> None:
    data = random.Random(length).randbytes(length)
    assert checksum(data) == REFERENCE.calc(data)
    for part in {0, 1, length // 2, max(0, length - 7), length}:
        assert checksum(data[part:], checksum(data[:part])) == REFERENCE.calc(data)
        assert checksum(memoryview(data)[part:]) == REFERENCE.calc(data[part:])
