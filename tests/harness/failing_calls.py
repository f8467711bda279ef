"""System calls that fail on demand, in a server process: `failing_calls.c`, compiled when it is needed."""

import mmap
import os
import shutil
import struct
import subprocess
from pathlib import Path

from harness.programs import unavailable

SOURCE = Path(__file__).with_suffix(".c")
ORDER = struct.Struct("iii20s")


class FailingCalls:
    """Orders to a server that was started with `environment`: one fault at a time."""

    def __init__(self, directory: Path) -> None:
        compiler = os.environ.get("CC", "cc").split()[-1]
        if shutil.which(compiler) is None:
            unavailable("no C compiler")
        library = directory / "failing_calls.so"
        subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"], check=True)
        page = directory / "order"
        page.write_bytes(bytes(mmap.PAGESIZE))
        with page.open("r+b") as file:
            self._page = mmap.mmap(file.fileno(), mmap.PAGESIZE)
        preloaded = " ".join(filter(None, [os.environ.get("LD_PRELOAD"), str(library)]))
        self.environment = {"LD_PRELOAD": preloaded, "FAIL_CALLS": str(page)}

    def fail(self, call: str, number: int, error: int) -> None:
        """Have the `number`-th `call` from now on fail with the errno `error`."""
        self.stop()
        ORDER.pack_into(self._page, 0, 0, error, 0, call.encode())
        self._page[:4] = struct.pack("i", number)

    def stop(self) -> bool:
        """Nothing fails any more; whether the call that was ordered has failed."""
        self._page[:4] = struct.pack("i", 0)
        return bool(ORDER.unpack_from(self._page)[2])
