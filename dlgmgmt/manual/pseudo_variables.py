"""Chapter 10: the pseudo-variables of the dialog."""

from __future__ import annotations

from dlgmgmt.manual.entry import Entry, Kind

_V = Kind.VARIABLE

PSEUDO_VARIABLES = (
    Entry(
        name="$DLG_count",
        chapter="10.1",
        kind=_V,
        summary="how many calls are tracked now",
        signature="$DLG_count, read-only, a number",
        text="""
            All dialogs that have not ended, those that do not ring yet included. It needs no
            dialog of the message's own, and is the same in every route.
            """,
        example='msg.append_hf("X-Calls: $DLG_count")',
    ),
    Entry(
        name="$DLG_status",
        chapter="10.2",
        kind=_V,
        summary="state number of the current dialog",
        signature="$DLG_status, read-only, a number",
        text="""
            ims_dialog's numbers: 1 unconfirmed, 2 early, 4 confirmed, 5 confirmed but its ACK
            not seen, 6 deleted, 7 confirmed with several answers. The dialog module counts
            otherwise. Unset without a dialog.
            """,
        example='if msg.get_pv("$DLG_status") == 2: ...',
    ),
    Entry(
        name="$DLG_lifetime",
        chapter="10.3",
        kind=_V,
        summary="seconds since the call was answered",
        signature="$DLG_lifetime, read-only, a number",
        text="""
            0 before the answer; it stands still when the call has ended. Unset without a
            dialog. Not to be taken for $dlg(lifetime), which is the timeout.
            """,
        example='event.pv("lasted $DLG_lifetime seconds")',
    ),
    Entry(
        name="$dlg(...)",
        chapter="10.4",
        kind=_V,
        summary="attributes of the current dialog",
        signature="$dlg(NAME), read-only",
        text="""
            h_entry h_id ref state callid from_tag to_tag from_uri to_uri from_cseq to_cseq
            from_rs to_rs from_contact to_contact from_bindaddr to_bindaddr lifetime (the
            timeout in seconds) start_ts (of the answer, Unix time; 0 before it) dflags sflags
            toroute. Of several legs those of the message's own are read, else of the answered
            one. Unset without a dialog or where nothing is known; a name that is not in this
            list is an error.
            """,
        example='msg.append_hf("X-Dialog: $dlg(h_entry):$dlg(h_id)")',
        aliases=("dlg", "$dlg"),
    ),
    Entry(
        name="$dlg_ctx(...)",
        chapter="10.5",
        kind=_V,
        summary="what the script wants of the dialog",
        signature="$dlg_ctx(NAME), read and written except set and dir",
        text="""
            flags: all dialog flags as one number. timeout: in seconds. timeout_bye: 1 for BYE
            to both sides at the timeout although send_bye is off. timeout_route: a function of
            the script that runs at the timeout, before the BYEs, and may set a new one. on: a
            number of the script's own. set: 1 if there is a dialog, else 0. dir: 1 for a
            request to the callee, 2 for one to the caller, 0 without a dialog. What is written
            before the dialog exists is given to it. Another name or value is an error.
            """,
        example='msg.set_pv("$dlg_ctx(timeout_route)", "credit_is_over")',
        aliases=("dlg_ctx", "$dlg_ctx"),
    ),
    Entry(
        name="$dlg_var(key)",
        chapter="10.6",
        kind=_V,
        summary="variables that stay with the dialog",
        signature="$dlg_var(KEY), read and written, text",
        text="""
            Set in one route, read in any later one of the same call: a reply, the BYE, an event
            route. None unsets it. 64 variables, keys of 64 letters, digits and _ . : -, values
            of 4096 characters at most. What is set in the request route before the dialog
            exists is given to it. They are shown in the listings.
            """,
        example='msg.set_pv("$dlg_var(account)", "$hdr(P-Account)")',
        aliases=("dlg_var", "$dlg_var"),
    ),
)
