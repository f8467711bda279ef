"""Client-side caching as commands: CLIENT TRACKING, CACHING, GETREDIR and TRACKINGINFO (`engine/modes/tracking`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ranvier.commands.numbers import integer
from ranvier.commands.words import option, shown
from ranvier.errors import CommandError
from ranvier.values import Members, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ranvier.engine.client import ClientHandle

OK: Final = Status("OK")
SYNTAX_ERROR: Final = "ERR syntax error"

# engine/modes/tracking.pxd, TrackingFlag
BCAST: Final = 1 << 0
OPTIN: Final = 1 << 1
OPTOUT: Final = 1 << 2
NOLOOP: Final = 1 << 3
BROKEN: Final = 1 << 4
CACHING: Final = 1 << 5

_MODES: Final = {b"BCAST": BCAST, b"OPTIN": OPTIN, b"OPTOUT": OPTOUT, b"NOLOOP": NOLOOP}
_SWITCHING: Final = (
    "ERR You can't switch %s mode%s before disabling tracking for this client, and then re-enabling it with a "
    "different mode."
)


@dataclass(slots=True)
class _Options:
    """What stands behind ON or OFF."""

    flags: int = 0
    redirect_id: int = 0
    prefixes: list[bytes] = field(default_factory=list)


def _redirect_target(client: ClientHandle, argument: bytes, given_before: bool) -> int:
    if given_before:
        raise CommandError("ERR A client can only redirect to a single other client")
    target = integer(argument)
    if not client.server.engine.tracking.knows(target):
        raise CommandError("ERR The client ID you want redirect to does not exist")
    return target


def _options(client: ClientHandle, args: Sequence[bytes]) -> _Options:
    given = _Options()
    i = 0
    while i < len(args):
        word = option(args[i])
        if word == b"REDIRECT" and i + 1 < len(args):
            given.redirect_id = _redirect_target(client, args[i + 1], given.redirect_id != 0)
            i += 1
        elif word == b"PREFIX" and i + 1 < len(args):
            given.prefixes.append(args[i + 1])
            i += 1
        elif word in _MODES:
            given.flags |= _MODES[word]
        else:
            raise CommandError(SYNTAX_ERROR)
        i += 1
    return given


def _check_modes(given: _Options, tracks: bool, flags: int) -> None:
    """Whether the options go together, and with how the client tracks already (`flags`)."""
    if given.prefixes and not given.flags & BCAST:
        raise CommandError("ERR PREFIX option requires BCAST mode to be enabled")
    if tracks and (given.flags ^ flags) & BCAST:
        raise CommandError(_SWITCHING % ("BCAST", " on/off"))
    if given.flags & BCAST and given.flags & (OPTIN | OPTOUT):
        raise CommandError("ERR OPTIN and OPTOUT are not compatible with BCAST")
    if given.flags & OPTIN and given.flags & OPTOUT:
        raise CommandError("ERR You can't specify both OPTIN mode and OPTOUT mode")
    if (given.flags & OPTIN and flags & OPTOUT) or (given.flags & OPTOUT and flags & OPTIN):
        raise CommandError(_SWITCHING % ("OPTIN/OPTOUT", ""))


def overlap(given: Sequence[bytes], existing: Iterable[bytes]) -> tuple[bytes, bytes, bool] | None:
    """The first prefix that begins another one, or that another one begins; that one; whether it existed already.

    The first is the first in the order given, its partner the first existing one in theirs, or else the first one given
    behind it. Sorted, all that begin a prefix stand before it, so that one walk with a stack of them finds all pairs.
    """
    none = len(given)
    existing = sorted(existing)
    first_with_existing, first_pair = none, (none, none)
    # What begins the prefix at hand: text, least index among it and those that begin it, whether one of them existed.
    stack: list[tuple[bytes, int, bool]] = []
    for text, index in sorted([(text, -1) for text in existing] + [(text, i) for i, text in enumerate(given)]):
        while stack and not text.startswith(stack[-1][0]):
            stack.pop()
        least, existed = stack[-1][1:] if stack else (none, False)
        if index < 0:
            first_with_existing = min(first_with_existing, least)
            stack.append((text, least, True))
            continue
        if existed:
            first_with_existing = min(first_with_existing, index)
        if least < none:
            first_pair = min(first_pair, (min(least, index), max(least, index)))
        stack.append((text, min(least, index), existed))
    if first_with_existing < none and first_with_existing <= first_pair[0]:
        text = given[first_with_existing]
        return text, next(x for x in existing if x.startswith(text) or text.startswith(x)), True
    if first_pair[0] < none:
        return given[first_pair[0]], given[first_pair[1]], False
    return None


def _check_prefixes(prefixes: list[bytes], existing: list[bytes]) -> None:
    found = overlap(prefixes, existing)
    if found is not None:
        prefix, other, existed = found
        raise CommandError(
            f"ERR Prefix '{shown(prefix)}' overlaps with {'an existing' if existed else 'another provided'} prefix "
            f"'{shown(other)}'. Prefixes for a single client must not overlap."
        )


def tracking(client: ClientHandle, args: list[bytes]) -> Status:
    """CLIENT TRACKING ON|OFF [REDIRECT id] [PREFIX prefix ...] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]"""
    engine = client.server.engine
    given = _options(client, args[1:])
    switch = option(args[0])
    if switch == b"ON":
        state = engine.tracking.state(client)
        _check_modes(given, state is not None, state[0] if state else 0)
        if given.prefixes:
            _check_prefixes(given.prefixes, engine.tracking.prefixes(client))
        engine.tracking.enable(client, given.flags, given.redirect_id, given.prefixes)
    elif switch == b"OFF":
        engine.tracking.disable(client)
    else:
        raise CommandError(SYNTAX_ERROR)
    return OK


def caching(client: ClientHandle, args: list[bytes]) -> Status:
    """CLIENT CACHING YES|NO: what the next command or transaction reads is cached, or is not."""
    state = client.server.engine.tracking.state(client)
    flags = state[0] if state else 0
    if state is None:
        raise CommandError("ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or "
                           "OPTOUT mode enabled")
    answer = option(args[0])
    if answer not in (b"YES", b"NO"):
        raise CommandError(SYNTAX_ERROR)
    mode, name = (OPTIN, "OPTIN") if answer == b"YES" else (OPTOUT, "OPTOUT")
    if not flags & mode:
        raise CommandError(f"ERR CLIENT CACHING {answer.decode()} is only valid when tracking is enabled in {name} "
                           "mode.")
    client.server.engine.tracking.set_caching(client)
    return OK


def getredir(client: ClientHandle, args: list[bytes]) -> int:
    """CLIENT GETREDIR: -1 without tracking, 0 without redirection."""
    state = client.server.engine.tracking.state(client)
    return -1 if state is None else int(state[1])


def trackinginfo(client: ClientHandle, args: list[bytes]) -> dict[bytes, Any]:
    """CLIENT TRACKINGINFO"""
    state = client.server.engine.tracking.state(client)
    if state is None:
        return {b"flags": Members([b"off"]), b"redirect": -1, b"prefixes": []}
    flags, redirect_id = state
    prefixes = client.server.engine.tracking.prefixes(client)
    words = (
        (b"on", True), (b"bcast", flags & BCAST), (b"optin", flags & OPTIN),
        (b"caching-yes", flags & OPTIN and flags & CACHING), (b"optout", flags & OPTOUT),
        (b"caching-no", flags & OPTOUT and flags & CACHING), (b"noloop", flags & NOLOOP),
        (b"broken_redirect", flags & BROKEN),
    )
    return {b"flags": Members([word for word, on in words if on]), b"redirect": redirect_id, b"prefixes": prefixes}
