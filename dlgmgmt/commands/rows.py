"""The rows of the registry: every command that there is, once."""

from __future__ import annotations

from dlgmgmt.commands.registry import Registry
from dlgmgmt.commands.rows_bridge import BRIDGES
from dlgmgmt.commands.rows_core import CORE
from dlgmgmt.commands.rows_database import DATABASE
from dlgmgmt.commands.rows_dialog import DIALOGS
from dlgmgmt.commands.rows_listing import LISTING
from dlgmgmt.commands.rows_query import CHANGE, QUERY
from dlgmgmt.commands.rows_stats import STATS
from dlgmgmt.commands.rows_trace import TRACE

COMMANDS = (
    *CORE,
    *STATS,
    *LISTING,
    *DIALOGS,
    *QUERY,
    *CHANGE,
    *BRIDGES,
    *DATABASE,
    *TRACE,
)


def build_registry() -> Registry:
    """The registry of all commands."""
    return Registry(COMMANDS)
