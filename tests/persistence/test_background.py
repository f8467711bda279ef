"""The thread that waits for the disk in the loop's place."""

import threading
from collections.abc import Callable

from harness.waiting import eventually
from ranvier.persistence.background import BackgroundThreads


def test_work_is_done_in_order_and_told_where_it_is_posted() -> None:
    posted: list[Callable[[], object]] = []
    done: list[int] = []
    told: list[OSError | None] = []
    background = BackgroundThreads(posted.append)
    before = threading.active_count()
    failure = OSError(28, "full")

    def fail() -> None:
        raise failure

    for number in range(100):
        background.submit(lambda number=number: done.append(number), told.append)  # type: ignore[misc]
    background.submit(fail, told.append)
    eventually(lambda: len(posted) == 101, "all is done")
    assert done == list(range(100))
    assert not told, "who learns of it is the server's thread, when it comes to it"
    for call in posted:
        call()
    assert told == [None] * 100 + [failure]
    background.close()
    background.close()
    assert threading.active_count() <= before


def test_an_end_waits_for_what_was_submitted() -> None:
    background = BackgroundThreads(lambda call: None)
    background.close()
    gate = threading.Event()
    done: list[int] = []
    background.submit(gate.wait, lambda error: None)
    background.submit(lambda: done.append(1), lambda error: None)
    threading.Timer(0.01, gate.set).start()
    background.close()
    assert done == [1]


def test_a_sync_does_not_wait_for_slow_work() -> None:
    background = BackgroundThreads(lambda call: None)
    gate, done = threading.Event(), threading.Event()
    background.submit(gate.wait, lambda error: None, slow=True)
    background.submit(done.set, lambda error: None)
    assert done.wait(15)
    gate.set()
    background.close()
