"""An operator's script in the daemon: loaded, run, replaced at run time, ended."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from dlgmgmt.dialog.callbacks import Callbacks
from dlgmgmt.dialog.table import DialogTable
from dlgmgmt.routing.engine import Calls, ScriptRouting
from dlgmgmt.routing.runner import ScriptRunner
from dlgmgmt.routing.script import Script, ScriptError, load, where
from dlgmgmt.routing.settings import RoutingSettings
from dlgmgmt.sip.forward import Forwarder

_LOG = logging.getLogger(__name__)


class ScriptHost:
    """Puts the script of ``settings`` in charge of ``forwarder``'s routing.

    post: hands a callable to the signalling thread. wall: Unix time in seconds. api: given to the
    script's ``mod_init``, if it has one. callbacks: where that registers. Raises ScriptError.
    """

    def __init__(
        self,
        settings: RoutingSettings,
        forwarder: Forwarder,
        table: DialogTable,
        calls: Calls,
        post: Callable[[Callable[[], None]], object],
        wall: Callable[[], float],
        api: object,
        callbacks: Callbacks,
    ) -> None:
        self._post = post
        self._api = api
        self._callbacks = callbacks
        self._registered: set[object] = set()
        path = settings.script or ""
        script = self._load(path)
        self._runner = ScriptRunner(settings.workers, settings.time_limit, settings.max_queue, post)
        self._runner.path = path
        self._routing = ScriptRouting(script, self._runner, forwarder, table, calls, wall)
        forwarder.routing = self._routing

    def _load(self, path: str) -> Script:
        script = load(Path(path))
        init = getattr(script, "mod_init", None)
        before = set(self._callbacks.created())
        if callable(init):
            try:
                init(self._api)
            except (Exception, SystemExit) as error:
                self._callbacks.drop(set(self._callbacks.created()) - before)
                line = where(error, script.path)
                raise ScriptError(path, line, f"mod_init: {error!r}") from error
        # What the old script has registered for new dialogs goes with it.
        self._callbacks.drop(self._registered)
        self._registered = set(self._callbacks.created()) - before
        return script

    def reload(self, settings: RoutingSettings) -> None:
        """Load the script anew for what begins from now on. Raises ScriptError, and keeps the old.

        Callbacks of the old one for new dialogs are dropped; those on single dialogs stay.
        """
        path = settings.script or ""
        script = self._load(path)
        self._runner.time_limit = settings.time_limit
        self._runner.path = path
        self._post(functools.partial(self._routing.use, script))
        _LOG.info("routing script %s loaded", path)

    def stop(self) -> None:
        """End the threads that run scripts."""
        self._runner.stop()

    def statistics(self) -> Sequence[tuple[str, int]]:
        """Counters of the runs, for get_statistics."""
        runner = self._runner
        return (
            ("abandoned", runner.abandoned),
            ("errors", runner.errors),
            ("refused", runner.refused),
            ("runs", runner.runs),
            ("timeouts", runner.timeouts),
            ("waiting", runner.waiting),
        )
