"""The command `ranvier`: what `redis-server` takes, as a foreground process or a daemon.

Reading order: `main` settles the words that need no server, `start` reads the configuration, `serve` runs the
server inside its process. Exit status: 0 after a clean end, 1 if the server could not start or load its data.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from ranvier import __version__
from ranvier.config import file
from ranvier.config.options import Configuration
from ranvier.errors import ConfigurationError, ListenError
from ranvier.observe.log import NOTICE, WARNING, ServerLog
from ranvier.process import (
    SignalWatch,
    fit_open_files,
    go_to_background,
    open_log,
    remove_pid_file,
    tell_systemd,
    warn_of_short_backlog,
    write_pid_file,
)

COMPATIBLE_VERSION = "7.2.4"
USAGE = """\
Usage: ranvier [FILE] [--option value ...] [-]
       ranvier -                       configuration from standard input
       ranvier -v | --version
       ranvier -h | --help

FILE is a configuration file in redis.conf syntax. Options have the names of its directives and override it:

       ranvier --port 7777
       ranvier /etc/ranvier.conf --loglevel verbose
       ranvier --save "" --client-output-buffer-limit "pubsub 32mb 8mb 60"
       echo 'port 7777' | ranvier -
"""
REFUSED = {
    "--test-memory": "ranvier does not test memory: use a tool made for it, such as memtester.",
    "--check-system": "ranvier does not check the system: see the warnings that it logs when it starts.",
    "--sentinel": "ranvier is not a sentinel: run redis-sentinel or valkey-sentinel, which can watch it.",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status. `arguments` are those of the process by default."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    first = words[0] if words else ""
    if first in ("-v", "--version"):
        print(f"Ranvier server v={__version__} compatible={COMPATIBLE_VERSION} bits={_word_bits()}")
        return 0
    if first in ("-h", "--help"):
        print(USAGE, end="")
        return 0
    if first in REFUSED or "--sentinel" in words:
        print(REFUSED.get(first, REFUSED["--sentinel"]), file=sys.stderr)
        return 1
    return start(words)


def start(words: Sequence[str]) -> int:
    """Read the configuration and serve by it; the exit status."""
    configuration = Configuration()
    try:
        parsed = file.parse_arguments(words)
        if parsed.standard_input:
            ServerLog().log(NOTICE, "Reading config from stdin")
        file.load(configuration, parsed, sys.stdin.buffer.read)
        os.chdir(configuration.dir)
        log = open_log(configuration)
        if configuration.daemonize:
            go_to_background()
            log.pid = os.getpid()
    except ConfigurationError as refusal:
        print(fatal_block(refusal), file=sys.stderr)
        return 1
    try:
        return serve(configuration, log, plain=not words)
    finally:
        log.close()


def serve(configuration: Configuration, log: ServerLog, plain: bool) -> int:
    """Run the server until it is asked to end; the exit status. `plain`: nothing was configured at all."""
    from ranvier.server.accept import NOTHING_TO_LISTEN_ON  # late: --version and a bad configuration need no engine
    from ranvier.server.server import Server

    log_start(configuration, log, plain)
    try:
        fit_open_files(configuration, log)
        warn_of_short_backlog(configuration, log)
        server = Server(configuration, log=log)
        server.bind()
    except ConfigurationError as refusal:
        log.log(WARNING, f"{refusal.reason}, aborting.")
        return 1
    except ListenError as error:
        log.log(WARNING, error.reason)
        if error.reason != NOTHING_TO_LISTEN_ON:
            log.log(WARNING, refusal_to_listen(error))
        return 1
    except OSError as error:
        log.log(WARNING, f"The system refuses what a server needs: {error.strerror}, aborting.")
        return 1
    pid_file = write_pid_file(configuration, log)
    log.log(NOTICE, "Server initialized")
    with SignalWatch(server, configuration, log, abandon=lambda: remove_pid_file(pid_file, log)):
        try:
            server.run(lambda: tell_ready(configuration, log))
        finally:
            tell_systemd("STOPPING=1")
            remove_pid_file(pid_file, log)
    if server.exit_status == 0:
        log.log(WARNING, "Ranvier is now ready to exit, bye bye...")
    return server.exit_status


def tell_ready(configuration: Configuration, log: ServerLog) -> None:
    """The data set is there: say so to whoever waits for it."""
    for line in readiness(configuration):
        log.log(NOTICE, line)
    tell_systemd("READY=1\nSTATUS=Ready to accept connections")


def log_start(configuration: Configuration, log: ServerLog, plain: bool) -> None:
    """The lines that come before the server: version, pid, configuration, and one for options that do nothing yet."""
    pid = os.getpid()
    bits = _word_bits()
    log.log(NOTICE, "oO0OoO0OoO0Oo Ranvier is starting oO0OoO0OoO0Oo")
    version = f"version={__version__}, compatible={COMPATIBLE_VERSION}, bits={bits}, pid={pid}"
    log.log(NOTICE, f"Ranvier {version}, just started")
    if plain:
        log.log(WARNING, "No configuration was given, using the defaults. To give one: ranvier /path/to/ranvier.conf")
    else:
        log.log(NOTICE, "Configuration loaded")
    names = configuration.without_effect()
    if names:
        log.log(WARNING, f"Known options that this version keeps but does not act upon: {', '.join(names)}")
    log.log(NOTICE, f"Running mode=standalone, port={configuration.port}.")
    log.log(NOTICE, f"Ranvier {__version__}, {bits} bit, standalone mode, Port: {configuration.port}, PID: {pid}")


def readiness(configuration: Configuration) -> list[str]:
    """One line for each way in."""
    ways = (("tcp", configuration.port), ("unix", configuration.unixsocket), ("admin", configuration.admin_port))
    return [f"Ready to accept connections {name}" for name, given in ways if given]


def refusal_to_listen(error: ListenError) -> str:
    """The last line of a server that found its port taken."""
    if error.port:
        return f"Failed listening on port {error.port} (tcp), aborting."
    return "Failed to open the Unix socket, aborting."


def fatal_block(refusal: ConfigurationError) -> str:
    """What a refused configuration prints on standard error."""
    lines = ["", f"*** FATAL CONFIG FILE ERROR (Ranvier {__version__}) ***"]
    if refusal.line:
        lines.append(f"Reading the configuration file, at line {refusal.line} of {refusal.file}")
        lines.append(f">>> '{refusal.text}'")
    lines.append(refusal.reason)
    return "\n".join(lines).encode("utf-8", "backslashreplace").decode()


def _word_bits() -> int:
    return 64 if sys.maxsize > 2**32 else 32


if __name__ == "__main__":
    sys.exit(main())
