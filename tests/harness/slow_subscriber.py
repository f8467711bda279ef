"""A subscriber that never reads, and the others at the same server: how much it costs, how it ends, who notices."""

import time

from harness.process import ServerProcess, parse_info
from harness.wire import Wire, encode_command

KERNEL_BYTES = 8 << 20          # more than the kernel keeps of one loopback connection, both buffers together (3-4 MB)
MESSAGE_BYTES = 16 * 1024


class SlowSubscriber:
    """One that subscribes and never reads again. A small receive buffer fills soon."""

    def __init__(self, server: ServerProcess, channel: str) -> None:
        self.wire: Wire = server.connect(receive_buffer_bytes=4096)
        self.identity = self.wire.call("CLIENT", "ID").number
        self.wire.call("SUBSCRIBE", channel)

    def owed_bytes(self, control: Wire) -> int | None:
        """What the server keeps for it by its own account, None when it has been closed."""
        line = control.call("CLIENT", "LIST", "ID", self.identity).text.decode().strip()
        return int(dict(field.partition("=")[::2] for field in line.split(" "))["omem"]) if line else None

    def close(self) -> None:
        self.wire.close()


def close_counters(control: Wire) -> dict[str, str]:
    """INFO's counters of closes for output buffers: the old one, and the reasons when the server keeps them."""
    info = parse_info(control.call("INFO", "everything").text)
    return {name: value for name, value in info.items()
            if name == "client_output_buffer_limit_disconnections" or name.startswith("client_closes")}


def delivery_microseconds(publisher: Wire, readers: list[Wire], channel: str, text: bytes) -> float:
    """From a PUBLISH until the last of the readers has the message."""
    message = encode_command("message", channel, text)
    begun = time.perf_counter()
    publisher.send(encode_command("PUBLISH", channel, text))
    for reader in readers:
        got = reader.read_exactly(len(message))
        assert got == message, got[:100]
    took = (time.perf_counter() - begun) * 1e6
    publisher.reply()
    return took
