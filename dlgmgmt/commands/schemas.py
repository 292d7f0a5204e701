"""JSON schemas (draft 2020-12, as OpenAPI 3.1 uses them) of the answers over JSON-RPC."""

from __future__ import annotations

from typing import Any

from dlgmgmt.commands.schemas_database import DATABASE
from dlgmgmt.commands.schemas_system import SYSTEM

Schema = dict[str, Any]


def _integer(doc: str) -> Schema:
    return {"type": "integer", "description": doc}


def _boolean(doc: str) -> Schema:
    return {"type": "boolean", "description": doc}


def _string(doc: str) -> Schema:
    return {"type": "string", "description": doc}


def _object(doc: str, **properties: Schema) -> Schema:
    return {
        "type": "object",
        "description": doc,
        "required": [_json_name(name) for name in properties],
        "properties": {_json_name(name): schema for name, schema in properties.items()},
    }


def _json_name(name: str) -> str:
    return "call-id" if name == "callid" else name


def _named(doc: str, **properties: Schema) -> Schema:
    """An object whose members are called as the real server calls them, blanks included."""
    named = {_IMS_NAMES.get(name, name): schema for name, schema in properties.items()}
    return {"type": "object", "description": doc, "required": [*named], "properties": named}


_IMS_NAMES = {
    "call_id": "Call-ID",
    "caller_contact": "Caller Contact",
    "caller_route_set": "Caller Route Set",
    "dialog_id": "Dialog-ID",
    "from_tag": "From Tag",
}


def _array(items: Schema, doc: str) -> Schema:
    return {"type": "array", "description": doc, "items": items}


def ref(name: str) -> Schema:
    """A reference to the schema ``name`` of :data:`SCHEMAS`."""
    return {"$ref": f"#/components/schemas/{name}"}


def _nullable(doc: str) -> Schema:
    return {"type": ["string", "null"], "description": doc}


_UNIX = "Unix time in seconds, 0 where not yet known"
_PAIR = {"type": "object", "additionalProperties": {"type": "string"}}

