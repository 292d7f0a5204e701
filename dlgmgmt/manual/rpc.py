"""Chapter 9: the commands of JSON-RPC."""

from __future__ import annotations

from dlgmgmt.manual.entry import Entry, Kind

_R = Kind.RPC

RPC_COMMANDS = (
    Entry(
        name="dlg.list",
        chapter="9.1",
        kind=_R,
        summary="all calls",
        signature="dlg.list",
        text="""
            An array with an object for each dialog, empty without any. It is sent while it is
            made: calls come and go meanwhile, and no memory is taken for the whole. ims_dialog
            does not have the command; its members are those of the dialog module, and more.
            """,
        example='{"jsonrpc": "2.0", "method": "dlg.list", "id": 1}',
    ),
    Entry(
        name="dlg.list_ctx",
        chapter="9.2",
        kind=_R,
        summary="as dlg.list, with the context of each call",
        signature="dlg.list_ctx",
        text="""
            Each object has a further member, context, an array with the lines that the
            DLGCB_MI_CONTEXT callbacks of the call (DLGCB_RPC_CONTEXT is another name) write.
            """,
        example='{"jsonrpc": "2.0", "method": "dlg.list_ctx", "id": 1}',
    ),
    Entry(
        name="dlg.dlg_list",
        chapter="9.3",
        kind=_R,
        summary="the calls with a Call-ID",
        signature="dlg.dlg_list callid [from_tag]",
        text="""
            An empty object if there is none, the dialog if there is one, an array if there are
            several: as in the dialog module, none is no error. With a From tag, only those of
            that caller.
            """,
        example='{"jsonrpc": "2.0", "method": "dlg.dlg_list", "params": ["ab12@192.0.2.1"], '
        '"id": 1}',
    ),
    Entry(
        name="dlg.dlg_list_ctx",
        chapter="9.4",
        kind=_R,
        summary="as dlg.dlg_list, with the context",
        signature="dlg.dlg_list_ctx callid [from_tag]",
        text="""
            Each object has a further member, context, an array with the lines that the
            DLGCB_MI_CONTEXT callbacks of the call (DLGCB_RPC_CONTEXT is another name) write.
            """,
        example='{"jsonrpc": "2.0", "method": "dlg.dlg_list_ctx", "params": ["ab12@192.0.2.1"], '
        '"id": 1}',
    ),
    Entry(
        name="dlg.end_dlg",
        chapter="9.5",
        kind=_R,
        summary="end a call by its numbers",
        signature="dlg.end_dlg h_entry h_id [headers]",
        text="""
            The numbers are members of what dlg.list shows. Both sides are told; the answer has
            an id, by which dlg.termination says what each of them has answered. Errors: 404
            "Dialog not found", 500 "Invalid parameters" for anything wrong with the
            parameters, as in Kamailio.
            """,
        example='{"jsonrpc": "2.0", "method": "dlg.end_dlg", "params": [1681, 11750], "id": 1}',
    ),
    Entry(
        name="dlg.profile_get_size",
        chapter="9.6",
        kind=_R,
        summary="how many calls a profile has",
        signature="dlg.profile_get_size profile [value]",
        text="""
            A number; without a value that of the whole profile. 404 for a profile that is not
            configured.
            """,
        example='{"jsonrpc": "2.0", "method": "dlg.profile_get_size", "params": ["inbound"], '
        '"id": 1}',
    ),
    Entry(
        name="dlg.profile_list",
        chapter="9.7",
        kind=_R,
        summary="the calls of a profile",
        signature="dlg.profile_list profile [value]",
        text="""
            The objects of dlg.list for the calls that are in the profile, with the value if one
            is given. 404 for a profile that is not configured.
            """,
        example='{"jsonrpc": "2.0", "method": "dlg.profile_list", "params": ["inbound"], "id": 1}',
    ),
    Entry(
        name="dlg.bridge_dlg",
        chapter="9.8",
        kind=_R,
        summary="call one party and connect it to another",
        signature="dlg.bridge_dlg from to [op]",
        text="""
            As the script function dlg_bridge: from and to are SIP URIs, op is the outbound
            proxy. The answer comes before the first phone rings; it has an id, by which
            dlg.bridges tells what has become of it. 500 "Invalid parameters" for anything wrong
            with the parameters, 503 while 256 bridges are under way.
            """,
        example='{"jsonrpc": "2.0", "method": "dlg.bridge_dlg", "params": '
        '["sip:alice@example.com", "sip:bob@example.com"], "id": 1}',
    ),
)
