"""Chapter 8: the commands of the MI FIFO."""

from __future__ import annotations

from dlgmgmt.manual.entry import Entry, Kind

_M = Kind.MI

MI_COMMANDS = (
    Entry(
        name="dlg_list",
        chapter="8.1",
        kind=_M,
        summary="all calls, or those with a Call-ID",
        signature="dlg_list [callid] [from_tag]",
        text="""
            A "dialog:: hash=E:I" node with the fields of each call and after it a dialog_out
            node for each of its legs, ringing ones too. With a Call-ID alone the caller's tag
            may be any; with both, both must fit. An empty table is an empty 200 OK; a Call-ID
            that nothing has is 404 "Nu such dialog" (sic); more than two parameters, 400. An
            empty value, which makes ims_dialog crash, is answered as well.
            """,
        example=":dlg_list:reply_fifo",
    ),
    Entry(
        name="dlg_list_ctx",
        chapter="8.2",
        kind=_M,
        summary="as dlg_list, with the context of each call",
        signature="dlg_list_ctx [callid] [from_tag]",
        text="""
            Each dialog node has a further line, context::, to which the DLGCB_MI_CONTEXT
            callbacks of the call add what they know of it, a line each, one tab deeper.
            ims_dialog does not have the command; context:: is that of the dialog module.
            """,
        example=":dlg_list_ctx:reply_fifo",
    ),
    Entry(
        name="dlg_end_dlg",
        chapter="8.3",
        kind=_M,
        summary="end a call by its numbers",
        signature="dlg_end_dlg h_entry h_id [headers]",
        text="""
            The two numbers are those of hash=E:I in dlg_list. 404 "Requested Dialog not found"
            if no call has them, 400 for what is no number or a wrong count of parameters. Both
            sides are told, as with dlg_terminate_dlg, of a ringing call too, which the dialog
            module refuses. ims_dialog does not have the command.
            """,
        example=":dlg_end_dlg:reply_fifo, then 3291 and 9577 on lines of their own",
    ),
    Entry(
        name="dlg_terminate_dlg",
        chapter="8.4",
        kind=_M,
        summary="end a call by its Call-ID and tags, ringing or answered",
        signature="dlg_terminate_dlg callid from_tag to_tag [headers]",
        text="""
            An answered call: BYE to both sides of each confirmed leg. A ringing one: 488 to the
            caller and CANCEL on every branch. The tags may stand in either order, but must fit:
            404 "Requested Dialog not found" otherwise, where ims_dialog ends the call for a
            wrong To tag too. headers: further header lines. 200 OK comes before the phones have
            answered; what they say, dlg.termination tells over JSON-RPC.
            """,
        example=":dlg_terminate_dlg:reply_fifo, then Call-ID, From tag and To tag, a line each",
    ),
    Entry(
        name="profile_get_size",
        chapter="8.5",
        kind=_M,
        summary="how many calls a profile has",
        signature="profile_get_size profile [value]",
        text="""
            A node "profile:: name=N value=V count=C"; without a value the count is that of the
            whole profile. 404 "Profile not found" for one that is not configured. ims_dialog
            does not have the command; its layout is that of the dialog module.
            """,
        example=":profile_get_size:reply_fifo, then caller and sip:alice@example.com",
    ),
    Entry(
        name="profile_list_dlgs",
        chapter="8.6",
        kind=_M,
        summary="the calls of a profile",
        signature="profile_list_dlgs profile [value]",
        text="""
            The dialog nodes of dlg_list for the calls that are in the profile, with the value
            if one is given. 404 "Profile not found" for one that is not configured. ims_dialog
            does not have the command.
            """,
        example=":profile_list_dlgs:reply_fifo, then inbound",
    ),
    Entry(
        name="dlg_bridge",
        chapter="8.7",
        kind=_M,
        summary="call one party and connect it to another",
        signature="dlg_bridge from to [op]",
        text="""
            As the script function dlg_bridge: from and to are SIP URIs, op is the outbound
            proxy, a dot for none. The reply comes before the first phone rings and has an id, by
            which dlg_bridges tells what has become of it. 500 "Bad To value" for a second
            address that is no SIP URI, 500 "Server Internal Error" for another one. ims_dialog
            does not have the command.
            """,
        example=":dlg_bridge:reply_fifo, then the two URIs, a line each",
    ),
)
