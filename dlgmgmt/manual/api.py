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
        signature="register_dlgcb(dialog, type, cb, param=None, free=None)",
        text="""
            type: one callback type or several joined with |. DLGCB_CREATED stands alone and
            with None for the dialog: it is told of every new one, and is where the others are
            usually registered. cb(dialog, type, params) runs outside of all locks; params.param
            is param. One that raises is logged, and the rest run. free(param) runs once, when
            the dialog leaves the table. A wrong type or a missing dialog is a ValueError.
            """,
        example="""
            from dlgmgmt.api import DLGCB_CREATED, DLGCB_EXPIRED, DLGCB_TERMINATED, register_dlgcb

            def created(dialog, type, params):
                register_dlgcb(dialog, DLGCB_TERMINATED | DLGCB_EXPIRED, ended)

            def ended(dialog, type, params):
                print("over:", dialog.callid)

            register_dlgcb(None, DLGCB_CREATED, created)
            """,
    ),
    Entry(
        name="terminate_dlg",
        chapter="2-1.2",
        kind=_A,
        summary="end a call by its Call-ID and tags",
        signature='terminate_dlg(callid, ftag, ttag, hdrs="")',
        text="""
            Ringing or answered, as the command dlg_terminate_dlg; the tags in either order.
            hdrs: complete header lines for the BYEs, each ending in CRLF. It may be called from
            any thread and returns before the phones have answered. An unknown call raises
            NoSuchDialog, headers that cannot be sent BadExtraHeaders.
            """,
        example=r'terminate_dlg("ab12@192.0.2.1", "a1", "b1", "X-Why: fraud\r\n")',
    ),
    Entry(
        name="lookup_terminate_dlg",
        chapter="2-1.3",
        kind=_A,
        summary="end a call by its numbers",
        signature='lookup_terminate_dlg(h_entry, h_id, hdrs="")',
        text="""
            As terminate_dlg, for the dialog hash=h_entry:h_id of the listings.
            """,
        example="lookup_terminate_dlg(1681, 11750)",
    ),
    Entry(
        name="set_dlg_var",
        chapter="2-1.4",
        kind=_A,
        summary="set a variable of a dialog",
        signature="set_dlg_var(dialog, key, value)",
        text="""
            The variable that scripts know as $dlg_var(key); None removes it. Limits: 64
            variables, keys of 64 and values of 4096 characters; ValueError beyond.
            """,
        example='set_dlg_var(dialog, "account", "4711")',
    ),
    Entry(
        name="get_dlg_var",
        chapter="2-1.5",
        kind=_A,
        summary="a variable of a dialog",
        signature="get_dlg_var(dialog, key)",
        text="""
            The text that a script or set_dlg_var has set, None if there is none.
            """,
        example='account = get_dlg_var(dialog, "account")',
    ),
    Entry(
        name="get_current_dialog",
        chapter="2-1.6",
        kind=_A,
        summary="the dialog of the message that is being worked on",
        signature="get_current_dialog()",
        text="""
            Within a route function of a script: its current dialog, the one that dlg's methods
            speak of. None if it has none, and outside of a route function.
            """,
        example="dialog = get_current_dialog()",
    ),
)


def _type(name: str, summary: str, text: str) -> Entry:
    return Entry(
        name=f"DLGCB_{name}",
        chapter="2-1.1",
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
        A final reply of 300 or more has gone to the caller, the caller has cancelled, or the
        INVITE has ended without any. The dialog is deleted already.
        """,
    ),
    _type(
        "CONFIRMED_NA",
        "the call was answered, its ACK has not come yet",
        """
        At the first 2xx, before it is forwarded. DLGCB_CONFIRMED follows with the ACK.
        """,
    ),
    _type(
        "CONFIRMED",
        "the call was answered and the caller's ACK has come",
        """
        Once per dialog: neither a retransmitted ACK nor that of a re-INVITE is told.
        """,
    ),
    _type(
        "REQ_WITHIN",
        "a request within the dialog",
        """
        Re-INVITE, UPDATE, INFO, BYE and the like, from either side. The ACK that concludes the
        setup is not among them.
        """,
    ),
    _type(
        "TERMINATED",
        "the call was hung up",
        """
        The last BYE has come, or the daemon sends its own on behalf of an operator or a script.
        The dialog is deleted already.
        """,
    ),
    _type(
        "TERMINATED_CONFIRMED",
        "the BYE was answered",
        """
        The final reply to a BYE has come, whichever side or program sent it.
        """,
    ),
    _type(
        "EXPIRED",
        "the call's timeout is over",
        """
        No BYE has come in time: default_timeout or the call's own, early_timeout. The dialog is
        deleted already.
        """,
    ),
    _type(
        "EARLY",
        "a phone rings",
        """
        A provisional reply with a To tag, the first of its dialog.
        """,
    ),
    _type(
        "RESPONSE_FWDED",
        "a reply to the INVITE is forwarded",
        """
        Every reply that goes to the caller, provisional ones too, before it is sent.
        """,
    ),
    _type(
        "RESPONSE_WITHIN",
        "a reply to a request within the dialog",
        """
        Every reply to a request for which DLGCB_REQ_WITHIN was told.
        """,
    ),
    _type(
        "MI_CONTEXT",
        "an operator lists the dialog with its context",
        """
        When dlg_list_ctx or one of its JSON-RPC sisters shows the dialog: what the callback
        adds to the context is listed.
        """,
    ),
    _type(
        "SPIRALED",
        "the INVITE of the call has come by again",
        """
        With detect_spirals alone; without it a spiral makes a dialog of its own.
        """,
    ),
)
