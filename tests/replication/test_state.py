"""Ids and offsets of a server's history, through the changes of its role."""

from itertools import count

from ranvier.replication.state import NO_ID, NO_OFFSET, ReplicationState, Role, new_id


def state() -> ReplicationState:
    numbers = count(1)
    return ReplicationState(make_id=lambda: f"{next(numbers):040d}")


def test_an_id_is_forty_hexadecimal_digits_of_ones_own() -> None:
    assert len({new_id() for _ in range(100)}) == 100
    assert all(len(found) == 40 and int(found, 16) >= 0 for found in (new_id(), NO_ID))


def test_a_server_begins_as_a_primary_with_no_second_history() -> None:
    begun = state()
    assert begun.is_primary
    assert (begun.role.value, begun.second_id, begun.second_offset, begun.offset) == ("master", NO_ID, NO_OFFSET, 0)
    assert not begun.knows(NO_ID, 0)


def test_a_replica_takes_over_its_primarys_history() -> None:
    replica = state()
    own = replica.replication_id
    replica.follow("10.0.0.1", 6379)
    assert (replica.role, replica.primary_address, replica.replication_id) == (Role.REPLICA, ("10.0.0.1", 6379), own)
    replica.adopt("a" * 40, 1000)
    assert (replica.replication_id, replica.second_id, replica.offset) == ("a" * 40, NO_ID, 1000)
    assert not replica.knows(own, 0)


def test_a_promoted_replica_is_known_under_its_primarys_id_up_to_there() -> None:
    promoted = state()
    promoted.follow("10.0.0.1", 6379)
    promoted.adopt("a" * 40, 1000)
    promoted.lead()
    assert promoted.is_primary
    assert promoted.primary_address is None
    assert (promoted.second_id, promoted.second_offset) == ("a" * 40, 1001)
    assert promoted.replication_id not in ("a" * 40, NO_ID)
    assert promoted.knows("a" * 40, 1001)
    assert not promoted.knows("a" * 40, 1002)
    assert promoted.knows(promoted.replication_id, 5000)
    before = promoted.replication_id
    promoted.lead()
    assert promoted.replication_id == before


def test_a_primary_that_goes_on_under_another_id_takes_its_replicas_along() -> None:
    replica = state()
    replica.follow("10.0.0.1", 6379)
    replica.adopt("a" * 40, 1000)
    assert not replica.continue_as("a" * 40)
    replica.offset += 50
    assert replica.continue_as("b" * 40)
    assert (replica.replication_id, replica.second_id, replica.second_offset) == ("b" * 40, "a" * 40, 1051)


def test_a_new_history_continues_none() -> None:
    begun = state()
    begun.follow("h", 1)
    begun.lead()
    first, second = begun.replication_id, begun.second_id
    begun.new_history()
    assert not begun.knows(first, 0)
    assert not begun.knows(second, 0)
    assert begun.second_offset == NO_OFFSET
