"""What scripts have beyond the manual: functions of the message, SIP pseudo-variables."""

from __future__ import annotations

from dlgmgmt.manual.entry import Entry, Kind


def _function(signature: str, summary: str, text: str, example: str = "") -> Entry:
    return Entry(
        name=signature.partition("(")[0].removeprefix("msg."),
        chapter="6+",
        kind=Kind.FUNCTION,
        summary=summary,
        text=text,
        signature=signature,
        example=example,
    )


MESSAGE_FUNCTIONS = (
    _function(
        "msg.t_relay() -> bool",
        "relay the request",
        """
        When the route function has returned: to the branches that were appended, to the
        destination or Request-URI that was set, to the configured routes, or where the
        Request-URI leads. In failure_route False without a new branch to try.
        """,
        "msg.t_relay()",
    ),
    _function(
        "msg.append_branch(uri=None) -> bool",
        "add a branch to which the request is relayed",
        """
        Without a URI: one for the Request-URI and destination of now. In failure_route, what is
        tried next. At most 64 in one run. False where a variable gave no SIP URI.
        """,
        'msg.append_branch("sip:$rU@192.0.2.7")',
    ),
    _function(
        "msg.serial()",
        "call the branches one after the other",
        """
        In the order in which they were appended; the next one when the last one has failed.
        """,
    ),
    _function(
        "msg.parallel()",
        "call all branches at once",
        """
        That is how several branches are called unless the script says otherwise.
        """,
    ),
    _function(
        'msg.send_reply(code, reason="") -> bool',
        "answer the request",
        """
        100 to 199 is sent in addition to what is decided, and ends nothing; at most eight of
        them. With another code the request is answered and not relayed.
        """,
        'msg.send_reply(403, "No more than two calls")',
    ),
    _function(
        "msg.set_destination(uri)",
        "the next hop, without changing the Request-URI",
        """
        The same as writing $du; None forgets it.
        """,
        'msg.set_destination("sip:192.0.2.7:5080")',
    ),
    _function(
        "msg.append_hf(line) -> bool",
        "add a header line",
        """
        "Name: value", at the end of the headers; its variables are expanded. In branch_route
        for that branch alone, in failure_route for the targets that are tried next. Headers
        that the proxy writes itself, or that identify the call, are refused. False where
        variables make the line longer than 4096 characters.
        """,
        'msg.append_hf("P-Account: $avp(account)")',
    ),
    _function(
        "msg.append_to_reply(line) -> bool",
        "add a header line to the reply of send_reply()",
        """
        As append_hf.
        """,
    ),
    _function(
        "msg.remove_hf(name) -> bool",
        "take every line of a header out",
        """
        False if the message has none. The same headers are refused as by append_hf.
        """,
    ),
    _function(
        'msg.record_route(params="") -> bool',
        "stay on the path of the call",
        """
        Adds the Record-Route, with the dialog's id and these URI parameters besides.
        """,
    ),
    _function(
        "msg.loose_route() -> bool",
        "whether it is a request within a call that came by our Route",
        """
        Its dialog is looked up then.
        """,
    ),
    _function(
        "msg.t_check_status(pattern) -> bool",
        "whether the code matches a regular expression",
        """
        Of the reply, or in failure_route of the best failure.
        """,
        'if msg.t_check_status("486|408"): msg.append_branch("sip:voicemail@192.0.2.9")',
    ),
    _function(
        "msg.drop()",
        "neither relay nor answer",
        """
        A request is dropped, a branch left out, a provisional reply kept back. A final reply
        cannot be dropped.
        """,
    ),
    _function(
        "msg.setflag(flag) -> bool",
        "set a flag of the transaction",
        """
        0 to 31, for this request and its replies; see dlg_flag for one with a meaning.
        """,
    ),
    _function(
        "msg.resetflag(flag) -> bool",
        "clear a flag of the transaction",
        """
        As setflag.
        """,
    ),
    _function(
        "msg.isflagset(flag) -> bool",
        "whether a flag of the transaction is set",
        """
        As setflag.
        """,
    ),
)


def _variable(notation: str, summary: str, text: str) -> Entry:
    name = notation.partition(",")[0]
    plain = name.removeprefix("$").partition("(")[0]
    return Entry(
        name=name,
        chapter="10+",
        kind=Kind.VARIABLE,
        summary=summary,
        text=text,
        signature=notation,
        aliases=(plain,),
    )


_READ = ", read-only"
_WRITE = ", read and written"
_MALFORMED = "Unset where the message does not say it."
_NO_SIP_URI = "Unset for a URI that is no SIP URI."
_REQUEST_URI = (
    "In branch_route that of the branch; unset for a reply. Writing it in request_route or\n"
    "failure_route chooses where the request goes."
)

SIP_VARIABLES = (
    _variable("$ci" + _READ, "Call-ID", _MALFORMED),
    _variable("$cs" + _READ, "number of the CSeq", _MALFORMED),
    _variable("$fu" + _READ, "URI of the From header", _MALFORMED),
    _variable("$fU" + _READ, "user of the From URI", "Without its password. " + _MALFORMED),
    _variable("$fd" + _READ, "host of the From URI", _NO_SIP_URI),
    _variable("$fn" + _READ, "display name of the From header", "With its quotes. " + _MALFORMED),
    _variable("$ft" + _READ, "tag of the From header", _MALFORMED),
    _variable("$tu" + _READ, "URI of the To header", _MALFORMED),
    _variable("$tU" + _READ, "user of the To URI", "Without its password. " + _MALFORMED),
    _variable("$td" + _READ, "host of the To URI", _NO_SIP_URI),
    _variable("$tn" + _READ, "display name of the To header", "With its quotes. " + _MALFORMED),
    _variable("$tt" + _READ, "tag of the To header", _MALFORMED),
    _variable("$ru" + _WRITE, "Request-URI", _REQUEST_URI),
    _variable("$rU" + _WRITE, "user of the Request-URI", _REQUEST_URI),
    _variable("$rd" + _WRITE, "host of the Request-URI", _REQUEST_URI),
    _variable("$du" + _WRITE, "URI of the next hop", "As set_destination; None forgets it."),
    _variable("$rm" + _READ, "method", "Of a reply that of the request which it answers."),
    _variable("$rs" + _READ, "code of the reply", "In failure_route that of the best failure."),
    _variable("$rr" + _READ, "reason phrase of the reply", _MALFORMED),
    _variable("$si" + _READ, "address that the message came from", "That of the last hop."),
    _variable("$sp" + _READ, "port that the message came from", "That of the last hop."),
    _variable("$ua" + _READ, "value of the User-Agent header", _MALFORMED),
    _variable(
        "$hdr(name)" + _READ,
        "value of the first header of that name",
        "Compact names are the same header: $hdr(k) is $hdr(Supported).\n" + _MALFORMED,
    ),
    _variable(
        "$avp(name)" + _WRITE,
        "value that lasts for the transaction",
        "Text or a number; $avp(s:name) is $avp(name), $avp(i:10) is another than $avp(10).\n"
        "Seen by all routes of the request and by those of its replies. At most 256 of them.",
    ),
    _variable(
        "$var(name)" + _WRITE,
        "script variable",
        "As $avp(name), and another thing: $var(x) and $avp(x) do not meet.",
    ),
)
