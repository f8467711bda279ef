#!/usr/bin/env python3
"""CPU per round trip of pairs that play ping-pong over lists, on several servers in turn.

    PYTHONPATH=tests python tools/ping_pong.py [--pairs 50] [--rounds 400] [--repeats 5] [--server valkey ...]

A pair is two connections: one pushes to `ping` and waits for `pong` with BLPOP, the other the other way round. CPU is
that of the server's threads, by the scheduler's own count; the figure is the median of the repeats' ratios.
"""

from __future__ import annotations

import selectors
from contextlib import ExitStack

from harness.cost import compare_costs, cost_arguments
from harness.process import ServerProcess
from harness.wire import Wire, encode_command


class Player:
    """One side: every element that it gets, it sends back and waits for the next."""

    def __init__(self, wire: Wire, waits_for: str, sends_to: str, rounds: int) -> None:
        self.wire = wire
        self.left = rounds
        self.await_element = encode_command("BLPOP", waits_for, 0)
        self.send_element = encode_command("LPUSH", sends_to, "ball")
        self._received = b""

    def serve(self) -> None:
        """Play the ball, then wait for it."""
        self.wire.send(self.send_element)
        self.wire.send(self.await_element)

    def read(self) -> bool:
        """Take what has arrived; false when this side has played all its rounds."""
        self._received += self.wire.socket.recv(4096)
        while b"ball\r\n" in self._received:
            self._received = self._received.partition(b"ball\r\n")[2]
            self.left -= 1
            if self.left == 0:
                return False
            self.serve()
        return True


def play(server: ServerProcess, pairs: int, rounds: int) -> float:
    """Microseconds of the server's CPU per round trip."""
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        for number in range(pairs):
            for waits_for, sends_to in ((f"ping:{number}", f"pong:{number}"), (f"pong:{number}", f"ping:{number}")):
                player = Player(stack.enter_context(server.connect()), waits_for, sends_to, rounds)
                selector.register(player.wire.socket, selectors.EVENT_READ, player)
        players: list[Player] = [key.data for key in selector.get_map().values()]
        for player in players[0::2]:
            player.wire.send(player.await_element)
        server.settle()
        begun = server.cpu_seconds()
        for player in players[1::2]:
            player.serve()
        playing = len(players)
        while playing > pairs:           # the last ball of a pair stays where it is
            for key, _ in selector.select():
                if not key.data.read():
                    selector.unregister(key.fileobj)
                    playing -= 1
        return (server.cpu_seconds() - begun) * 1e6 / (pairs * rounds)


def main() -> None:
    parser = cost_arguments(__doc__ or "")
    parser.add_argument("--pairs", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=400)
    options = parser.parse_args()
    compare_costs(options, "ping-pong", "round trip", lambda server: play(server, options.pairs, options.rounds))


if __name__ == "__main__":
    main()
