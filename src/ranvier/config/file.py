"""Reading configuration files in redis.conf syntax, and options given on the command line.

A file is lines of `name word ...`; see `words.split` for quotes. Options of the command line are turned into such
lines and read last, so they win. The first refusal ends the reading, with the file, the line and the line's text.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ranvier.config.kinds import NUL_IN_PATH
from ranvier.config.options import BAD_DIRECTIVE, Configuration
from ranvier.config.words import SPACES, decode, quote, split
from ranvier.errors import ConfigurationError

INCLUDE_DEPTH_MAX = 16  # files that include each other in a ring end here
COMMAND_LINE = "the command line options"
STANDARD_INPUT = "standard input"
UNBALANCED = "Unbalanced quotes in configuration line"


@dataclass(slots=True)
class Arguments:
    """The command line: a configuration file, `-` for standard input, and one line per option."""

    file: str | None = None
    standard_input: bool = False
    lines: list[str] = field(default_factory=list)


def parse_arguments(arguments: Sequence[str]) -> Arguments:
    """Split a command line (without the program's name) as redis-server does.

    A first word that does not begin with `-` is the file. `--name` opens an option unless it stands where the first
    value of the option before it is expected (`--requirepass --x`), `--save` excepted, which may have none. A
    single word may hold name and values (`--port 6380` in quotes). `-`, first or last, is standard input.
    """
    result = Arguments()
    rest = list(arguments)
    if rest and not rest[0].startswith("-"):
        result.file = rest.pop(0)
    first = 0 if result.file is None else -1
    value_expected = False
    for position, argument in enumerate(rest):
        if argument == "-" and position in (first, len(rest) - 1):
            result.standard_input = True
        elif argument.startswith("--") and not value_expected:
            line = argument[2:]
            alone = len(split(argument) or ()) == 1
            following = rest[position + 1 : position + 2]
            value_expected = alone
            if argument.lower() == "--save" and (not following or following[0].startswith("--")):
                line, value_expected = 'save ""', False
            result.lines.append(line)
        else:
            value_expected = False
            opened = result.lines.pop() if result.lines else ""
            result.lines.append(f"{opened} {quote(argument)}".lstrip(" "))
    return result


def load(configuration: Configuration, arguments: Arguments, read_input: Callable[[], bytes]) -> None:
    """Fill the configuration from the file, standard input and the options, in this order.

    `read_input` gives all of standard input. Raises ConfigurationError; one for a file that cannot be opened has no
    line.
    """
    if arguments.file is not None:
        path = os.path.abspath(arguments.file)
        load_text(configuration, _read(path), path)
        configuration.provenance.file = path
    if arguments.standard_input:
        load_text(configuration, decode(read_input()), STANDARD_INPUT)
    load_text(configuration, "\n".join(arguments.lines), COMMAND_LINE)


def load_text(configuration: Configuration, text: str, source: str, depth: int = 0) -> None:
    """Fill the configuration from lines; `source` names them in errors."""
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip(SPACES)
        if not stripped or stripped.startswith("#"):
            continue
        try:
            _load_line(configuration, stripped, depth)
        except ConfigurationError as refusal:
            if refusal.file is not None:  # it comes from an included file and says so
                raise
            raise ConfigurationError(refusal.reason, source, number, stripped) from None


def _load_line(configuration: Configuration, line: str, depth: int) -> None:
    words = split(line)
    if words is None:
        raise ConfigurationError(UNBALANCED)
    if words[0].lower() == "include":
        if len(words) != 2:
            raise ConfigurationError(BAD_DIRECTIVE)
        _include(configuration, words[1], depth + 1)
    else:
        configuration.load(words[0], words[1:])


def _include(configuration: Configuration, pattern: str, depth: int) -> None:
    """Read the files of a pattern in sorted order; a pattern may match none, a plain name must exist."""
    if depth > INCLUDE_DEPTH_MAX:
        raise ConfigurationError(f"more than {INCLUDE_DEPTH_MAX} configuration files include each other")
    paths = sorted(glob.glob(pattern)) if glob.has_magic(pattern) else [pattern]
    for path in paths:
        load_text(configuration, _read(path), os.path.abspath(path), depth)


def _read(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return decode(file.read())
    except OSError as error:
        raise ConfigurationError(f"can't open config file '{path}': {error.strerror}") from None
    except ValueError:  # what open() says of a NUL byte
        raise ConfigurationError(f"can't open config file '{path}': {NUL_IN_PATH}") from None
