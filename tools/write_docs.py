#!/usr/bin/env python3
"""Write the generated parts of docs/, each between its two markers.

docs/compatibility.md: the list of commands, from the one table of commands. docs/lifecycle.md: the phases, the order of
a turn, what teardown undoes, why clients are closed, and the limits, each from the place in the code that decides it.

    python tools/write_docs.py            writes
    python tools/write_docs.py --check    says what is stale, and ends with status 1 if anything is
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

from ranvier.commands.spec import load_table
from ranvier.engine.phase import CLOSE_REASON_NAMES, transitions

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "ranvier"
OUTSIDE = frozenset({"sentinel"})  # groups of other programs
LIMIT_SECTIONS = ("Reading", "Writing", "Closing", "Accepting")  # of limits.py: what a connection meets


def commands() -> list[str]:
    """One line per group: what is there, and what is not."""
    table = load_table()
    groups: dict[str, tuple[list[str], list[str]]] = {}
    for command in table:
        if command.group in OUTSIDE or table.subcommands(command.name):
            continue
        there, missing = groups.setdefault(command.group, ([], []))
        (there if command.handler is not None else missing).append(command.name)
    lines = ["| group | there | not yet |", "|---|---|---|"]
    for group, (there, missing) in sorted(groups.items()):
        lines.append(f"| {group} | {', '.join(sorted(there)) or '-'} | {', '.join(sorted(missing)) or '-'} |")
    return lines


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
