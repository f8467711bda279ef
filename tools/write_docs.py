#!/usr/bin/env python3
"""Write the generated parts of docs/, each between its two markers.

docs/commands.md: every command with the file of its handler, or what brings it; docs/compatibility.md: what is there by
group: both from the one table of commands. docs/lifecycle.md: the phases, the order of a turn, what teardown undoes,
why clients are closed, and the limits, each from the place in the code that decides it.

    python tools/write_docs.py            writes
    python tools/write_docs.py --check    says what is stale, and ends with status 1 if anything is
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

from ranvier.commands.spec import Command, load_table
from ranvier.engine.phase import CLOSE_REASON_NAMES, transitions

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "ranvier"
OUTSIDE = frozenset({"sentinel"})  # groups of other programs
# What brings the commands that are not there yet: by name, by container, or by group.
COMES_WITH = {
    "ACL": "access control lists", "FUNCTION": "scripting", "scripting": "scripting", "cluster": "cluster mode",
    "BGREWRITEAOF": "persistence", "BGSAVE": "persistence", "LASTSAVE": "persistence", "SAVE": "persistence",
    "FAILOVER": "replication", "PSYNC": "replication", "REPLCONF": "replication", "REPLICAOF": "replication",
    "ROLE": "replication", "SLAVEOF": "replication", "SYNC": "replication",
    "array": "not planned: a type that Redis 8.8 alone has",
    "vector-set": "not planned: a type that Redis 8 alone has",
    "BACKUP": "not planned: Redis 8.10 alone has it",
    "HIMPORT": "not planned: Redis 8.10 alone has it",
    "HOTKEYS": "not planned: Redis 8.6 alone has it",
    "SFLUSH": "cluster mode", "TRIMSLOTS": "cluster mode",
    "XCFGSET": "not planned: ids of producers are in no format that Valkey reads",
    "XIDMPRECORD": "not planned: ids of producers are in no format that Valkey reads",
    "XNACK": "not planned: messages without a consumer are in no format that Valkey reads",
}
LIMIT_SECTIONS = ("Reading", "Writing", "Closing", "Accepting")  # of limits.py: what a connection meets


def commands() -> list[str]:
    """One line per group: what is there, and what is not."""
    table = load_table()
    groups: dict[str, tuple[list[str], list[str]]] = {}
    for command in table:
        if command.group in OUTSIDE or table.subcommands(command.name) or (command.own and command.handler is None):
            continue
        there, missing = groups.setdefault(command.group, ([], []))
        (there if command.handler is not None else missing).append(command.name)
    lines = ["| group | there | not yet |", "|---|---|---|"]
    for group, (there, missing) in sorted(groups.items()):
        lines.append(f"| {group} | {', '.join(sorted(there)) or '-'} | {', '.join(sorted(missing)) or '-'} |")
    return lines


def native_files() -> dict[str, str]:
    """The file of each native handler, by the name that records call it by: a function of that name, or its mention."""
    files: dict[str, str] = {}
    for path in sorted((SOURCE / "engine").rglob("*.pyx")):
        text = path.read_text()
        for name in re.findall(r'name (?:==|in \() ?"(\w+)"', text):
            files.setdefault(name, path.relative_to(SOURCE).as_posix())
    for path in sorted((SOURCE / "engine").rglob("*.pyx")):
        for name in re.findall(r"^cdef void (\w+?)_?\(Call \*call\)", path.read_text(), re.MULTILINE):
            files[name] = path.relative_to(SOURCE).as_posix()
    return files


def brings(command: Command) -> str:
    """What a missing command comes with. KeyError when nobody has decided."""
    for name in (command.name, command.container or command.name, command.group):
        if name in COMES_WITH:
            said = COMES_WITH[name]
            return said if said.startswith("not planned") else f"comes with {said}"
    raise KeyError(f"{command.name} is missing, and tools/write_docs.py does not say what brings it")


def every_command() -> list[str]:
    """A table per group: each command, since when, and the file of its handler, or what it comes with."""
    table = load_table()
    files = native_files()
    groups: dict[str, list[str]] = {}
    for command in sorted(table, key=lambda command: command.name):
        if command.group in OUTSIDE or (table.subcommands(command.name) and command.handler is None):
            continue
        if command.handler is None:
            place = f"**missing**, {brings(command)}"
        elif command.handler.startswith("native:"):
            place = f"`{files[command.handler.removeprefix('native:')]}`"
        else:
            place = f"`commands/{command.handler.partition(':')[0]}.py`"
        origin = "" if not command.own else " (not in Valkey)"
        groups.setdefault(command.group, []).append(
            f"| {command.name} | {command.since}{origin} | {command.summary} | {place} |"
        )
    lines: list[str] = []
    for group, rows in sorted(groups.items()):
        missing = sum("**missing**" in row for row in rows)
        lines += ["", f"## {group}", "", f"{len(rows) - missing} there, {missing} missing.", "",
                  "| command | since | what it does | where it stands |", "|---|---|---|---|", *rows]
    return [*lines[1:], ""]


def phases() -> list[str]:
    """The transition table as a diagram (Mermaid)."""
    table = transitions()
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {next(iter(table))}"]
    lines += [f"    {start} --> {end}" for start, ends in table.items() for end in ends]
    lines += [f"    {start} --> [*]" for start, ends in table.items() if not ends]
    return [*lines, "```"]


def turn() -> list[str]:
    """The steps of before_sleep, in their order, with the reason that stands above each."""
    body = (SOURCE / "server" / "before_sleep.py").read_text().partition("def before_sleep(")[2]
    lines = ["| step | why it stands here |", "|---|---|"]
    reason: list[str] = []
    for line in body.splitlines()[2:]:
        text = line.strip()
        if text.startswith("#"):
            reason.append(text.removeprefix("#").strip())
        elif call := re.match(r"engine\.([a-z_.]+)\(", text):
            lines.append(f"| `{call[1]}` | {' '.join(reason)} |")
            reason = []
    return lines


def teardown() -> list[str]:
    """The numbered comments of the one list in engine/client.pyx."""
    body = (SOURCE / "engine" / "client.pyx").read_text().partition("cdef void teardown(")[2].partition("\ncdef ")[0]
    return re.findall(r"^    # (\d+\. .+)$", body, re.MULTILINE)


def reasons() -> list[str]:
    """The reasons for a close, with what engine/phase.pxd says of each."""
    said = re.findall(r"^    CLOSE_\w+ = \d+ +# (.+)$", (SOURCE / "engine" / "phase.pxd").read_text(), re.MULTILINE)
    lines = ["| reason | when |", "|---|---|"]
    return lines + [f"| `{name}` | {text} |" for name, text in zip(CLOSE_REASON_NAMES, said, strict=True)]


def limits() -> list[str]:
    """The limits that a connection can meet, by name, with their reasons: from limits.py."""
    lines = ["| limit | value | why |", "|---|---|---|"]
    text = (SOURCE / "limits.py").read_text()
    for section in re.split(r"^# (?=\w[\w ]* -{5})", text, flags=re.MULTILINE)[1:]:
        title, _, body = section.partition("\n")
        if title.rstrip("- ") not in LIMIT_SECTIONS:
            continue
        above: list[str] = []
        for line in body.splitlines():
            found = re.match(r"([A-Z_]+) = (.+?)(?:  # (.+))?$", line)
            if line.startswith("#"):
                above.append(line.removeprefix("# "))
            elif found:
                lines.append(f"| `{found[1]}` | {found[2]} | {found[3] or ' '.join(above)} |")
                above = []
    return lines


# (page, the part's name in its markers) -> its lines
PARTS: dict[tuple[str, str], Callable[[], list[str]]] = {
    ("commands.md", "every command"): every_command,
    ("compatibility.md", "commands"): commands,
    ("lifecycle.md", "phases"): phases,
    ("lifecycle.md", "turn"): turn,
    ("lifecycle.md", "teardown"): teardown,
    ("lifecycle.md", "reasons"): reasons,
    ("lifecycle.md", "limits"): limits,
}


def page_with(text: str, part: str, lines: list[str]) -> str:
    """The page with a generated part replaced. ValueError when the page has no place for it."""
    begin, end = f"<!-- {part}: written by tools/write_docs.py -->", f"<!-- end of {part} -->"
    before, found, rest = text.partition(begin)
    _, ended, after = rest.partition(end)
    if not found or not ended:
        raise ValueError(f"no markers for {part}")
    return f"{before}{begin}\n" + "\n".join(lines) + f"\n{end}{after}"


def main() -> int:
    stale = []
    for page in sorted({page for page, _ in PARTS}):
        path = ROOT / "docs" / page
        fresh = text = path.read_text()
        for (where, part), lines in PARTS.items():
            if where == page:
                fresh = page_with(fresh, part, lines())
        if fresh != text:
            stale.append(page)
            if "--check" not in sys.argv[1:]:
                path.write_text(fresh)
    if stale and "--check" in sys.argv[1:]:
        print(f"{', '.join(stale)} stale: run tools/write_docs.py")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
