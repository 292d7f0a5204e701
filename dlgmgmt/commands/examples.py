"""Answers that the generated documentation shows; the tests hold them against the schemas."""

from __future__ import annotations

_SOCKET = "udp:192.0.2.10:5060"

DIALOG: dict[str, object] = {
    "h_entry": 1681,
    "h_id": 11750,
    "ref": 2,
    "call-id": "ab12@192.0.2.1",
    "from_uri": "sip:alice@example.com",
    "to_uri": "sip:bob@example.com",
    "state": 4,
    "start_ts": 1795406478,
    "init_ts": 1795406476,
    "end_ts": 0,
    "duration": 219,
    "timeout": 1795449678,
    "lifetime": 43200,
    "dflags": 0,
    "sflags": 0,
    "iflags": 0,
    "caller": {
        "tag": "a1",
        "contact": "sip:alice@192.0.2.1:5060",
        "cseq": "1",
        "route_set": "",
        "socket": _SOCKET,
    },
    "callee": {
        "tag": "b1",
        "contact": "sip:bob@192.0.2.2:5060",
        "cseq": "1",
        "route_set": "",
        "socket": _SOCKET,
    },
    "profiles": ["inbound", {"caller": "alice"}],
    "variables": [{"src": "192.0.2.1"}],
    "ims_state": 4,
    "state_name": "confirmed",
    "did": "196.6ed2",
    "req_uri": "sip:bob@example.com",
    "timeout_left": 42981,
    "legs": [
        {
            "to_tag": "b1",
            "to_uri": "sip:bob@example.com",
            "state": "confirmed",
            "acked": True,
            "branch": 0,
            "caller_cseq": 1,
            "callee_cseq": 1,
            "contact": "sip:bob@192.0.2.2:5060",
            "route_set": "",
            "socket": _SOCKET,
        }
    ],
    "history": [{"branch": 1, "to_tag": "c1", "code": 487, "cause": "cancelled"}],
}

CONTEXT: dict[str, object] = {**DIALOG, "context": ["account 4711"]}

BRIEF: list[dict[str, object]] = [
    {"h_entry": 1681, "h_id": 11750, "call-id": "ab12@192.0.2.1", "state": 4}
]

IMS: dict[str, object] = {
    "Size": 4096,
    "Dialogs": [
        {
            "Dialog": {
                "Entry": 1681,
                "Id": 11750,
                "RURI": "sip:bob@example.com",
                "From": "sip:alice@example.com",
                "Call-ID": "ab12@192.0.2.1",
                "Caller Contact": "sip:alice@192.0.2.1:5060",
                "Caller Route Set": None,
                "Dialog-ID": "196.6ed2",
                "From Tag": "a1",
                "State": "Confirmed",
                "Ref": 2,
                "dlg_outs": [{"dlg_out": {"Entry": 2139, "Id": 0}}],
            }
        }
    ],
}

BRIDGE: dict[str, object] = {
    "id": 1,
    "call-id": "5e1b7c0f@dlgmgmt",
    "from": "sip:alice@example.com",
    "to": "sip:bob@example.com",
    "op": "",
    "state": "done",
    "detail": "200",
    "ordered_ts": 1795406697,
    "ended_ts": 1795406709,
}

_PENDING = [
    {"side": "caller", "to_tag": "b1", "method": "BYE", "outcome": "pending"},
    {"side": "callee", "to_tag": "b1", "method": "BYE", "outcome": "pending"},
]

ORDERED: dict[str, object] = {"id": 1, "legs": _PENDING}

STATUS: dict[str, object] = {
    "id": 1,
    "h_entry": 1681,
    "h_id": 11750,
    "call-id": "ab12@192.0.2.1",
    "from_tag": "a1",
    "reason": "mi_terminated",
    "ordered_ts": 1795406697,
    "legs": [{**side, "outcome": "200"} for side in _PENDING],
}

ACTIVE: dict[str, object] = {
    "starting": 0,
    "connecting": 1,
    "answering": 0,
    "ongoing": 2,
    "all": 3,
}

TRACE: list[dict[str, object]] = [
    {
        "number": 17,
        "time": 1795406476.25,
        "direction": "in",
        "transport": "udp",
        "local": "192.0.2.10:5060",
        "remote": "192.0.2.1:5060",
        "size": 86,
        "message": "OPTIONS sip:bob@example.com SIP/2.0\r\nCall-ID: ab12@192.0.2.1\r\n"
        "CSeq: 1 OPTIONS\r\n\r\n",
    }
]

SIP_SOCKET: dict[str, object] = {
    "PROTO": "udp",
    "NAME": "192.0.2.10",
    "ADDRLIST": {"ADDR": "192.0.2.10"},
    "PORT": "5060",
    "MCAST": "no",
    "MHOMED": "no",
    "VIRTUAL": "no",
    "SOCKNAME": "-",
    "ADVERTISE": "-",
}

OPENRPC: dict[str, object] = {
    "openrpc": "1.3.2",
    "info": {"title": "dlgmgmt", "version": "0.1.0"},
    "methods": [],
}

SWEEP: dict[str, object] = {
    "id": 1,
    "dry_run": False,
    "done": False,
    "matched": 1,
    "ended": 1,
    "gone": 0,
    "changed": 0,
    "answered": 0,
    "ordered_ts": 1795406697,
    "finished_ts": 0,
    "dialogs": [
        {
            "h_entry": 1681,
            "h_id": 11750,
            "call-id": "ab12@192.0.2.1",
            "from_tag": "a1",
            "outcome": "ended",
            "termination": 1,
            "legs": _PENDING,
        }
    ],
    "after": None,
}

SWEEP_BEGUN: dict[str, object] = {
    **SWEEP,
    "ended": 0,
    "dialogs": [
        {
            "h_entry": 1681,
            "h_id": 11750,
            "call-id": "ab12@192.0.2.1",
            "from_tag": "a1",
            "outcome": "waiting",
            "termination": 0,
            "legs": [],
        }
    ],
}
