"""An embedded server with a CPU-bound thread beside it, driven by lines on standard input (tools/bench.py).

Prints the port. `spin` starts the thread; `rest` stops it and prints its iterations per second.
"""

import sys
import threading
import time

import ranvier


class Spinner:
    """A thread that does nothing but Python arithmetic, and counts how often."""

    def __init__(self) -> None:
        self._stopping = False
        self._iterations = 0
        self._started = time.perf_counter()
        self._thread = threading.Thread(target=self._spin, name="cpu-bound neighbour")
        self._thread.start()

    def _spin(self) -> None:
        number = 1
        while not self._stopping:
            for _ in range(1000):
                number = (number * 1103515245 + 12345) & 0x7FFFFFFF
            self._iterations += 1000

    def stop(self) -> float:
        """Iterations per second since the start."""
        self._stopping = True
        self._thread.join()
        return self._iterations / (time.perf_counter() - self._started)


def main() -> None:
    spinner: Spinner | None = None
    with ranvier.Server(port=0) as server:
        print(server.port, flush=True)
        for line in sys.stdin:
            if line.strip() == "spin":
                spinner = Spinner()
                print("spinning", flush=True)
            elif spinner is not None:
                print(spinner.stop(), flush=True)
                spinner = None
    if spinner is not None:
        spinner.stop()


if __name__ == "__main__":
    main()
