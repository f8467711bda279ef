"""The manifest of a multi-part append-only file: which files make up the data set, in which order.

Strategy: a manifest is a value; a change makes a new one, which is written beside the old one, synced, and takes its
name. What it names is durable before it is: names of new files are synced first, and files that it names no more are
removed last, so that whichever manifest a crash leaves, all of its files are whole.

Format (Redis 7): a line `file NAME seq NUMBER type LETTER` for each file, b: the base, h: history, no longer needed,
i: an increment. NAME is quoted like a word of a configuration file when it needs to be.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

from ranvier.config.words import decode, encode, quote, split
from ranvier.persistence.files import Files, discard

LINE_BYTES: Final = 1024  # the longest that the reference servers read
BASE, HISTORY, INCREMENT = "b", "h", "i"
PLAIN: Final = frozenset(map(chr, range(0x21, 0x7F))) - frozenset("\"'\\")


class ManifestError(Exception):
    """A manifest that cannot be read: the reason, and the line (from 1) with its text, where one is to blame."""

    def __init__(self, reason: str, line: int = 0, text: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line
        self.text = text


@dataclass(frozen=True, slots=True)
class Part:
    """One file. `kind` is its type letter."""

    name: str
    sequence: int
    kind: str

    def line(self) -> str:
        name = self.name if self.name and PLAIN.issuperset(self.name) else quote(self.name)
        return f"file {name} seq {self.sequence} type {self.kind}\n"


@dataclass(frozen=True, slots=True)
class Manifest:
    """The files of one data set: at most one base, then what was added to it, in order; and what may be removed."""

    base: Part | None = None
    history: tuple[Part, ...] = ()
    increments: tuple[Part, ...] = ()
    base_sequence: int = 0                  # the highest that was ever given out
    increment_sequence: int = 0

    @property
    def parts(self) -> tuple[Part, ...]:
        """What is loaded, in its order."""
        return ((self.base,) if self.base is not None else ()) + self.increments

    def text(self) -> str:
        return "".join(part.line() for part in (*((self.base,) if self.base else ()), *self.history, *self.increments))

    def with_increment(self, name: str) -> Manifest:
        """With a further increment, named `NAME.N.incr.aof`."""
        sequence = self.increment_sequence + 1
        part = Part(f"{name}.{sequence}.incr.aof", sequence, INCREMENT)
        return replace(self, increments=(*self.increments, part), increment_sequence=sequence)

    def with_base(self, name: str, suffix: str, kept_increments: int) -> Manifest:
        """With a new base, which holds all but the last `kept_increments`: what it replaces becomes history."""
        sequence = self.base_sequence + 1
        part = Part(f"{name}.{sequence}.base.{suffix}", sequence, BASE)
        kept = len(self.increments) - kept_increments
        gone = (*((self.base,) if self.base is not None else ()), *self.increments[:kept])
        history = self.history + tuple(replace(one, kind=HISTORY) for one in gone)
        return Manifest(part, history, self.increments[kept:], sequence, self.increment_sequence)

    def behind(self, earlier: Manifest) -> Manifest:
        """With sequence numbers that go on behind those that another manifest gave out."""
        return replace(self, base_sequence=max(self.base_sequence, earlier.base_sequence),
                       increment_sequence=max(self.increment_sequence, earlier.increment_sequence))

    def without(self, parts: Iterable[Part]) -> Manifest:
        """With these files of the past forgotten."""
        gone = set(parts)
        return replace(self, history=tuple(part for part in self.history if part not in gone))


def parse(text: str) -> Manifest:
    """Read a manifest; raises ManifestError."""
    base: Part | None = None
    history: list[Part] = []
    increments: list[Part] = []
    lines = text.splitlines()
    if not lines:
        raise ManifestError("Found an empty AOF manifest")
    for number, line in enumerate(lines, 1):
        if line.startswith("#"):
            continue
        if len(line) >= LINE_BYTES:
            raise ManifestError("The AOF manifest file contains too long line", number, line)
        try:
            part = _part(line)
            if part.kind == BASE and base is not None:
                raise ManifestError("Found duplicate base file information")
            if part.kind == INCREMENT and increments and part.sequence <= increments[-1].sequence:
                raise ManifestError("Found a non-monotonic sequence number")
        except ManifestError as error:
            raise ManifestError(error.reason, number, line) from None
        if part.kind == BASE:
            base = part
        else:
            (history if part.kind == HISTORY else increments).append(part)
    # A name of the past is not given again while its file may still be there, on its way to be removed.
    past = [part.sequence for part in history]
    return Manifest(base, tuple(history), tuple(increments),
                    max([base.sequence if base is not None else 0, *past]),
                    max([increments[-1].sequence if increments else 0, *past]))


def _part(line: str) -> Part:
    words = split(line)
    if words is None or len(words) < 6 or len(words) % 2:
        raise ManifestError("Invalid AOF manifest file format")
    # Pairs that a later version may add are passed over.
    pairs = {words[i].lower(): words[i + 1] for i in range(0, len(words), 2)}
    name, sequence, kind = pairs.get("file", ""), pairs.get("seq", ""), pairs.get("type", "")
    if "/" in name:
        raise ManifestError("File can't be a path, just a filename")
    if not name or not kind or not (sequence.isascii() and sequence.isdigit()) or int(sequence) == 0:
        raise ManifestError("Invalid AOF manifest file format")
    if kind[0] not in (BASE, HISTORY, INCREMENT):
        raise ManifestError("Unknown AOF file type")
    return Part(name, int(sequence), kind[0])


class ManifestFile:
    """The manifest on disk: `directory`/`name`.manifest. Raises OSError."""

    def __init__(self, files: Files, directory: str, name: str) -> None:
        self._files = files
        self.directory = directory
        self.name = name
        self.path = os.path.join(directory, f"{name}.manifest")

    def path_of(self, part: Part) -> str:
        return os.path.join(self.directory, part.name)

    def exists(self) -> bool:
        return self._files.exists(self.path)

    def read(self) -> Manifest:
        """Raises ManifestError, too."""
        with self._files.map(self.path) as mapping:
            text = decode(bytes(mapping.data))
        return parse(text)

    def write(self, manifest: Manifest, made: Iterable[Part] = ()) -> None:
        """Make it the manifest, for good when this returns.

        `made`: files that it is the first to name. What fails before it has its own name leaves none of them behind.
        """
        files, temporary = self._files, os.path.join(self.directory, f"temp-{self.name}.manifest")
        try:
            self._write_to(temporary, encode(manifest.text()))
            # The names of the files that it tells of first: it must not be there without them.
            files.sync_directory(self.directory)
            files.rename(temporary, self.path)
        except OSError:
            for path in (temporary, *map(self.path_of, made)):
                discard(files, path)
            raise
        files.sync_directory(self.directory)

    def _write_to(self, path: str, data: bytes) -> None:
        file = self._files.create(path)
        try:
            _write_all(file.write, data)
            file.sync()
        finally:
            file.close()

    def remove(self, parts: Iterable[Part]) -> None:
        """Remove files that no manifest names any more; one that is gone already is no error."""
        for part in parts:
            try:
                self._files.remove(self.path_of(part))
            except FileNotFoundError:
                continue


def _write_all(write: Callable[[memoryview], int], data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[write(view):]
