"""Chapter 5: the parameters of the manual, and ruri_pvar."""

from __future__ import annotations

from dlgmgmt.manual.entry import Entry, Kind

_P = Kind.PARAMETER

PARAMETERS = (
    Entry(
        name="enable_stats",
        chapter="5.1",
        kind=_P,
        summary="whether the statistics groups dialog and dialog_ng are exported",
        type="true or false (or 1 or 0)",
        text="""
            With false, get_statistics knows neither "dialog:" nor "dialog_ng:"; every other
            group, dlgctl stats and dlg.stats_active stay. Counting goes on: it costs nothing.
            In ims_dialog the parameter has no effect. Read at the start.
            """,
        example="enable_stats = false",
    ),
    Entry(
        name="hash_size",
        chapter="5.2",
        kind=_P,
        summary="number of entries of the dialog table",
        type="an integer from 1 to 16777216",
        text="""
            A dialog lies in the entry that the hash of its Call-ID names, and each entry has a
            lock of its own. A number that is no power of two is rounded down to one, with a
            warning. More entries than calls at once gain nothing.
            The number of the entry is the first half of a dialog's id (hash=E:I in dlg_list),
            so another size gives all calls other ids. Read at the start.
            """,
        example="hash_size = 16384",
    ),
    Entry(
        name="rr_param",
        chapter="5.3",
        kind=_P,
        summary="what the Record-Route parameter with the dialog's id is called",
        type="an RFC 3261 token of at most 64 characters: letters, digits, -.!%*_+`'~",
        text="""
            Phones send it back in the Route of each later request, and the dialog is found by
            it at once. The value is the entry and the number of the dialog, both in hexadecimal
            with the lowest digit first: entry 0xf2c and number 0x2eef give did=c2f.fee2.
            A value that belongs to another call is not believed: Call-ID and tags must fit.
            Read at the start.
            """,
        example='rr_param = "xyz"',
    ),
    Entry(
        name="dlg_flag",
        chapter="5.4",
        kind=_P,
        summary="script flag with which t_relay() tracks the call",
        type="an integer from 0 to 31",
        text="""
            An initial INVITE that a script relays with this flag set gets a dialog, as if the
            script had called dlg_manage(). Requests other than an initial INVITE, and calls
            that the script answers itself, get none by it. Without the parameter no flag does
            that, and dlg_manage() alone tracks a call. In ims_dialog it is the only way.
            """,
        example="""
            dlg_flag = 4                     # in the script: msg.setflag(4); msg.t_relay()
            """,
    ),
    Entry(
        name="timeout_avp",
        chapter="5.5",
        kind=_P,
        summary="AVP that holds a timeout of the call's own, in seconds",
        type='an AVP, "$avp(NAME)", "$avp(s:NAME)" or "$avp(i:NUMBER)"',
        text="""
            Read when the dialog is made, so at the latest when the request route of its INVITE
            returns, and after the route of each sequential request. A positive number is the
            dialog's timeout from then on; an unset AVP changes nothing. Anything else is logged
            as a warning, and the timeout stays. Without the parameter no AVP is looked at.
            """,
        example="""
            timeout_avp = "$avp(i:10)"       # in the script: msg.set_pv("$avp(i:10)", 600)
            """,
    ),
    Entry(
        name="default_timeout",
        chapter="5.6",
        kind=_P,
        summary="seconds that an answered call may last",
        type="an integer from 1 to 2147483647",
        text="""
            The time runs from the ACK, and anew from each request within the dialog unless
            timeout_noreset says otherwise. When it is over, both sides are sent a BYE with
            Reason: SIP;cause=408;text="dialog_timeout" (see send_bye) and the call counts as
            expired. timeout_avp, dlg_set_timeout() and $dlg_ctx(timeout) set another time for
            a single call. A new value holds for calls that begin after it was read.
            """,
        example="default_timeout = 21600",
    ),
    Entry(
        name="dlg_extra_hdrs",
        chapter="5.7",
        kind=_P,
        summary="header lines for the requests that the daemon makes itself",
        type=r'header lines, each "Name: value\r\n", of headers that the daemon does not set '
        'itself, at most 4096 characters, or ""',
        text=r"""
            They stand in every BYE (before those of the operator's command), OPTIONS and REFER
            of the daemon, and in the INVITE of a bridge. A Reason header among them takes the
            place of the daemon's own. Each line ends in \r\n; headers that the daemon writes
            itself (Via, From, To, Call-ID, CSeq, Route, Contact and the like) are refused.
            """,
        example=r'dlg_extra_hdrs = "Hint: credit expired\r\n"',
    ),
    Entry(
        name="dlg_match_mode",
        chapter="5.8",
        kind=_P,
        summary="deprecated: how a sequential request finds its dialog",
        type="an integer from 0 to 2",
        text="""
            Accepted, so that an old configuration starts, and without effect: any value but 0
            is answered with a note that the parameter is deprecated. The dialog id of the
            Route (rr_param) is always tried first and checked against Call-ID and tags; a
            request without a usable one is matched by Call-ID and tags.
            """,
        example="dlg_match_mode = 0",
    ),
    Entry(
        name="detect_spirals",
        chapter="5.9",
        kind=_P,
        summary="whether an INVITE that comes by again joins its dialog",
        type="true or false (or 1 or 0)",
        text="""
            An INVITE that has left the proxy and returns, with the Call-ID and From tag of a
            call that is tracked already, is the same call: with true it joins the dialog and
            DLGCB_SPIRALED is told. With false each pass makes a dialog of its own, and all of
            them are counted.
            """,
        example="detect_spirals = true",
    ),
    Entry(
        name="db_url",
        chapter="5.10",
        kind=_P,
        summary="the database in which dialogs are kept",
        type='a database URL, "mysql://user:password@host/database", "postgres://..." or '
        '"sqlite:////path/of/the/file"',
        text="""
            MySQL or MariaDB, PostgreSQL, or a SQLite file; dialogs.sqlite in the state directory
            unless set. As Kamailio writes it, or SQLAlchemy: a password may hold any character,
            %40 stands for an @ and %25 for a percent sign. It is never shown. The tables are
            those of ims_dialog (dialog_in, dialog_out, dialog_vars) with further columns. Used
            with db_mode 1, 2 and 3. Read at the start.
            """,
        example='db_url = "mysql://kamailio:secret@localhost/kamailio"',
    ),
    Entry(
        name="db_mode",
        chapter="5.11",
        kind=_P,
        summary="when dialogs are written to the database",
        type="an integer from 0 to 3",
        text="""
            0: never; a restart forgets them. 1: at once, within db_commit_interval. 2: every
            db_update_period, but ends of calls at once, for what has ended must not return.
            3: at the end alone; a crash loses all. With each but 0 answered calls are loaded at
            the start, listed as they were, and can be ended; ringing ones are dropped, as their
            transactions are gone. Whatever the mode, SIGTERM loses nothing. Read at the start.
            """,
        example="db_mode = 1",
    ),
    Entry(
        name="db_update_period",
        chapter="5.12",
        kind=_P,
        summary="seconds between two writings of db_mode 2",
        type="an integer from 1 to 86400",
        text="""
            Calls that begin and end within it are not written at all, and one that changes
            often is written once. What a crash loses is at most that old. dlg.db_flush writes
            what waits in between.
            """,
        example="db_update_period = 120",
    ),
    Entry(
        name="db_fetch_rows",
        chapter="5.13",
        kind=_P,
        summary="dialogs that are read from the database at a time",
        type="an integer from 0 to 1000000",
        text="""
            Between two such reads calls get their turn, so a smaller number makes the start
            smoother and a larger one shorter. 0: all at once. Read at the start.
            """,
        example="db_fetch_rows = 500",
    ),
    Entry(
        name="profiles_with_value",
        chapter="5.14",
        kind=_P,
        summary="profiles into which a call is put under a value, such as its caller",
        type='names with semicolons between them, "caller ; trunk", or a list of names, each an '
        "RFC 3261 token of at most 64 characters, at most 256",
        text="""
            A script or a program can only use profiles that are declared here or in
            profiles_no_value. Names are RFC 3261 tokens of at most 64 characters; a name that
            stands twice, or in both lists, is refused. Sizes are kept for each value and for the
            whole profile, so that asking for one costs the same with ten calls and with
            100,000. New names can be added at run time; one that is taken out, or moved to the
            other list, stays as it is until a restart.
            """,
        example='profiles_with_value = "caller ; my_profile"',
    ),
    Entry(
        name="profiles_no_value",
        chapter="5.15",
        kind=_P,
        summary="profiles that a call is in or not",
        type='names with semicolons between them, "caller ; trunk", or a list of names, each an '
        "RFC 3261 token of at most 64 characters, at most 256",
        text="""
            As profiles_with_value, without values: one that a script passes all the same is
            dropped without a word.
            """,
        example='profiles_no_value = ["inbound", "outbound"]',
    ),
    Entry(
        name="bridge_controller",
        chapter="5.16",
        kind=_P,
        summary="who a bridged call comes from",
        type='a SIP URI without headers, such as "sip:controller@localhost"',
        text="""
            The From of the INVITE with which dlg_bridge calls the first party, and the
            Referred-By of the REFER that sends it on to the second. The party sees it as the
            caller, so choose a URI that its phone shows in a useful way.
            """,
        example='bridge_controller = "sip:desk@example.com"',
    ),
    Entry(
        name="initial_cbs_inscript",
        chapter="5.17",
        kind=_P,
        summary="when DLGCB_CREATED is told: within the script, or after it",
        type="true or false (or 1 or 0)",
        text="""
            With true the callbacks run within dlg_manage(), so that what they set (variables,
            profiles) is there on the next line of the script. With false they run when the
            script has returned. A call that dlg_flag tracks is made after the script in either
            case. In ims_dialog the parameter does nothing any more.
            """,
        example="initial_cbs_inscript = false",
    ),
)
