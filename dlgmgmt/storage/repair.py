"""Indexes that MariaDB has damaged itself, as it may when its disk is full.

It says so from then on, whatever is asked of the table, until they are made anew. The rows
themselves lie in another tree.
"""

from __future__ import annotations

import logging

from dlgmgmt.storage.drivers import Target, connect
from dlgmgmt.storage.tables import DIALOG_IN, DIALOG_OUT, DIALOG_VARS
from dlgmgmt.storage.url import shown

_LOG = logging.getLogger(__name__)

AGAIN = 60.0
"""Seconds between two tries: what that does not help it need not be tried all the time."""

PATIENCE = 60.0
"""Seconds for which a table is waited for, and changes wait as well.

MariaDB goes on without the one who has asked, so that a larger one is made all the same. To wait
for longer would be to wait for a server that has vanished.
"""


def rebuild(target: Target) -> None:
    """Have MariaDB make all indexes of the tables anew; raises what the driver raises."""
    _LOG.warning("database: %s: an index is damaged, all are made anew", shown(target.url))
    connection = connect(target._replace(answer_timeout=PATIENCE))
    try:
        cursor = connection.cursor()
        for table in (DIALOG_IN, DIALOG_OUT, DIALOG_VARS):
            cursor.execute(f"ALTER TABLE {table.name} FORCE")
    finally:
        connection.close()
    _LOG.warning("database: %s: the indexes are made", shown(target.url))
