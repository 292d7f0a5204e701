"""The manual's second part: calls for Python code, in a script or in an embedding program."""

from __future__ import annotations

from dlgmgmt.manual.entry import Entry, Kind

_A = Kind.API

API_CALLS = (
    Entry(
        name="register_dlgcb",
        chapter="2-1.1",
        kind=_A,
        summary="have a function called when something happens to a dialog",
        signature="api.register_dlgcb(dialog, types, callback, param=None, free_param_cb=None)",
        text="""
            A script gets the api in mod_init(api), an embedding program makes a DialogApi.
            types: one callback type or several with |; DLGCB_CREATED stands alone, with None
            for the dialog. callback(dialog, type, params) runs outside of all locks and must
            not block; one that raises is logged, and the rest run. params has param, direction,
            method, code, reason, to_tag, message and write. free_param_cb(param) runs once,
            when the dialog has left the table; False says that it has left already. Types that
            do not go together, and more than 64 callbacks of one dialog, are a ValueError.
            """,
        example="""
            def mod_init(api):
                def created(dialog, type, params):
                    ends = api.DLGCB_TERMINATED | api.DLGCB_EXPIRED
                    api.register_dlgcb(dialog, ends, ended)

                def ended(dialog, type, params):
                    print("over:", dialog.callid, params.reason)

                api.register_dlgcb(None, api.DLGCB_CREATED, created)
            """,
    ),
    Entry(
        name="terminate_dlg",
        chapter="2-1.2",
        kind=_A,
        summary="end a call by its Call-ID and tags",
        signature='api.terminate_dlg(callid, ftag, ttag, hdrs="")',
        text="""
            Ringing or answered, as the command dlg_terminate_dlg; the tags in either order.
            hdrs: complete header lines for the BYEs, each ending in CRLF. It may be called from
            any thread and returns before the phones have answered. False for an unknown call;
            headers that cannot be sent are a ValueError.
            """,
        example=r'api.terminate_dlg("ab12@192.0.2.1", "a1", "b1", "X-Why: fraud\r\n")',
    ),
    Entry(
        name="lookup_terminate_dlg",
        chapter="2-1.3",
        kind=_A,
        summary="end a call by its numbers",
        signature='api.lookup_terminate_dlg(h_entry, h_id, hdrs="")',
        text="""
            As terminate_dlg, for the dialog that the listings show as hash=h_entry:h_id.
            """,
        example="api.lookup_terminate_dlg(1681, 11750)",
    ),
    Entry(
        name="set_dlg_var",
        chapter="2-1.4",
        kind=_A,
        summary="set a variable of a dialog",
        signature="api.set_dlg_var(dialog, key, val)",
        text="""
            The variable that scripts know as $dlg_var(key); None removes it. Limits: 64
            variables, keys of 64 and values of 4096 characters; ValueError beyond.
            """,
        example='api.set_dlg_var(dialog, "account", "4711")',
    ),
    Entry(
        name="get_dlg_var",
        chapter="2-1.5",
        kind=_A,
        summary="a variable of a dialog",
        signature="api.get_dlg_var(dialog, key)",
        text="""
            The text that a script or set_dlg_var has set, None if there is none.
            """,
        example='account = api.get_dlg_var(dialog, "account")',
    ),
    Entry(
        name="get_current_dialog",
        chapter="2-1.6",
        kind=_A,
        summary="the dialog that a script's message belongs to",
        signature="api.get_current_dialog(msg)",
        text="""
            msg: what a route function was given. None if there is no dialog, as before
            dlg_manage() for a new call. What it returns can be kept and given to the other
            calls; view() is a copy of all that the listings show.
            """,
        example="dialog = api.get_current_dialog(msg)",
    ),
)


def _type(name: str, summary: str, text: str, *, chapter: str = "2-1.1") -> Entry:
    return Entry(
        name=f"DLGCB_{name}",
        chapter=chapter,
        kind=Kind.CALLBACK,
        summary=summary,
        text=text,
        signature=f"dlgmgmt.api.DLGCB_{name}",
        aliases=(name,),
    )


CALLBACK_TYPES = (
    _type(
        "CREATED",
        "a dialog was made",
        """
        Global: registered with None for the dialog, and alone. See initial_cbs_inscript for
        when it runs. An INVITE that joins its spiral makes none.
        """,
    ),
    _type(
        "FAILED",
        "the call was not answered",
        """
        A final reply of 300 or more goes to the caller (487 when it has cancelled), or the
        INVITE has ended without any; params.code is the code. A ringing call that an operator
        or a script ends is told as DLGCB_TERMINATED, one past early_timeout as DLGCB_EXPIRED.
        """,
    ),
    _type(
        "CONFIRMED_NA",
        "the call was answered, its ACK has not come yet",
        """
        At the 2xx of each leg, before it is forwarded; params.to_tag names the leg.
        DLGCB_CONFIRMED follows with the ACK.
        """,
    ),
    _type(
        "CONFIRMED",
        "the call was answered and the caller's ACK has come",
        """
        Once per leg: neither a repeated ACK nor that of a re-INVITE is told.
        """,
    ),
    _type(
        "REQ_WITHIN",
        "a request within the dialog",
        """
        Re-INVITE, UPDATE, INFO and the like, from either side; params.method and
        params.direction say which. The ACK that concludes the setup is not among them, and the
        BYE only if the call goes on with another leg.
        """,
    ),
    _type(
        "TERMINATED",
        "the call was hung up",
        """
        The BYE of its last leg has come, or the daemon hangs up for an operator, a script or a
        program; then params.reason is not empty. The dialog is deleted already.
        """,
    ),
    _type(
        "TERMINATED_CONFIRMED",
        "the BYE was answered",
        """
        The reply to the BYE that ended the call, or to one that the daemon has sent;
        params.code is its code.
        """,
    ),
    _type(
        "EXPIRED",
        "the call's timeout is over",
        """
        default_timeout or the call's own, early_timeout or noack_timeout; params.reason says
        which. The dialog is deleted already.
        """,
    ),
    _type(
        "EARLY",
        "a phone rings",
        """
        The first provisional reply with a To tag.
        """,
    ),
    _type(
        "RESPONSE_FWDED",
        "a reply to the INVITE is forwarded",
        """
        Each reply that goes to the caller, provisional ones too; params.code, and
        params.message for one that a phone has sent.
        """,
    ),
    _type(
        "RESPONSE_WITHIN",
        "a reply to a request within the dialog",
        """
        Each reply to a request within the dialog but that to the last BYE, which is told as
        DLGCB_TERMINATED_CONFIRMED; params.code is its code.
        """,
    ),
    _type(
        "MI_CONTEXT",
        "an operator lists the dialog with its context",
        """
        When dlg_list_ctx or one of its JSON-RPC sisters shows the dialog: params.write(line)
        adds a line to what is listed, 64 of 1024 characters at most. DLGCB_RPC_CONTEXT is
        another name of the same type.
        """,
    ),
    _type(
        "SPIRALED",
        "the INVITE of the call has come by again",
        """
        With detect_spirals alone; without it a spiral makes a dialog of its own.
        """,
    ),
    _type(
        "LOADED",
        "a call of an earlier run was read from the database",
        """
        Global: registered with None for the dialog, alone or with DLGCB_CREATED. Callbacks on
        single dialogs are not stored: this is where a script registers them again. The manual
        has no such type.
        """,
        chapter="2-1.1+",
    ),
)
