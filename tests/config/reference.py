"""What a reference server makes of a configuration, asked without leaving a server running."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import programs

SENTRY = 'hz "none of yours"'  # a line that every server refuses: reading stops at it, so no server starts
TIMEOUT_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Refusal:
    """The line that a server refused at its start, and its reason."""

    text: str
    reason: str


def first_refusal(
    text: str | bytes = b"", options: Sequence[str] = (), directory: Path | None = None, program: str = "valkey-server"
) -> Refusal | None:
    """What `valkey-server - OPTIONS` refuses of a configuration on standard input; None if it takes everything."""
    content = text.encode() if isinstance(text, str) else text
    words = ["-", *options] if content or not options else list(options)
    ending = ["--hz", "none of yours"] if options else []
    if not options:
        content += b"\n" + SENTRY.encode() + b"\n"
    done = subprocess.run(
        [programs.require(program), *words, *ending],
        input=content, capture_output=True, timeout=TIMEOUT_SECONDS, cwd=directory, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done
    lines = done.stderr.decode().splitlines()
    shown = [line[5:-1] for line in lines if line.startswith(">>> '")]
    assert shown, done
    return None if shown[0] == SENTRY else Refusal(shown[0], lines[-1])
