"""Chapter 6: the script functions of the manual, methods of ``dlg``."""

from __future__ import annotations

from dlgmgmt.manual.entry import Entry, Kind

_F = Kind.FUNCTION

FUNCTIONS = (
    Entry(
        name="set_dlg_profile",
        chapter="6.1",
        kind=_F,
        summary="insert the call into a profile",
        signature="dlg.set_dlg_profile(profile, value=None) -> bool",
        text="""
            Nothing checks whether the call is in it already: each call of the function counts
            once more. For a profile without values the value is dropped; one with values needs
            one. In the request route of a new call it may stand before dlg_manage(): it then
            waits for the dialog. False where there is no dialog and none can come; an unknown
            profile is an error that names the known ones. At most 64 insertions of one call,
            of values of 1024 characters: a longer one is an error, or, if it came from a
            variable, False and a line in the log. It leaves all its profiles the moment it
            ends, whatever ends it.
            """,
        example='dlg.set_dlg_profile("caller", "$fu")',
    ),
    Entry(
        name="unset_dlg_profile",
        chapter="6.2",
        kind=_F,
        summary="take one insertion into a profile back",
        signature="dlg.unset_dlg_profile(profile, value=None) -> bool",
        text="""
            A call that was inserted twice is in the profile once after it. False if it was not
            in the profile with this value: then nothing changes, so a size is never negative.
            The request route is left out by the manual: a call that is to leave a profile
            early does so when it is answered, branches or fails.
            """,
        example="""
            def onreply_route(msg, dlg):
                if msg.status >= 200:
                    dlg.unset_dlg_profile("ringing")
            """,
    ),
    Entry(
        name="is_in_profile",
        chapter="6.3",
        kind=_F,
        summary="whether the call is in a profile",
        signature="dlg.is_in_profile(profile, value=None) -> bool",
        text="""
            Without a value: with any. With one: with this one; for a profile without values it
            is dropped. Of a new call it sees the insertions that wait for dlg_manage() too.
            False without a dialog; an unknown profile is an error.
            """,
        example='if dlg.is_in_profile("caller", "sip:alice@example.com"): ...',
    ),
    Entry(
        name="get_profile_size",
        chapter="6.4",
        kind=_F,
        summary="how many insertions a profile has",
        signature="dlg.get_profile_size(profile, value=None, size=None) -> int",
        text="""
            Without a value: those of the whole profile. With one: those with that value. The
            cost is the same whatever the number. The number is returned and, as the manual has
            it, also stored in the AVP or script variable that size names. It needs no dialog.
            A call that was inserted twice counts twice.
            """,
        example="""
            if dlg.get_profile_size("caller", "$fu", "$avp(size)") >= 2:
                msg.send_reply(486, "$avp(size) calls already")
            """,
    ),
    Entry(
        name="dlg_isflagset",
        chapter="6.5",
        kind=_F,
        summary="whether a flag of the dialog is set",
        signature="dlg.dlg_isflagset(flag) -> bool",
        text="""
            A dialog has 32 flags, 0 to 31, clear at first; they stay with it for its life and
            are shown as sflags. The index is a number or a text whose variables expand to one.
            Anything else is an error, or, if it came from a variable, False and a line in the
            log. The flags of the message (msg.setflag) are others.
            """,
        example="if dlg.dlg_isflagset(3): ...",
    ),
    Entry(
        name="dlg_setflag",
        chapter="6.6",
        kind=_F,
        summary="set a flag of the dialog",
        signature="dlg.dlg_setflag(flag) -> bool",
        text="""
            In the request route of a new call it may stand before dlg_manage(): the dialog
            starts with it. False where there is no dialog and none can come. An index outside
            of 0 to 31 is an error; for one from a variable, as with dlg_isflagset.
            """,
        example='dlg.dlg_setflag("$avp(flag)")',
    ),
    Entry(
        name="dlg_resetflag",
        chapter="6.7",
        kind=_F,
        summary="clear a flag of the dialog",
        signature="dlg.dlg_resetflag(flag) -> bool",
        text="""
            As dlg_setflag; clearing a clear flag changes nothing and succeeds.
            """,
        example="dlg.dlg_resetflag(3)",
    ),
    Entry(
        name="dlg_terminate",
        chapter="6.8",
        kind=_F,
        summary="end the call, ringing or answered",
        signature='dlg.dlg_terminate(side, reason="call failed") -> bool',
        text="""
            side: who is told of an answered call: "caller", "callee", or "all" or "both". A
            ringing call has no sides: the caller is answered 488 and every branch is sent a
            CANCEL. reason: the text of the Reason header; its variables are expanded and
            characters that cannot be printed are replaced. The function returns before the
            phones have answered. False where there is no dialog, or it has ended; another
            side is an error.
            """,
        example='dlg.dlg_terminate("all", "Insufficient QoS")',
    ),
    Entry(
        name="dlg_refer",
        chapter="6.9",
        kind=_F,
        summary="send one side of an answered call elsewhere",
        signature="dlg.dlg_refer(side, address) -> bool",
        text="""
            side, "caller" or "callee", gets a REFER (RFC 3515) to address, a SIP URI. When its
            NOTIFYs say that it has got through, this call is hung up on both sides with the
            reason "referred": the party goes on in a call of its own. If it refuses, fails or
            is silent, the call stays as it was. False where there is no answered call, where
            such a REFER is under way, or where a variable in address gave no SIP URI.
            ims_dialog does not have the function; it is that of the dialog module.
            """,
        example='dlg.dlg_refer("callee", "sip:announcement@media.example.com")',
    ),
    Entry(
        name="dlg_manage",
        chapter="6.10",
        kind=_F,
        summary="track the call",
        signature="dlg.dlg_manage() -> bool",
        text="""
            For an initial INVITE: make its dialog, once however often it is called; what the
            script has set before (profiles, flags, variables, timeout) goes into it. For a
            request within a dialog: find it and make it the current one. True if there is a
            dialog then. When the table is full it is False, and the call is answered 503 even
            if the script relays it. ims_dialog has removed the function in favour of dlg_flag;
            here both work.
            """,
        example="""
            def request_route(msg, dlg):
                if msg.is_method("INVITE"):
                    dlg.dlg_manage()
                msg.record_route()
                msg.t_relay()
            """,
    ),
    Entry(
        name="dlg_bridge",
        chapter="6.11",
        kind=_F,
        summary="call one party and connect it to another",
        signature='dlg.dlg_bridge(from_, to, op="") -> bool',
        text="""
            The daemon calls from_ itself, in the name of bridge_controller and with media on
            hold, and sends it to `to` by a REFER once it has answered; when the NOTIFYs say
            that the second call stands, the first one is hung up. op: the outbound proxy, a SIP
            URI, or "" for none. A refusal or silence from either party ends everything. False
            where a variable gave no SIP URI; a literal that is none is an error. The function
            returns before the phone rings. ims_dialog does not have it.
            """,
        example='dlg.dlg_bridge("sip:alice@example.com", "sip:bob@example.com", "")',
    ),
    Entry(
        name="dlg_get",
        chapter="6.12",
        kind=_F,
        summary="make another call the current one, for this run",
        signature="dlg.dlg_get(callid, ftag, ttag) -> bool",
        text="""
            The dialog that has this Call-ID and these tags, in either order, and has not ended.
            From here to the end of the function, dlg's methods and $dlg(...) speak of it;
            dlg_manage() comes back to the message's own. With ttag "" any answered or ringing
            dialog of that caller fits. False, and nothing changed, if there is none.
            """,
        example='if dlg.dlg_get("abcdef", "123", "456"): dlg.dlg_terminate("all", "replaced")',
    ),
    Entry(
        name="is_known_dlg",
        chapter="6.13",
        kind=_F,
        summary="whether the message belongs to a tracked call",
        signature="dlg.is_known_dlg() -> bool",
        text="""
            True for the INVITE of a call once its dialog is made, and for what comes later
            within it, until it has ended. False for requests of calls that this daemon has
            not tracked, also when they come by its Route. ims_dialog does not have it.
            """,
        example='if msg.has_totag() and not dlg.is_known_dlg(): msg.send_reply(481, "")',
    ),
    Entry(
        name="dlg_set_timeout",
        chapter="6+",
        kind=_F,
        summary="set the timeout of one call",
        signature="dlg.dlg_set_timeout(seconds) -> bool",
        text="""
            From the ACK, or from now for a call that has it already. A number of seconds above
            0, or a text whose variables expand to one. Anything else is an error, or, if it
            came from a variable, False and a line in the log. Later requests within the call
            restart this time, not default_timeout.
            """,
        example='dlg.dlg_set_timeout("$avp(credit)")',
    ),
    Entry(
        name="dlg_set_property",
        chapter="6+",
        kind=_F,
        summary="switch a property of one call on",
        signature="dlg.dlg_set_property(names) -> bool",
        text="""
            ka-src and ka-dst: keep-alives to the caller and to the callee (see ka_timer).
            timeout-noreset: requests within the call leave its timeout alone. Several stand
            with a semicolon between them. An unknown one is an error.
            """,
        example='dlg.dlg_set_property("ka-src;ka-dst")',
    ),
    Entry(
        name="set_var",
        chapter="6+",
        kind=_F,
        summary="set a variable of the dialog",
        signature="dlg.set_var(key, value) -> bool",
        text="""
            The same as writing $dlg_var(key). None removes it. At most 64 variables, keys of 64
            characters and values of 4096; what is beyond is an error.
            """,
        example='dlg.set_var("account", "$hdr(P-Account)")',
    ),
    Entry(
        name="get_var",
        chapter="6+",
        kind=_F,
        summary="a variable of the dialog",
        signature="dlg.get_var(key) -> str | None",
        text="""
            The same as reading $dlg_var(key); None if it is not set.
            """,
        example='account = dlg.get_var("account")',
    ),
)
