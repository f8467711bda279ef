"""FACK: how much of the stream is on the disk, by places noted on the way."""

from ranvier.replication.synced import NOTES, SyncedOffset


def test_what_is_synced_is_told() -> None:
    synced = SyncedOffset()
    assert synced.note(100, 1000, 900) == -1
    assert synced.note(200, 1500, 1200) == 100
    assert synced.note(300, 1600, 1600) == 300
    assert synced.note(350, 1600, 1600) == 350


def test_many_questions_between_two_syncs() -> None:
    synced = SyncedOffset()
    for number in range(10 * NOTES):
        assert synced.note(number, 10 + number, 0) == -1
    assert synced.note(10 * NOTES, 10 + 10 * NOTES, 10 + 10 * NOTES) == NOTES - 1
    assert synced.note(10 * NOTES, 10 + 10 * NOTES, 10 + 10 * NOTES) == 10 * NOTES


def test_another_stream() -> None:
    synced = SyncedOffset()
    assert synced.note(100, 10, 10) == 100
    synced.forget()
    assert synced.note(5, 20, 10) == -1
