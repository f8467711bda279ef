"""The record of one option."""

from __future__ import annotations

from dataclasses import dataclass

from ranvier.config.kinds import Kind, Value


@dataclass(frozen=True, slots=True)
class Option:
    """All about one option; the table of them is `option_table.OPTIONS`.

    `mutable`: CONFIG SET may change it. `protected`: only as `enable-protected-configs` allows. `hidden`: CONFIG
    GET shows it by its exact name only. `used`: Ranvier acts upon it. `apply`: the hook of `ApplyTarget` that is
    called after a change. `refusal`: what a peer is told when that hook refuses, instead of the hook's own reason.
    `obeyed`: the text of a value that Ranvier obeys although the option is not used yet (`appendonly no`).
    `aliases`: other names, of equal standing. `own`: Ranvier's alone, unknown to the servers it is compared with.
    """

    name: str
    kind: Kind
    default: Value
    mutable: bool = True
    protected: bool = False
    hidden: bool = False
    used: bool = False
    apply: str | None = None
    refusal: str | None = None
    obeyed: str | None = None
    aliases: tuple[str, ...] = ()
    own: bool = False
