"""What a server process does around its server: log file, background, pid file, signals, word to systemd.

Only `ranvier` on the command line comes here; an embedded server touches none of it. Signals are taken by a thread
that reads Python's wake-up descriptor, because the C-level handler writes it at once while the loop may be inside a
long native turn.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from ranvier.config.options import Configuration
from ranvier.errors import ConfigurationError
from ranvier.observe.log import NOTICE, WARNING, ServerLog

DEFAULT_PID_FILE = "/var/run/ranvier.pid"  # what a background server writes if the configuration names none
PID_FILE_MODE = 0o644
SOMAXCONN = "/proc/sys/net/core/somaxconn"
ENDING_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Endable(Protocol):
    """What the signals need of a server."""

    def post(self, action: Callable[[], None]) -> None:
        """Run the action in the loop's thread; any thread may call."""

    def request_shutdown(self, reason: str, words: Sequence[str], when_aborted: Callable[[], None]) -> bool:
        """Begin a clean end; False when that is not possible now."""


def open_log(configuration: Configuration) -> ServerLog:
    """The log that the configuration asks for; raises ConfigurationError."""
    if not configuration.logfile:
        return ServerLog(level=configuration.loglevel)
    try:
        return ServerLog.to_file(configuration.logfile, configuration.loglevel)
    except OSError as error:
        raise ConfigurationError(f"Can't open the log file: {error.strerror}") from None


def go_to_background() -> None:
    """Continue as a daemon: two forks and a session of its own off the terminal; standard streams to /dev/null."""
    if os.fork():
        os._exit(0)
    os.setsid()
    if os.fork():
        os._exit(0)
    null = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(null, stream)
    if null > 2:
        os.close(null)


def fit_open_files(configuration: Configuration, log: ServerLog) -> None:
    """Raise this process's limit on open files to what `maxclients` needs, or lower `maxclients` to what it allows.

    Raises ConfigurationError if not even one client would be allowed.
    """
    asked = configuration.maxclients
    kept_back = configuration.reserved_descriptors
    wanted = asked + kept_back
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    reachable = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (reachable, hard))
    except (OSError, ValueError):  # a system whose real limit lies below the one that it names
        reachable = soft
    if reachable <= kept_back:
        raise ConfigurationError(
            f"This process may open {reachable} files (ulimit -n), and {kept_back} are kept back: "
            "that leaves no client"
        )
    if reachable < wanted:
        fitting = reachable - kept_back
        configuration.set([("maxclients", str(fitting))])
        log.log(
            WARNING,
            f"maxclients has been reduced from {asked} to {fitting}: this process may open {reachable} files "
            f"(ulimit -n), {kept_back} of which are kept back",
        )


def warn_of_short_backlog(configuration: Configuration, log: ServerLog, path: str = SOMAXCONN) -> None:
    """Say so when the system allows less than `tcp-backlog`; `path` holds its limit, on systems that have it there."""
    try:
        with open(path, encoding="ascii") as file:
            allowed = int(file.read())
    except (OSError, ValueError):
        return
    if 0 < allowed < configuration.tcp_backlog:
        log.log(
            WARNING,
            f"WARNING: The TCP backlog setting of {configuration.tcp_backlog} cannot be enforced because {path} is set "
            f"to the lower value of {allowed}.",
        )


def write_pid_file(configuration: Configuration, log: ServerLog) -> str | None:
    """Write the pid file, if there is to be one; its absolute path, or None. Failing to write it is only logged."""
    path = configuration.pidfile or (DEFAULT_PID_FILE if configuration.daemonize else "")
    if not path:
        return None
    path = os.path.abspath(path)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, PID_FILE_MODE)
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{os.getpid()}\n")
    except OSError as error:
        log.log(NOTICE, f"Failed to write PID file: {error.strerror}")
        return None
    return path


def remove_pid_file(path: str | None, log: ServerLog) -> None:
    """Remove the pid file at the end."""
    if path is not None:
        log.log(NOTICE, "Removing the pid file.")
        with contextlib.suppress(OSError):
            os.unlink(path)


def tell_systemd(state: str) -> None:
    """Send a state (READY=1, STOPPING=1) to the service manager that started us, if one did (sd_notify's protocol)."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):  # a name in the abstract space
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.connect(address)
        channel.send(state.encode())


class SignalWatch:
    """SIGTERM and SIGINT end the server cleanly, as shutdown-on-sigterm and shutdown-on-sigint say.

    A SIGINT while the server ends already ends the process at once; after SHUTDOWN ABORT all begins anew.

    A context manager of the main thread: leaving it puts back what was there before.
    """

    def __init__(self, server: Endable, configuration: Configuration, log: ServerLog,
                 abandon: Callable[[], None]) -> None:
        """`abandon` is called before the process ends at once: it removes what must not be left behind."""
        self._server = server
        self._configuration = configuration
        self._log = log
        self._abandon = abandon
        self._asked = False
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._thread = threading.Thread(target=self._watch, name="ranvier-signals", daemon=True)

    def __enter__(self) -> SignalWatch:
        self._wakeup_before = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._handlers_before = {number: signal.signal(number, _seen) for number in ENDING_SIGNALS}
        self._handlers_before[signal.SIGHUP] = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._handlers_before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup_before)
        self._writer.close()
        self._thread.join()
        self._reader.close()

    def _watch(self) -> None:
        while received := self._reader.recv(64):
            for number in received:
                if number in ENDING_SIGNALS:
                    self._end(signal.Signals(number))

    def _end(self, number: signal.Signals) -> None:
        if self._asked and number == signal.SIGINT:
            self._log.log(WARNING, "You insist... exiting now.")
            self._abandon()
            os._exit(1)
        if not self._asked:
            self._asked = True
            self._log.log(NOTICE, f"Received {number.name} scheduling shutdown...")
            self._server.post(lambda: self._begin(number))

    def _begin(self, number: signal.Signals) -> None:
        """In the server's thread."""
        configuration = self._configuration
        words = configuration.shutdown_on_sigint if number == signal.SIGINT else configuration.shutdown_on_sigterm
        if not self._server.request_shutdown(number.name, words, self._forget):
            self._log.log(WARNING, f"{number.name} received but errors trying to shut down the server, check the logs "
                          "for more information")
            self._forget()

    def _forget(self) -> None:
        """The shutdown is called off: the next signal is the first again."""
        self._asked = False


def _seen(number: int, frame: object) -> None:
    """Nothing: the wake-up descriptor has told the watching thread. Python needs a handler for it to be written."""
