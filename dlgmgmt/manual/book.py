"""All entries, and how one is found."""

from __future__ import annotations

import dataclasses
import difflib
import functools
from types import MappingProxyType

from dlgmgmt.manual import (
    api,
    database_parameters,
    facts,
    further,
    mi,
    newer_parameters,
    parameters,
    pseudo_variables,
    rpc,
    script_functions,
    statistics,
)
from dlgmgmt.manual.entry import Entry, Kind
from dlgmgmt.manual.proofs import PROOFS

CHAPTERS = MappingProxyType(
    {
        "5": "Parameters",
        "5+": "Parameters that the manual does not have",
        "6": "Script functions",
        "6+": "Script functions that the manual does not have",
        "7": "Statistics",
        "8": "MI commands",
        "8+": "MI commands that the manual does not have",
        "9": "JSON-RPC commands",
        "9+": "JSON-RPC commands that the manual does not have",
        "10": "Pseudo-variables of the dialog",
        "10+": "Pseudo-variables of the message",
        "2": "Developer guide",
    }
)
"""Chapters in the order in which they are shown, by what :func:`chapter` gives."""

_WRITTEN: tuple[Entry, ...] = (
    *parameters.PARAMETERS,
    *newer_parameters.NEWER_PARAMETERS,
    *database_parameters.DATABASE_PARAMETERS,
    *script_functions.FUNCTIONS,
    *further.MESSAGE_FUNCTIONS,
    *statistics.STATISTICS,
    *mi.MI_COMMANDS,
    *rpc.RPC_COMMANDS,
    *pseudo_variables.PSEUDO_VARIABLES,
    *further.SIP_VARIABLES,
    *api.API_CALLS,
    *api.CALLBACK_TYPES,
)

ENTRIES = tuple(
    dataclasses.replace(entry, tests=PROOFS[entry.kind].get(entry.name, ())) for entry in _WRITTEN
)
"""Every entry that was written for this manual."""

_PREFIXES = ("[ims_dialog].", "ims_dialog.", "[database].", "database.", "dialog:", "dialog_ng:")
_MAX_NAME = 200


@functools.cache
def everything() -> tuple[Entry, ...]:
    """ENTRIES, and one for each further command of the registry."""
    return (*ENTRIES, *facts.further_commands(ENTRIES))


def chapter(entry: Entry) -> str:
    """The key of the entry's chapter in CHAPTERS."""
    return entry.chapter.partition(".")[0].partition("-")[0]


def find(name: str) -> list[Entry]:
    """The entries of that name, however an operator writes it; several if it means several.

    With or without arguments, dollar and table; by the number of its heading too. Letters must
    have their case only where it makes a difference ($ru is not $rU).
    """
    wanted = name.strip()[:_MAX_NAME]
    if "." in wanted:
        numbered = [entry for entry in ENTRIES if entry.chapter == wanted]
        if numbered:
            return numbered
    bare = _bare(wanted)
    exact = [entry for entry in everything() if bare in _spellings(entry)]
    if exact:
        return exact
    low = bare.lower()
    return [entry for entry in everything() if low in map(str.lower, _spellings(entry))]


def close(name: str) -> list[str]:
    """Names that ``name`` may have been meant for, the likeliest first."""
    wanted = _bare(name[:_MAX_NAME]).lower()
    known: dict[str, str] = {}
    for entry in everything():
        for spelling in _spellings(entry):
            known.setdefault(spelling.lower(), entry.name)
    alike = difflib.get_close_matches(wanted, known, n=5, cutoff=0.6)
    within = [spelling for spelling in known if len(wanted) > 2 and wanted in spelling]
    return list(dict.fromkeys(known[spelling] for spelling in [*alike, *within]))[:10]


def _spellings(entry: Entry) -> set[str]:
    spellings = {_bare(text) for text in (entry.name, *entry.aliases)}
    if entry.kind in (Kind.FUNCTION, Kind.CALLBACK):
        # As a script writes it: dlg.set_dlg_profile, dlgmgmt.api.DLGCB_CREATED.
        spellings.add(_bare(entry.signature))
    return spellings


def _bare(text: str) -> str:
    text = text.strip().strip("\"'")
    for prefix in _PREFIXES:
        text = text.removeprefix(prefix)
    return text.removeprefix("$").partition("(")[0].strip()
