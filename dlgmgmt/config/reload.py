"""Reading the configuration again while the daemon runs (SIGHUP)."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping

from dlgmgmt.config.changes import compare
from dlgmgmt.config.load import Config, load
from dlgmgmt.config.problems import ConfigError

_LOG = logging.getLogger(__name__)


class Reloader:
    """Reads the file and the command line of ``config`` again, and has what changed applied.

    prepare: gets the new configuration, as it would be in force, before anything is applied; its
    ConfigError stops the whole. apply: puts it in force. Both are called on a thread of this
    class, as a script may take its time to load.
    """

    def __init__(
        self,
        config: Config,
        env: Mapping[str, str],
        *,
        prepare: Callable[[Config], None],
        apply: Callable[[Config], None],
    ) -> None:
        self.config = config
        self._env = dict(env)
        self._prepare = prepare
        self._apply = apply
        self._lock = threading.Lock()
        self._wanted = False
        self._working = False
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Apply nothing any more: there is nothing left to apply it to."""
        self._stopped.set()

    def request(self) -> None:
        """Begin to reload, or do so once more when the reload under way is over."""
        with self._lock:
            self._wanted = True
            if self._working:
                return
            self._working = True
        # A daemon thread: a script that never finishes loading must not hold up the end.
        threading.Thread(target=self._work, name="dlgmgmt-reload", daemon=True).start()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._wanted:
                    self._working = False
                    return
                self._wanted = False
            try:
                self.reload()
            except BaseException:  # noqa: BLE001 - logged; a script may raise anything
                # The next request must find a thread that works.
                if not self._stopped.is_set():
                    _LOG.exception("reload failed")

    def reload(self) -> bool:
        """Do it now; False if nothing has changed: something is wrong, or the daemon ends."""
        old = self.config
        source = "embedded defaults" if old.source is None else str(old.source)
        try:
            new = load(old.source, self._env, old.modparams, demo=old.demo)
            changes = compare(old, new)
            if self._stopped.is_set():
                return False
            self._prepare(changes.config)
        except ConfigError as error:
            for problem in error.problems:
                _LOG.error("%s", problem)
            _LOG.error("%s: not reloaded, nothing has changed", source)
            return False
        if self._stopped.is_set():
            return False
        self._apply(changes.config)
        self.config = changes.config
        for warning in new.warnings:
            _LOG.warning("%s", warning)
        for change in changes.applied:
            _LOG.info("changed %s", change)
        for change in changes.restart:
            _LOG.warning("not changed before a restart: %s", change)
        _LOG.info("%s: reloaded, parameters changed: %d", source, len(changes.applied))
        return True
