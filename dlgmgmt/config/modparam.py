"""Parameters on the command line: ``--modparam name=value``."""

from __future__ import annotations

from typing import NamedTuple

from dlgmgmt.config.problems import MODPARAM, Problem, shown

MODULES = ("ims_dialog", "dialog", "dialog_ng")
"""Names under which the module's parameters are given, here and in a kamailio.cfg."""


class ModParam(NamedTuple):
    """A parameter of ``[ims_dialog]`` and its value as it was typed."""

    name: str
    value: str


def parse(argument: str) -> ModParam | Problem:
    """Read ``name=value`` or ``module:name=value``."""
    left, equals, value = argument.partition("=")
    module, colon, name = left.rpartition(":")
    name = name.strip()
    if not equals or not name or (colon and module.strip() not in MODULES):
        return Problem(
            MODPARAM,
            0,
            f"{shown(argument)} is refused; allowed: NAME=VALUE, NAME a parameter of "
            f"[ims_dialog], also as {' or '.join(f'{module}:NAME' for module in MODULES)}",
        )
    return ModParam(name, value)
