"""An operator's script in the daemon: loaded, run, replaced at run time, ended."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence

from dlgmgmt.dialog.callbacks import Callbacks, HeldCallbacks
from dlgmgmt.dialog.table import DialogTable
from dlgmgmt.routing.engine import Calls, ScriptRouting
from dlgmgmt.routing.loading import Loader
from dlgmgmt.routing.runner import ScriptRunner
from dlgmgmt.routing.script import Script, ScriptError, describe, where
from dlgmgmt.routing.settings import RoutingSettings
from dlgmgmt.sip.forward import Forwarder

_LOG = logging.getLogger(__name__)


class ScriptHost:
    """Puts the script of ``settings`` in charge of ``forwarder``'s routing.

    post: hands a callable to the signalling thread. wall: Unix time in seconds. api: makes what
    the script's ``mod_init`` is given, if it has one, of where its callbacks are registered.
    Raises ScriptError.
    """

    def __init__(
        self,
        settings: RoutingSettings,
        forwarder: Forwarder,
        table: DialogTable,
        calls: Calls,
        post: Callable[[Callable[[], None]], object],
        wall: Callable[[], float],
        api: Callable[[HeldCallbacks], object],
        callbacks: Callbacks,
    ) -> None:
        self._post = post
        self._api = api
        self._callbacks = callbacks
        self._loader = Loader()
        script, self._held = self._load(settings)
        self._held.replace(None)
        self._runner = ScriptRunner(settings.workers, settings.time_limit, settings.max_queue, post)
        self._runner.path = script.path
        self._routing = ScriptRouting(script, self._runner, forwarder, table, calls, wall)
        forwarder.routing = self._routing

    def _load(self, settings: RoutingSettings) -> tuple[Script, HeldCallbacks]:
        held = self._callbacks.holder()
        init = functools.partial(_mod_init, self._api, held)
        try:
            return self._loader.load(settings.script or "", settings.load_limit, init), held
        except BaseException:
            held.drop()
            raise

    def reload(self, settings: RoutingSettings) -> None:
        """Load the script anew for what begins from now on. Raises ScriptError, and keeps the old.

        Callbacks of the old one for new dialogs are dropped; those on single dialogs stay.
        """
        script, held = self._load(settings)
        try:
            self._post(functools.partial(self._use, script, held, settings.time_limit))
        except RuntimeError:
            # The loop is closed: the daemon ends.
            held.drop()
            raise
        _LOG.info("routing script %s loaded", script.path)

    def _use(self, script: Script, held: HeldCallbacks, time_limit: float) -> None:
        """On the signalling thread: between two messages, what belongs together changes."""
        self._runner.time_limit = time_limit
        self._runner.path = script.path
        self._routing.use(script)
        held.replace(self._held)
        self._held = held

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


def _mod_init(api: Callable[[HeldCallbacks], object], held: HeldCallbacks, script: Script) -> None:
    init = getattr(script, "mod_init", None)
    if not callable(init):
        return
    try:
        init(api(held))
    except BaseException as error:
        line = where(error, script.path)
        raise ScriptError(script.path, line, f"mod_init: {describe(error)}") from error