SCHEMAS: dict[str, Schema] = {
    "Party": _object(
        "One end of a dialog; all null while the callee has not answered.",
        tag=_nullable("its tag"),
        contact=_nullable("its Contact URI"),
        cseq=_nullable("the last CSeq number that it used"),
        route_set=_nullable("its route set, comma-separated"),
        socket=_nullable("the daemon's socket towards it"),
    ),
    "Leg": _object(
        "An out leg: a To-tag that answered the INVITE.",
        to_tag=_string("the To-tag"),
        to_uri=_string("URI of the To header"),
        state={"type": "string", "enum": ["early", "confirmed"]},
        acked={"type": "boolean", "description": "whether the ACK has been seen"},
        branch=_integer("which branch of the fork it came from"),
        caller_cseq=_integer("last CSeq towards the callee"),
        callee_cseq=_integer("last CSeq towards the caller"),
        contact=_string("Contact URI of the callee"),
        route_set=_string("route set towards the callee, comma-separated"),
        socket=_string("the daemon's socket towards the callee"),
    ),
    "EndedLeg": _object(
        "A leg that is no longer part of the dialog.",
        branch=_integer("which branch of the fork it was"),
        to_tag=_string("its To-tag"),
        code=_integer("its final SIP status, 0 if none came"),
        cause=_string("rejected, cancelled, timeout or bye"),
    ),
    "Dialog": _object(
        "A dialog, with the keys of Kamailio's dialog module and those of ims_dialog.",
        h_entry=_integer("number of its hash entry"),
        h_id=_integer("its number within the hash entry"),
        ref=_integer("references to it"),
        callid=_string("its Call-ID"),
        from_uri=_string("URI of the From header"),
        to_uri=_string("URI of the To header"),
        state={
            "type": "integer",
            "enum": [1, 2, 3, 4, 5],
            "description": "dialog module: unconfirmed, early, confirmed without ACK, "
            "confirmed, deleted",
        },
        start_ts=_integer(f"when it was answered; {_UNIX}"),
        init_ts=_integer(f"when the INVITE came; {_UNIX}"),
        end_ts=_integer(f"when it ended; {_UNIX}"),
        duration=_integer("seconds since the answer"),
        timeout=_integer(f"when it expires; {_UNIX}"),
        lifetime=_integer("seconds from answer to expiry"),
        dflags=_integer("internal flags"),
        sflags=_integer("script flags"),
        iflags=_integer("always 0; for clients of the dialog module"),
        caller=ref("Party"),
        callee=ref("Party"),
        profiles=_array(
            {"oneOf": [{"type": "string"}, _PAIR]}, "names, or name and value, of its profiles"
        ),
        variables=_array(_PAIR, "its variables"),
        ims_state={
            "type": "integer",
            "enum": [1, 2, 4, 5, 6, 7],
            "description": "ims_dialog: unconfirmed, early, confirmed, confirmed without ACK, "
            "deleted, concurrently confirmed",
        },
        state_name=_string("the name of ims_state"),
        did=_string("its dialog id, as Record-Route carries it"),
        req_uri=_string("Request-URI of the INVITE"),
        timeout_left=_integer("seconds until it expires, 0 while no timeout runs"),
        legs=_array(ref("Leg"), "its out legs"),
        history=_array(ref("EndedLeg"), "legs that ended before"),
    ),
    "DialogList": _array(ref("Dialog"), "all dialogs"),
    "DialogMatches": {
        "description": "nothing found: an empty object; one: the dialog; several: an array",
        "anyOf": [
            ref("Dialog"),
            ref("DialogList"),
            {"type": "object", "maxProperties": 0},
        ],
    },
    "ContextDialog": {
        "description": "A dialog and what callbacks write about it.",
        "allOf": [
            ref("Dialog"),
            {
                "type": "object",
                "required": ["context"],
                "properties": {"context": _array({"type": "string"}, "lines of text")},
            },
        ],
    },
    "ContextList": _array(ref("ContextDialog"), "dialogs with their context"),
    "ContextMatches": {
        "description": "nothing found: an empty object; one: the dialog; several: an array",
        "anyOf": [
            ref("ContextDialog"),
            ref("ContextList"),
            {"type": "object", "maxProperties": 0},
        ],
    },
    "BriefList": _array(
        {
            "type": "object",
            "required": ["h_entry", "h_id"],
            "properties": {
                "h_entry": _integer("number of its hash entry"),
                "h_id": _integer("its number within the hash entry"),
                "from_uri": _string("URI of the From header"),
                "to_uri": _string("URI of the To header"),
                "call-id": _string("its Call-ID"),
                "from_tag": _string("tag of the caller"),
                "to_tag": _string("tag of the callee, empty before there is one"),
                "init_ts": _integer(f"when the INVITE came; {_UNIX}"),
                "start_ts": _integer(f"when it was answered; {_UNIX}"),
                "end_ts": _integer(f"when it ended; {_UNIX}"),
                "state": _integer("as in Dialog"),
            },
            "additionalProperties": False,
        },
        "all dialogs, with the fields that were asked for",
    ),
    "ImsList": _named(
        "All dialogs as ims_dialog shows them.",
        Size=_integer("hash entries of the table"),
        Dialogs=_array(
            _named(
                "one dialog",
                Dialog=_named(
                    "its fields",
                    Entry=_integer("number of its hash entry"),
                    Id=_integer("its number within the hash entry"),
                    RURI=_string("Request-URI of the INVITE"),
                    From=_string("URI of the From header"),
                    call_id=_string("its Call-ID"),
                    caller_contact=_string("Contact URI of the caller"),
                    caller_route_set=_nullable("route set of the caller, comma-separated"),
                    dialog_id=_nullable("its dialog id, as Record-Route carries it"),
                    from_tag=_string("tag of the caller"),
                    State=_string("name of its state"),
                    Ref=_integer("references to it"),
                    dlg_outs=_array(
                        _named(
                            "one out leg",
                            dlg_out=_named(
                                "its numbers",
                                Entry=_integer("number of the hash entry of its To-tag"),
                                Id=_integer("its number"),
                            ),
                        ),
                        "its out legs",
                    ),
                ),
            ),
            "the dialogs",
        ),
    ),
    "ProfileSize": _integer("insertions of dialogs into the profile"),
    "Alive": {"type": "string", "const": "Alive"},
    "StateSet": {"type": "string", "const": "Done"},
    "AllOrdered": _object("What was ordered.", ordered=_integer("how many dialogs are ended")),
    "BridgeOrdered": _object("A bridge has begun.", id=_integer("its number, for dlg.bridges")),
    "BridgeList": _array(
        _object(
            "A bridge.",
            id=_integer("its number"),
            callid=_string("Call-ID of the daemon's call, empty before it is made"),
            **{"from": _string("who is called")},
            to=_string("who is referred to"),
            op=_string("the outbound proxy, empty for none"),
            state={
                "type": "string",
                "enum": [
                    "ordered",
                    "calling",
                    "ringing",
                    "answered",
                    "referred",
                    "done",
                    "failed",
                ],
            },
            detail=_string("the last status, or what has failed"),
            ordered_ts=_integer(_UNIX),
            ended_ts=_integer(f"when it had its outcome; {_UNIX}"),
        ),
        "bridges, oldest first",
    ),
    "SideOutcome": _object(
        "What one party was sent and what it answered.",
        side={"type": "string", "enum": ["caller", "callee"]},
        to_tag=_string("To-tag of the leg, empty for the caller of an early dialog"),
        method={"type": "string", "enum": ["BYE", "CANCEL", "488"]},
        outcome=_string("pending, waiting for ACK, a status code, timeout or unsendable"),
    ),
    "TerminationOrdered": _object(
        "A termination that has been ordered.",
        id=_integer("its number, for dlg.termination"),
        legs=_array(ref("SideOutcome"), "who is told what"),
    ),
    "TerminationStatus": _object(
        "A termination and its outcome so far.",
        id=_integer("its number"),
        h_entry=_integer("number of the dialog's hash entry"),
        h_id=_integer("number of the dialog within its hash entry"),
        callid=_string("Call-ID of the dialog"),
        from_tag=_string("tag of the caller"),
        reason=_string("why it was ended"),
        ordered_ts=_integer(_UNIX),
        legs=_array(ref("SideOutcome"), "who was told what"),
    ),
    "Candidates": _object(
        "Dialogs that may be meant, 100 at most.", candidates=_array(ref("Dialog"), "the dialogs")
    ),
    "QueryPage": _object(
        "A page of dialogs.",
        items=_array(ref("Dialog"), "the dialogs"),
        cursor=_nullable("for the next page; null after the last one"),
        total=_integer("how many fitted when the first page was asked for"),
    ),
    "SweptDialog": _object(
        "A dialog that is to be ended with others.",
        h_entry=_integer("number of its hash entry"),
        h_id=_integer("its number within the hash entry"),
        callid=_string("its Call-ID"),
        from_tag=_string("tag of the caller"),
        outcome={
            "type": "string",
            "enum": ["waiting", "ended", "gone", "changed"],
            "description": "its turn has not come; ended; it had ended; it did not fit any more",
        },
        termination=_integer("id for dlg.termination, 0 for none"),
        legs=_array(ref("SideOutcome"), "who was told what"),
    ),
    "Sweep": _object(
        "How the ending of many dialogs goes.",
        id=_integer("its number, for dlg.match_status; 0 for a dry run"),
        dry_run=_boolean("whether nothing is ended"),
        done=_boolean("whether all have had their turn, and all answers have come"),
        matched=_integer("how many dialogs fitted"),
        ended=_integer("how many were ended"),
        gone=_integer("how many had ended by themselves"),
        changed=_integer("how many did not fit any more"),
        answered=_integer("of how many ended ones no answer is waited for any more"),
        ordered_ts=_integer(_UNIX),
        finished_ts=_integer(_UNIX),
        dialogs=_array(ref("SweptDialog"), "a part of the dialogs"),
        after={
            "type": ["integer", "null"],
            "description": "parameter with which the further ones are asked for; null at the end",
        },
    ),
    "Variables": {**_PAIR, "description": "variables by name"},
    "Flag": _object("A flag.", flag=_integer("its number"), set=_boolean("whether it is set")),
    "Done": {"type": "string", "const": "Done"},
    "ActiveStats": _object(
        "Live dialogs by phase.",
        starting=_integer("unconfirmed"),
        connecting=_integer("early"),
        answering=_integer("confirmed, ACK not seen"),
        ongoing=_integer("confirmed"),
        all=_integer("the sum"),
    ),
    "Statistics": _array({"type": "string"}, "lines of the form group:name = value"),
    "TracedMessage": _object(
        "A message as it was received or sent.",
        number=_integer("counts the messages that were kept since the start"),
        time={"type": "number", "description": "Unix time in seconds"},
        direction={"type": "string", "enum": ["in", "out"]},
        transport={"type": "string", "enum": ["udp", "tcp", "tls", "ws", "wss"]},
        local=_string("address and port of the daemon's listener"),
        remote=_string("address and port of the peer"),
        size=_integer("its bytes"),
        message=_string("all of it; U+FFFD stands for what is no UTF-8"),
    ),
    "TraceLog": _array(ref("TracedMessage"), "messages, oldest first"),
    "TraceStatus": {"type": "string", "enum": ["Enabled", "Disabled"]},
    "CommandNames": _array({"type": "string"}, "names of commands"),
    "Uptime": _object(
        "Since when the daemon runs.",
        now=_string("local time"),
        up_since=_string("local time of the start"),
        uptime=_integer("seconds since the start"),
    ),
    "Version": _string("program, version and platform"),
    **SYSTEM,
    **DATABASE,
}
