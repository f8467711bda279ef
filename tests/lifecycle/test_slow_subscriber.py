"""A6-8: a subscriber that never reads costs no more than its hard limit, and is closed with its reason.

tools/slow_subscriber.py measures what the others notice of it.
"""

import pytest

from harness.process import StartServer
from harness.slow_subscriber import KERNEL_BYTES, SlowSubscriber, close_counters, delivery_microseconds
from harness.wire import Wire
from ranvier.limits import FREE_BLOCKS, OUTPUT_BLOCK_BYTES

HARD_LIMIT_BYTES = 8 << 20
# What the server keeps for later replies, whoever they are for; and its own small change.
SLACK_BYTES = FREE_BLOCKS * OUTPUT_BLOCK_BYTES + 256 * 1024


def used_memory(control: Wire) -> int:
    fields = control.call("INFO", "memory").text.split(b"\r\n")
    return next(int(field.partition(b":")[2]) for field in fields if field.startswith(b"used_memory:"))


# Short messages are copied into each buffer, long ones shared between them: both are charged to whoever waits.
@pytest.mark.parametrize("message_bytes", [400, 3000, 60_000])
def test_a6_08_a_subscriber_that_never_reads_is_closed_at_its_hard_limit(
    start_server: StartServer, message_bytes: int
) -> None:
    server = start_server("--client-output-buffer-limit", f"pubsub {HARD_LIMIT_BYTES} 0 0")
    text = b"m" * message_bytes
    with server.connect() as control, server.connect() as publisher, server.connect() as reader:
        reader.call("SUBSCRIBE", "news")
        delivery_microseconds(publisher, [reader], "news", text)
        before, closed_before = used_memory(control), close_counters(control)
        slow = SlowSubscriber(server, "news")
        most_owed = most_used = published = 0
        while (owed := slow.owed_bytes(control)) is not None:
            most_owed, most_used = max(most_owed, owed), max(most_used, used_memory(control) - before)
            for _ in range(max(1, 100_000 // message_bytes)):
                # The other subscriber gets every message whole and at once, whatever becomes of this one.
                delivery_microseconds(publisher, [reader], "news", text)
                published += message_bytes
            assert published < HARD_LIMIT_BYTES + KERNEL_BYTES, "it is not closed"
        assert HARD_LIMIT_BYTES // 2 < most_owed < HARD_LIMIT_BYTES
        assert most_used < HARD_LIMIT_BYTES + SLACK_BYTES
        assert used_memory(control) - before < SLACK_BYTES
        assert publisher.call("PUBSUB", "NUMSUB", "news").items[1].number == 1
        grown = {name: value for name, value in close_counters(control).items() if closed_before.get(name) != value}
        assert grown.pop("client_output_buffer_limit_disconnections") == "1"
        assert "overcoming of output buffer limits" in server.log()
        slow.close()
