"""The group connection: HELLO, AUTH, SELECT, QUIT, RESET and CLIENT."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import TYPE_CHECKING, Any, Final

from ranvier.commands.client_filter import ClientFilter
from ranvier.commands.client_line import client_line
from ranvier.commands.numbers import database_index, integer
from ranvier.commands.words import c_string, option, shown
from ranvier.engine.phase import CLOSE_REASON_NAMES
from ranvier.errors import CommandError
from ranvier.values import Status, Verbatim

if TYPE_CHECKING:
    from ranvier.engine.client import ClientHandle

OK: Final = Status("OK")
KILLED: Final = CLOSE_REASON_NAMES.index("killed") + 1       # engine.phase.CloseReason
COMPATIBLE_VERSION: Final = "7.2.4"
PRINTABLE: Final = re.compile(rb"[!-~]*")       # of a C string
WRONG_PASSWORD: Final = "WRONGPASS invalid username-password pair or user is disabled."
BAD_NAME: Final = "ERR Client names cannot contain spaces, newlines or special characters."
HELLO_FIRST: Final = (
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> "
    "option can be used to authenticate the client and select the RESP protocol version at the same time"
)


def _password_fits(client: ClientHandle, user: bytes, password: bytes) -> bool:
    """Whether the default user may log in so; any password does where none is required."""
    if user != b"default":
        return False
    required = client.server.configuration.requirepass.encode("utf-8", "surrogateescape")
    given, wanted = (hashlib.sha256(text).digest() for text in (password, required))
    return not required or hmac.compare_digest(given, wanted)


def auth(client: ClientHandle, args: list[bytes]) -> Status:
    """AUTH [username] password"""
    if len(args) > 2:
        raise CommandError("ERR syntax error")
    if len(args) == 1 and not client.server.configuration.requirepass:
        raise CommandError("ERR AUTH <password> called without any password configured for the default user. Are you "
                           "sure your configuration is correct?")
    user = args[0] if len(args) == 2 else b"default"
    if not _password_fits(client, user, args[-1]):
        raise CommandError(WRONG_PASSWORD)
    client.authenticated = True
    return OK


def _hello_options(args: list[bytes]) -> tuple[tuple[bytes, bytes] | None, bytes | None]:
    """The credentials and the name that HELLO's options give."""
    credentials = name = None
    i = 0
    while i < len(args):
        word = option(args[i])
        if word == b"AUTH" and i + 2 < len(args):
            credentials = (args[i + 1], args[i + 2])
            i += 3
        elif word == b"SETNAME" and i + 1 < len(args):
            name = args[i + 1]
            if not PRINTABLE.fullmatch(c_string(name)):
                raise CommandError(BAD_NAME)
            i += 2
        else:
            raise CommandError(f"ERR Syntax error in HELLO option '{shown(args[i])}'")
    return credentials, name


def hello(client: ClientHandle, args: list[bytes]) -> dict[bytes, Any]:
    """HELLO [version [AUTH username password] [SETNAME name]]: nothing changes unless everything is valid."""
    version = client.protocol
    if args:
        version = integer(args[0], "ERR Protocol version is not an integer or out of range")
        if version not in (2, 3):
            raise CommandError("NOPROTO unsupported protocol version")
    credentials, name = _hello_options(args[1:])
    if credentials is not None:
        if not _password_fits(client, *credentials):
            raise CommandError(WRONG_PASSWORD)
        client.authenticated = True
    if not client.authenticated:
        raise CommandError(HELLO_FIRST)
    if name is not None:
        client.name = name
    client.protocol = version
    zone = client.server.configuration.availability_zone
    role = b"master" if client.server.replication.is_primary else b"replica"
    reply: dict[bytes, Any] = {
        b"server": b"redis", b"version": COMPATIBLE_VERSION.encode(), b"proto": version, b"id": client.id,
        b"mode": b"standalone", b"role": role, b"modules": [],
    }
    if zone:
        reply[b"availability_zone"] = zone.encode("utf-8", "surrogateescape")
    return reply


def select(client: ClientHandle, args: list[bytes]) -> Status:
    """SELECT index"""
    client.select(database_index(client, args[0]))
    return OK


def quit(client: ClientHandle, args: list[bytes]) -> Status:
    """QUIT: the reply, then the end; arguments are ignored."""
    client.close_after_this_command()
    return OK


def reset(client: ClientHandle, args: list[bytes]) -> Status:
    """RESET: the connection as it was when it was new; the library's name and the capabilities stay."""
    client.leave_transaction()
    client.leave_pubsub()
    client.leave_tracking()
    client.leave_monitor()
    client.leave_reply_mode()
    client.no_touch = client.no_evict = client.import_source = False
    client.select(0)
    client.protocol = 2
    client.name = b""
    client.authenticated = not client.server.configuration.requirepass
    return Status("RESET")


# ---- CLIENT ---------------------------------------------------------------------------------------------------------

def client_id(client: ClientHandle, args: list[bytes]) -> int:
    return client.id


def client_getname(client: ClientHandle, args: list[bytes]) -> bytes | None:
    return client.name or None


