"""The dialog as a script sees it: the functions of the manual's chapter 6, under their names."""

from __future__ import annotations

from dlgmgmt.dialog.model import Dialog
from dlgmgmt.dialog.profiles import MAX_VALUE as MAX_PROFILE_VALUE
from dlgmgmt.dialog.states import State
from dlgmgmt.dialog.views import DialogView
from dlgmgmt.routing import arguments, pv, pv_dialog
from dlgmgmt.routing.decision import MAX_PENDING, Value
from dlgmgmt.routing.errors import RouteError, ScriptLimit
from dlgmgmt.routing.opening import open_dialog
from dlgmgmt.routing.restrictions import REQUEST, restricted
from dlgmgmt.routing.run import MAX_VALUE, Run

DEFAULT_REASON = "call failed"
"""What the parties are told when a script gives no reason."""

_SIDES = {"caller": "caller", "callee": "callee", "all": "all", "both": "all"}
_PROPERTIES = ("ka-src", "ka-dst", "timeout-noreset")


class ScriptDialog:
    """The current dialog of a run.

    It is the dialog of the message's transaction: the one that dlg_manage() made or found, that
    of a sequential request even without it, or the one that dlg_get() has chosen. Where a
    function needs a dialog and there is none, it returns False and changes nothing; before
    dlg_manage() in the request route of an initial INVITE, what is set waits for the dialog.
    """

    __slots__ = ("_run",)

    def __init__(self, run: Run) -> None:
        self._run = run

    # -- profiles --------------------------------------------------------------------------------

    @restricted
    def set_dlg_profile(self, profile: str, value: str | int | None = None) -> bool:
        """Insert the dialog into a profile; each call counts once more."""
        run = self._run
        found, usable = self._value(profile, value, needed=True)
        dialog = run.dialog
        if not usable:
            return False
        if dialog is not None:
            run.env.table.profiles.insert(dialog, profile, found)
            run.forget_view()
            return True
        if not self._to_be():
            return False
        pending = run.session.pending
        if len(pending) >= MAX_PENDING:
            raise ScriptLimit(f"more than {MAX_PENDING} profiles for one dialog")
        pending.append((profile, found))
        return True

    @restricted
    def unset_dlg_profile(self, profile: str, value: str | int | None = None) -> bool:
        """Take one insertion back; False if the dialog was not in the profile."""
        found, usable = self._value(profile, value, needed=True)
        dialog = self._run.dialog
        if dialog is None or not usable:
            return False
        self._run.forget_view()
        return self._run.env.table.profiles.remove(dialog, profile, found)

    @restricted
    def is_in_profile(self, profile: str, value: str | int | None = None) -> bool:
        """Whether the dialog is in a profile; without ``value``, with whatever value."""
        run = self._run
        found, usable = self._value(profile, value, needed=False)
        dialog = run.dialog
        if not usable:
            return False
        if dialog is not None:
            return run.env.table.profiles.contains(dialog, profile, found)
        return any(
            name == profile and (found is None or held == found)
            for name, held in run.session.pending
        )

    @restricted
    def get_profile_size(
        self, profile: str, value: str | int | None = None, size: str | None = None
    ) -> int:
        """How many insertions a profile has; without ``value``, with whatever value.

        size: an AVP or script variable that is set to it as well. For a profile without values
        it may be the second argument, as the manual writes it.
        """
        run = self._run
        self._known(profile)
        plain = not run.env.table.profiles.has_value(profile)
        if plain and size is None and isinstance(value, str) and value.startswith(("$avp", "$var")):
            value, size = None, value
        target = None if size is None else pv.writable(size)
        found, usable = self._value(profile, value, needed=False)
        count = run.env.table.profiles.size(profile, found) if usable else 0
        if target is not None:
            pv.assign(run, target, count)
        return count

    def _known(self, profile: str) -> None:
        names = sorted(self._run.env.table.profiles.names())
        if profile not in names:
            known = ", ".join(names) or "none"
            raise RouteError(f"no profile {profile!r:.80}; configured: {known}")

    def _value(
        self, profile: str, value: str | int | None, *, needed: bool
    ) -> tuple[str | None, bool]:
        """The value with its variables expanded, and whether a profile can have it.

        None for a profile without values. A variable may hold what is too long: nothing is in it.
        """
        self._known(profile)
        if not self._run.env.table.profiles.has_value(profile):
            return None, True
        if value is None:
            if needed:
                raise RouteError(f"profile {profile} takes a value")
            return None, True
        what = f"value of profile {profile}"
        found = arguments.bounded(self._run, value, what, MAX_PROFILE_VALUE)
        return found, found is not None

    # -- flags and variables ---------------------------------------------------------------------

    @restricted
    def dlg_isflagset(self, flag: int | str) -> bool:
        """Whether a dialog flag, 0 to 31, is set."""
        run = self._run
        n = arguments.flag(run, flag)
        dialog = run.dialog
        if n is None:
            return False
        if dialog is None:
            return bool(run.session.context.flags >> n & 1)
        return run.env.table.is_flag_set(dialog, n)

    @restricted
    def dlg_setflag(self, flag: int | str) -> bool:
        """Set a dialog flag."""
        return self._change_flag(flag, on=True)

    @restricted
    def dlg_resetflag(self, flag: int | str) -> bool:
        """Clear a dialog flag."""
        return self._change_flag(flag, on=False)

    def _change_flag(self, flag: int | str, *, on: bool) -> bool:
        run = self._run
        n = arguments.flag(run, flag)
        if n is None:
            return False
        dialog, table = run.dialog, run.env.table
        if dialog is not None:
            (table.set_flag if on else table.reset_flag)(dialog, n)
            run.forget_view()
            return True
        if not self._to_be():
            return False
        bit = 1 << n
        context = run.session.context
        context.flags = context.flags | bit if on else context.flags & ~bit
        return True

    @restricted
    def set_var(self, key: str, value: Value) -> bool:
        """Set a variable of the dialog, as $dlg_var(key); None removes it."""
        run = self._run
        if run.dialog is None and not self._to_be():
            return False
        if not isinstance(value, str):
            pv_dialog.set_var(run, key, value)
            return True
        found = arguments.expand(run, value)
        if isinstance(found, str):
            found = arguments.bounded(run, value, f"dialog variable {key:.64}", MAX_VALUE)
            if found is None:
                return False
        pv_dialog.set_var(run, key, found)
        return True

    @restricted
    def get_var(self, key: str) -> str | None:
        """A variable of the dialog, None if it is unset."""
        return pv_dialog.get_var(self._run, key)

    # -- which dialog ----------------------------------------------------------------------------

    @restricted
    def dlg_manage(self) -> bool:
        """Track the call: make the dialog of an initial INVITE, find that of a later request.

        False if there is none. An INVITE for which no dialog can be made (the table is full) is
        refused in the end, even if the script relays it.
        """
        run = self._run
        if run.initial_invite:
            return open_dialog(run)
        run.choose_own()
        return run.dialog is not None

    @restricted
    def dlg_get(self, callid: str, ftag: str, ttag: str) -> bool:
        """Make the dialog with these tags, in either order, the current one of this run."""
        run = self._run
        call, tag, other = (arguments.text(run, text) for text in (callid, ftag, ttag))
        dialog = run.env.table.lookup(call, tag, other)
        if dialog is None:
            return False
        run.choose(dialog, other, tag)
        return True

    @restricted
    def is_known_dlg(self) -> bool:
        """Whether the message belongs to a dialog that is tracked and has not ended."""
        run = self._run
        if run.session.dialog is None and run.sequential:
            run.find_dialog()
        dialog = run.session.dialog
        return dialog is not None and _alive(dialog)

    # -- what happens to it ----------------------------------------------------------------------

    @restricted
    def dlg_terminate(self, side: str, reason: str = DEFAULT_REASON) -> bool:
        """End the dialog, early or answered.

        side: whom to tell: "caller", "callee", or both ("all" or "both"). reason: what they are
        told.
        """
        run = self._run
        who = _SIDES.get(side)
        if who is None:
            raise RouteError(
                f"dlg_terminate: side is caller, callee, all or both, not {side!r:.80}"
            )
        text = arguments.phrase(run, reason, "dlg_terminate") or DEFAULT_REASON
        dialog = run.dialog
        if dialog is None:
            return False
        run.forget_view()
        return run.env.terminate(dialog, who, text)

    @restricted
    def dlg_refer(self, side: str, address: str) -> bool:
        """Send one side of an answered call to another address; the other one is hung up."""
        run = self._run
        if side not in ("caller", "callee"):
            raise RouteError(f"dlg_refer: side is caller or callee, not {side!r:.80}")
        uri = arguments.uri(run, address, "dlg_refer")
        dialog = run.dialog
        if uri is None or dialog is None:
            return False
        return run.env.refer(dialog, side, uri)

    # The names are the manual's, and ``from`` is no name in Python.
    @restricted
    def dlg_bridge(self, from_: str, to: str, op: str = "") -> bool:
        """Call ``from_`` and refer it to ``to``; op: outbound proxy, "" for none."""
        run = self._run
        caller = arguments.uri(run, from_, "dlg_bridge")
        callee = arguments.uri(run, to, "dlg_bridge")
        proxy = arguments.uri(run, op, "dlg_bridge") if op else ""
        if caller is None or callee is None or proxy is None:
            return False
        return run.env.bridge(caller, callee, proxy)

    @restricted
    def dlg_set_timeout(self, seconds: int | str) -> bool:
        """End the call so many seconds from its answer, or from now if it is answered."""
        run = self._run
        value = arguments.number(run, seconds, "dlg_set_timeout", 2**31, least=1)
        if value is None or (run.dialog is None and not self._to_be()):
            return False
        pv_dialog.set_timeout(run, value, "dlg_set_timeout")
        return True

    @restricted
    def dlg_set_property(self, names: str) -> bool:
        """Switch on, for this dialog: ka-src, ka-dst (OPTIONS to caller, callee), timeout-noreset.

        Several are written with a semicolon between them.
        """
        run = self._run
        wanted = [name.strip() for name in names.split(";") if name.strip()]
        unknown = [name for name in wanted if name not in _PROPERTIES]
        if unknown or not wanted:
            known = ", ".join(_PROPERTIES)
            raise RouteError(f"dlg_set_property knows {known}, not {names!r:.80}")
        dialog, context, table = run.dialog, run.session.context, run.env.table
        if dialog is None and not self._to_be():
            return False
        context.keep_caller = context.keep_caller or "ka-src" in wanted
        context.keep_callee = context.keep_callee or "ka-dst" in wanted
        context.timeout_noreset = context.timeout_noreset or "timeout-noreset" in wanted
        if dialog is not None:
            if "ka-src" in wanted or "ka-dst" in wanted:
                table.set_keepalive(dialog, context.keep_caller, context.keep_callee)
            if "timeout-noreset" in wanted:
                table.set_timeout_noreset(dialog, True)
            run.forget_view()
        return True

    def _to_be(self) -> bool:
        """Whether a dialog can still be made for this message."""
        return self._run.route == REQUEST and self._run.initial_invite


