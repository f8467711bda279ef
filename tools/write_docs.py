#!/usr/bin/env python3
"""Write the generated parts of docs/: the list of commands in docs/compatibility.md, from the one table of commands.

    python tools/write_docs.py            writes
    python tools/write_docs.py --check    says what is stale, and ends with status 1 if anything is
"""

from __future__ import annotations

import sys
from pathlib import Path

from ranvier.commands.spec import CommandTable, load_table

PAGE = Path(__file__).resolve().parent.parent / "docs" / "compatibility.md"
BEGIN = "<!-- commands: written by tools/write_docs.py -->"
END = "<!-- end of commands -->"
OUTSIDE = frozenset({"sentinel"})  # groups of other programs


def command_lines(table: CommandTable) -> list[str]:
    """One line per group: what is there, and what is not."""
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


def page_with(text: str, lines: list[str]) -> str:
    """The page with the generated part replaced."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{after}"


def main() -> int:
    text = PAGE.read_text()
    fresh = page_with(text, command_lines(load_table()))
    if fresh == text:
        return 0
    if "--check" in sys.argv[1:]:
        print(f"{PAGE.name} is stale: run tools/write_docs.py")
        return 1
    PAGE.write_text(fresh)
    return 0


if __name__ == "__main__":
    sys.exit(main())