def client_setname(client: ClientHandle, args: list[bytes]) -> Status:
    if not PRINTABLE.fullmatch(c_string(args[0])):
        raise CommandError(BAD_NAME)
    client.name = args[0]
    return OK


def client_setinfo(client: ClientHandle, args: list[bytes]) -> Status:
    attribute = {b"LIB-NAME": "library_name", b"LIB-VER": "library_version"}.get(option(args[0]))
    if attribute is None:
        raise CommandError(f"ERR Unrecognized option '{shown(args[0])}'")
    if not PRINTABLE.fullmatch(c_string(args[1])):
        raise CommandError(f"ERR {shown(args[0])} cannot contain spaces, newlines or special characters.")
    setattr(client, attribute, args[1])
    return OK


def _verbatim(lines: list[str]) -> Verbatim:
    return Verbatim("".join(line + "\n" for line in lines))


def client_info(client: ClientHandle, args: list[bytes]) -> Verbatim:
    return _verbatim([client_line(client)])


def client_list(client: ClientHandle, args: list[bytes]) -> Verbatim:
    """CLIENT LIST [filter ...]: all filters must match."""
    wanted = ClientFilter(args, len(client.server.engine.databases))
    return _verbatim([
        client_line(other) for other in client.server.engine.clients
        if wanted.matches(other) and not (wanted.skip_me and other is client)
    ])


def client_kill(client: ClientHandle, args: list[bytes]) -> Status | int:
    """CLIENT KILL ip:port, or CLIENT KILL filter ...: oneself is closed after the reply."""
    if len(args) == 1:
        address = args[0].decode("utf-8", "surrogateescape")
        found = [other for other in client.server.engine.clients if other.address == address and not other.closed]
        if not found:
            raise CommandError("ERR No such client")
        _kill(client, found[0])
        return OK
    wanted = ClientFilter(args, len(client.server.engine.databases))
    skip_me = wanted.skip_me is not False
    victims = [other for other in client.server.engine.clients
               if wanted.matches(other) and not (skip_me and other is client)]
    for victim in victims:
        _kill(client, victim)
    return len(victims)


def _kill(client: ClientHandle, victim: ClientHandle) -> None:
    if victim is client:
        client.close_after_this_command(KILLED)
    else:
        victim.close(KILLED)


def client_pause(client: ClientHandle, args: list[bytes]) -> Status:
    """CLIENT PAUSE milliseconds [WRITE | ALL]: what clients ask for waits."""
    mode = option(args[1]) if len(args) == 2 else b"ALL"
    if mode not in (b"WRITE", b"ALL"):
        raise CommandError("ERR CLIENT PAUSE mode must be WRITE or ALL")
    milliseconds = integer(args[0], "ERR timeout is not an integer or out of range")
    if milliseconds < 0:
        raise CommandError("ERR timeout is negative")
    if milliseconds > 2**63 - 1 - client.server.engine.wall_ms:
        raise CommandError("ERR timeout is out of range")
    client.server.pause.begin(milliseconds, mode == b"ALL")
    return OK


def client_unpause(client: ClientHandle, args: list[bytes]) -> Status:
    client.server.pause.end()
    return OK


def client_unblock(client: ClientHandle, args: list[bytes]) -> int:
    """CLIENT UNBLOCK id [TIMEOUT | ERROR]: 1 when that client was blocked in a command."""
    reason = option(args[1]) if len(args) > 1 else b"TIMEOUT"
    if reason not in (b"TIMEOUT", b"ERROR"):
        raise CommandError("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")
    return int(client.server.engine.blocked.unblock(integer(args[0]), reason == b"ERROR"))


def _switch(word: bytes) -> bool:
    """ON or OFF."""
    if option(word) not in (b"ON", b"OFF"):
        raise CommandError("ERR syntax error")
    return option(word) == b"ON"


def client_no_evict(client: ClientHandle, args: list[bytes]) -> Status:
    """CLIENT NO-EVICT ON | OFF: whether maxmemory-clients spares this connection."""
    client.no_evict = _switch(args[0])
    return OK


def client_no_touch(client: ClientHandle, args: list[bytes]) -> Status:
    """CLIENT NO-TOUCH ON | OFF: whether commands but TOUCH leave the access clocks of keys alone."""
    client.no_touch = _switch(args[0])
    return OK


def client_capa(client: ClientHandle, args: list[bytes]) -> Status:
    """CLIENT CAPA name [name ...]: what the client claims to understand; unknown names are ignored."""
    if b"REDIRECT" in map(option, args):
        client.understands_redirect = True
        client.server.replica_side.apply_redirection(client)
    return OK


def client_import_source(client: ClientHandle, args: list[bytes]) -> Status:
    """CLIENT IMPORT-SOURCE ON | OFF: in import mode, whether this connection sees keys whose time has passed."""
    if not client.server.configuration.import_mode and option(args[0]) != b"OFF":
        raise CommandError("ERR Server is not in import mode")
    client.import_source = _switch(args[0])
    return OK
