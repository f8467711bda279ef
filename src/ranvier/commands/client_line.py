"""The line that CLIENT LIST, CLIENT INFO and the log show of a client (lifecycle A11)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ranvier.commands.words import shown

if TYPE_CHECKING:
    from ranvier.engine.client import ClientHandle


def client_flags(client: ClientHandle) -> str:
    """The flag letters in the order of Valkey 9.1, N for none.

    The one place that knows them all: CLIENT LIST, its FLAGS filter and the log read them here.
    """
    described = client.describe()
    letters = (
        ("S", client.is_replica),
        ("M", described["primary"]),
        ("O", described["monitor"]),
        ("P", described["sub"] or described["psub"] or described["ssub"]),
        ("x", described["multi"] >= 0),
        ("b", described["blocked"]),
        ("t", described["tracking"]),
        ("R", described["broken-redirect"]),
        ("B", described["bcast"]),
        ("d", described["watch-broken"]),
        ("c", described["closing-after-reply"]),
        ("u", described["unblocked"]),
        ("A", described["closing"]),
        ("U", client.unix_socket),
        ("e", client.no_evict and not described["primary"]),
        ("T", client.no_touch),
        ("I", client.import_source),
    )
    return "".join(letter for letter, on in letters if on) or "N"


def client_capabilities(client: ClientHandle) -> str:
    """A letter for each capability that the client claimed with CLIENT CAPA."""
    return "r" if client.understands_redirect else ""


def client_line(client: ClientHandle) -> str:
    """The fields in the order of Valkey 9.1, without a line end."""
    d = client.describe()
    text = {name: shown(getattr(client, name))
            for name in ("name", "library_name", "library_version")}
    fields = (
        ("id", d["id"]), ("addr", client.address), ("laddr", client.local_address), ("fd", d["fd"]),
        ("name", text["name"]), ("age", d["age"]), ("idle", d["idle"]), ("flags", client_flags(client)),
        ("capa", client_capabilities(client)), ("db", d["db"]),
        ("sub", d["sub"]), ("psub", d["psub"]), ("ssub", d["ssub"]), ("multi", d["multi"]),
        ("watch", d["watch"]), ("qbuf", d["qbuf"]), ("qbuf-free", d["qbuf-free"]), ("argv-mem", d["argv-mem"]),
        ("multi-mem", d["multi-mem"]), ("rbs", d["rbs"]), ("rbp", d["rbp"]),
        ("obl", d["obl"]), ("oll", d["oll"]), ("omem", d["omem"]), ("tot-mem", d["tot-mem"]),
        ("events", d["events"]), ("cmd", d["cmd"]), ("user", client.user), ("redir", d["redir"]), ("resp", d["resp"]),
        ("lib-name", text["library_name"]), ("lib-ver", text["library_version"]),
        ("tot-net-in", d["tot-net-in"]), ("tot-net-out", d["tot-net-out"]), ("tot-cmds", d["tot-cmds"]),
    )
    return " ".join(f"{name}={value}" for name, value in fields)
