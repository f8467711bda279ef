"""What the model has found, each as the shortest conversation that shows it."""

import pytest

from harness.process import ServerProcess
from model.lines import play
from model.table import Table

CONVERSATIONS: dict[str, list[tuple[object, ...]]] = {
    "A11: a client that was killed is not found again in the same turn": [
        ("say", "b", ["client kill {@a}", "client kill {@a}", "client kill id {c}", "client kill id {c}"]),
    ],
    "A11: when a pause ends, one client's whole pipeline runs before the next one's": [
        ("say", "d", ["client pause 120000 write"]),
        ("say", "a", ["rpush l 1", "rpush l 2"]),
        ("say", "b", ["rpush l 3", "client pause 120000 write", "rpush l never"]),
        ("say", "c", ["rpush l 4"]),
        ("say", "d", ["client unpause", "lrange l 0 -1"]),
        ("check",),
        ("say", "d", ["lrange l 0 -1", "client unpause", "lrange l 0 -1"]),
    ],
    "A11: a pause of writes that was held by one of everything holds no reads": [
        ("pause_everything", "a", {"b": "client pause 120000 write", "c": "ping", "d": "set a 1"}),
        ("check",),
    ],
    "A13: broken watches are counted as broken": [("say", "a", ["set a 1", "watch a", "swapdb 0 1"]), ("check",)],
    "A11: EXEC with a CLIENT KILL of oneself": [
        ("say", "b", ["multi", "client kill id {me} skipme no", "set a 1", "exec", "ping"]), ("say", "c", ["get a"]),
    ],
}


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_found_by_the_model(server: ServerProcess, valkey: ServerProcess, name: str) -> None:
    with Table(server, valkey) as table:
        play(table, CONVERSATIONS[name])
