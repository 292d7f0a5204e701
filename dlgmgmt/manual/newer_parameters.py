"""Parameters that the manual does not have: those of the newer dialog module, and our own."""

from __future__ import annotations

from dlgmgmt.manual.entry import Entry, Kind

_P = Kind.PARAMETER

NEWER_PARAMETERS = (
    Entry(
        name="ruri_pvar",
        chapter="5+",
        kind=_P,
        summary="pseudo-variable that gives a dialog its req_uri",
        type='a pseudo-variable, such as "$ru" or "$avp(dialled)"',
        text="""
            Read when the dialog is made; the listings show the value as req_uri. By default it
            is the Request-URI as the script has left it at that moment. A variable that is
            unset then gives the URI of the received INVITE.
            """,
        example='ruri_pvar = "$avp(dialled)"',
    ),
    Entry(
        name="send_bye",
        chapter="5+",
        kind=_P,
        summary="whether a call past its timeout is hung up on both sides",
        type="true or false (or 1 or 0)",
        text="""
            True is what ims_dialog always does. With false a call at its timeout just leaves
            the table and is counted as expired; the phones talk on and are not told, except
            for a call whose script has set $dlg_ctx(timeout_bye) to 1, as in the dialog module.
            """,
        example="send_bye = false",
    ),
    Entry(
        name="early_timeout",
        chapter="5+",
        kind=_P,
        summary="seconds that a call may ring",
        type="an integer from 1 to 86400",
        text="""
            Counted from the INVITE. A call that nobody has answered by then is ended like one
            that an operator kills: 488 to the caller, CANCEL on every branch, with the reason
            early_timeout. It counts as failed and as expired. timer_c of [sip] usually ends a
            silent branch earlier; this bounds the call as a whole, serial forks included.
            """,
        example="early_timeout = 120",
    ),
    Entry(
        name="noack_timeout",
        chapter="5+",
        kind=_P,
        summary="seconds that an answered call may wait for its ACK",
        type="an integer from 1 to 86400",
        text="""
            Counted from the 2xx. A call whose caller has sent no ACK by then is ended with a
            BYE to both sides and the reason noack_timeout. Of a call with several answers, only
            the legs whose ACK is missing are ended.
            """,
        example="noack_timeout = 30",
    ),
    Entry(
        name="end_timeout",
        chapter="5+",
        kind=_P,
        summary="seconds that an ended call may be kept for its transactions",
        type="an integer from 1 to 86400",
        text="""
            A call that has ended stays in the table, as deleted, until its last transaction is
            over: that is when late messages are absorbed. This is the ceiling: after it the
            dialog leaves whatever still holds it. Profiles are left at the end of the call
            already.
            """,
        example="end_timeout = 60",
    ),
    Entry(
        name="timeout_noreset",
        chapter="5+",
        kind=_P,
        summary="whether requests within the call leave its timeout alone",
        type="true or false (or 1 or 0)",
        text="""
            With false, as in ims_dialog, every sequential request (re-INVITE, UPDATE, INFO and
            so on) starts the timeout anew. With true a call lasts its timeout from the ACK on,
            whatever passes within it: what a prepaid call needs. A script chooses it for one
            call with dlg_set_property("timeout-noreset").
            """,
        example="timeout_noreset = true",
    ),
    Entry(
        name="session_timers",
        chapter="5+",
        kind=_P,
        summary="whether a call ends when its session timer (RFC 4028) has run out",
        type="true or false (or 1 or 0)",
        text="""
            The parties of a call may agree that one of them refreshes it, by re-INVITE or UPDATE,
            before an interval is over: the Session-Expires of a 2xx. With true, a call that is not
            refreshed in time ends a third of the interval later, 32 seconds at most, as it would
            at its timeout: both sides are sent a BYE if send_bye is true. Until then the list
            shows this moment as its timeout. The headers themselves pass as they are. With false
            only the parties look at the timer.
            """,
        example="session_timers = false",
    ),
    Entry(
        name="ka_timer",
        chapter="5+",
        kind=_P,
        summary="seconds between two looks for calls that are due for a keep-alive; 0: none",
        type="an integer from 0 to 86400",
        text="""
            Keep-alives are OPTIONS within the dialog, sent to the sides that ka_sides or the
            script have chosen, at a pace that does not send them all at once. With 0 there are
            none, whatever else is set.
            """,
        example="ka_timer = 10",
    ),
    Entry(
        name="ka_interval",
        chapter="5+",
        kind=_P,
        summary="seconds between two keep-alives to one side of a call",
        type="an integer from 1 to 86400",
        text="""
            The first one is sent so long after the answer. A smaller value than ka_timer has
            the effect of ka_timer.
            """,
        example="ka_interval = 60",
    ),
    Entry(
        name="ka_failed_limit",
        chapter="5+",
        kind=_P,
        summary="keep-alives in a row that must fail to end the call",
        type="an integer from 1 to 1000",
        text="""
            A keep-alive has failed when nothing answers it (408 after 64*T1), or when the
            phone says that it knows no such call (481). Any other answer, an error as well, is
            a sign of life and starts the count anew. At the limit both sides are sent a BYE
            with the reason keepalive_failed.
            """,
        example="ka_failed_limit = 3",
    ),
    Entry(
        name="ka_sides",
        chapter="5+",
        kind=_P,
        summary="which sides of every call are sent keep-alives",
        type='"none" or "caller" or "callee" or "both"',
        text="""
            dlgmgmt's own: the dialog module leaves the choice to the script, call by call, and
            that works here as well: dlg_set_property("ka-src") adds the caller and
            dlg_set_property("ka-dst") the callee of one call.
            """,
        example='ka_sides = "both"',
    ),
    Entry(
        name="max_dialogs",
        chapter="5+",
        kind=_P,
        summary="calls that are tracked at once",
        type="an integer from 1 to 100000000",
        text="""
            dlgmgmt's own. A call beyond it is answered 503 with Retry-After, even if a script
            would relay it untracked. Each takes some kilobytes of memory.
            """,
        example="max_dialogs = 100000",
    ),
    Entry(
        name="script",
        chapter="5+",
        kind=_P,
        summary="the routing script, in [routing]",
        type="the path of an existing file, relative to the configuration file",
        text="""
            A Python file with any of request_route, branch_route, onreply_route, failure_route
            and event_route, and mod_init(api) for the developer API. Without it every INVITE
            is tracked and relayed by the routes of [sip]. A file that is missing stops the
            start, and so does a fault that can be seen beforehand, with its line. SIGHUP loads
            it anew for what begins from then on; to have none any more needs a restart.
            """,
        example='script = "routes.py"',
    ),
    Entry(
        name="time_limit",
        chapter="5+",
        kind=_P,
        summary="seconds that one run of a script may take, in [routing]",
        type="seconds, a number from 0.01 to 60",
        text="""
            A run that takes longer is given up and logged with the line where it stands: a
            request is answered 500, a reply passes unchanged. Other calls go on meanwhile.
            """,
        example="time_limit = 0.5",
    ),
    Entry(
        name="workers",
        chapter="5+",
        kind=_P,
        summary="threads that run the script, in [routing]",
        type="an integer from 1 to 64",
        text="""
            The runs of one call are on one thread and keep their order. More threads help a
            script that waits (for a database, say), and nothing else. Read at the start.
            """,
        example="workers = 8",
    ),
    Entry(
        name="max_queue",
        chapter="5+",
        kind=_P,
        summary="runs that may wait for a thread, in [routing]",
        type="an integer from 1 to 1000000",
        text="""
            Beyond it a request is answered 503, and a reply passes without its route. Read at
            the start.
            """,
        example="max_queue = 2000",
    ),
    Entry(
        name="load_limit",
        chapter="5+",
        kind=_P,
        summary="seconds that loading the script may take, in [routing]",
        type="seconds, a number from 0.1 to 3600",
        text="""
            Its top level and mod_init together. Beyond it the start, or the reload, is refused
            with the line where it stands, and a script that was loaded before goes on.
            """,
        example="load_limit = 5",
    ),
)
