"""Marks of the engine's tests."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: takes seconds and memory; `-m 'not slow'` leaves it out")