class EventInfo:
    """What an event or timeout route is told. name: "dialog:start", "dialog:end", ...

    detail: the reason of an end or the code of a failure, "" without one.
    """

    __slots__ = ("_run", "detail", "name")

    def __init__(self, run: Run, name: str, detail: str = "") -> None:
        self._run = run
        self.name = name
        self.detail = detail

    @property
    def dialog(self) -> DialogView | None:
        """A copy of the dialog as it is now."""
        self._run.forget_view()
        return self._run.view()

    @property
    def callid(self) -> str:
        """The dialog's Call-ID."""
        dialog = self._run.dialog
        return dialog.callid if dialog is not None else ""

    def pv(self, text: str) -> str:
        """``text`` with its pseudo-variables expanded; those of a message are ``<null>``."""
        return pv.compile_template(text).expand(self._run)

    def get_pv(self, name: str) -> Value:
        """One pseudo-variable's value, None if it is unset."""
        self._run.forget_view()
        return pv.compile_spec(name).get(self._run)

    def set_pv(self, name: str, value: Value) -> None:
        """Set a pseudo-variable; None unsets it."""
        pv.assign(self._run, pv.writable(name), arguments.expand(self._run, value))


def _alive(dialog: Dialog) -> bool:
    with dialog.entry.lock:
        return dialog.state is not State.DELETED
