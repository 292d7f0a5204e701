"""The parameters of [database]."""

from __future__ import annotations

from dlgmgmt.manual.entry import Entry, Kind

_P = Kind.PARAMETER

DATABASE_PARAMETERS = (
    Entry(
        name="db_commit_interval",
        chapter="5+",
        kind=_P,
        summary="seconds until a change is durable with db_mode 1, in [database]",
        type="seconds, a number from 0.001 to 10",
        text="""
            Changes of all calls that come within it share one transaction, so a longer time
            costs less and loses more in a crash. A database whose commits take longer makes
            it longer: /health and dlg.db_status tell how long the oldest change has waited.
            """,
        example="db_commit_interval = 0.1",
    ),
    Entry(
        name="db_sync_confirm",
        chapter="5+",
        kind=_P,
        summary="whether the caller's 2xx waits until its call is durable, in [database]",
        type="true or false (or 1 or 0)",
        text="""
            With true no call that a caller knows to be answered is lost in a crash. The answer
            comes later by a commit, db_sync_timeout at most: then it goes out all the same and
            is counted as unsynced, as it does while the database is away. Only with db_mode 1.
            Read at the start.
            """,
        example="db_sync_confirm = 1",
    ),
    Entry(
        name="db_sync_timeout",
        chapter="5+",
        kind=_P,
        summary="seconds that db_sync_confirm holds an answer back at most, in [database]",
        type="seconds, a number from 0.01 to 60",
        text="""
            It must be above db_commit_interval. The callee repeats its 2xx meanwhile, which is
            absorbed, for 32 s at most (64*T1): with db_sync_confirm more is refused, and so is
            what is not below noack_timeout, for the call would be over before it is answered.
            """,
        example="db_sync_timeout = 0.5",
    ),
    Entry(
        name="owner",
        chapter="5+",
        kind=_P,
        summary="the name of this daemon in the database, in [database]",
        type="an RFC 3261 token of at most 64 characters: letters, digits, -.!%*_+`'~",
        text="""
            Each daemon reads and writes the rows with its own name and no others, so several
            may share a database. Two with the same name may not: the second one does not start.
            dlg.db_adopt takes over the calls of one that is gone. Rows that ims_dialog wrote
            have no owner, and belong to the daemon that loads them first. Read at the start.
            """,
        example='owner = "proxy-1"',
    ),
    Entry(
        name="on_expired",
        chapter="5+",
        kind=_P,
        summary="what becomes of calls whose timeout passed while nothing ran, in [database]",
        type='"bye" or "purge"',
        text="""
            bye: they are loaded and ended as at their timeout: both sides are sent a BYE, and
            they count as expired. purge: their rows are removed, and nobody is told.
            Read at the start.
            """,
        example='on_expired = "purge"',
    ),
    Entry(
        name="expired_rate",
        chapter="5+",
        kind=_P,
        summary="calls a second that on_expired hangs up, in [database]",
        type="an integer from 1 to 100000",
        text="""
            After a long pause many calls may have passed their timeout; their BYEs are spread
            over time, so that new calls do not suffer. Read at the start.
            """,
        example="expired_rate = 20",
    ),
    Entry(
        name="while_loading",
        chapter="5+",
        kind=_P,
        summary="what becomes of requests while calls are loaded, in [database]",
        type='"refuse" or "forward"',
        text="""
            New calls are answered 503 with Retry-After until all are loaded. So is, with refuse,
            a request within a call that is not known yet, except an ACK and a BYE: no phone says
            these twice, so they are forwarded, and told to the call when it is there. With
            forward all requests that have a Route pass like that. Read at the start.
            """,
        example='while_loading = "forward"',
    ),
    Entry(
        name="connect_timeout",
        chapter="5+",
        kind=_P,
        summary="seconds that the start tries to reach the database, in [database]",
        type="seconds, a number from 0 to 3600",
        text="""
            Then the daemon ends with exit code 1 and one line that says why: without its calls
            it would be of no use to them. A database that goes away later ends nothing.
            Read at the start.
            """,
        example="connect_timeout = 300",
    ),
    Entry(
        name="stop_timeout",
        chapter="5+",
        kind=_P,
        summary="seconds that the end may take for what waits to be written, in [database]",
        type="seconds, a number from 0.1 to 3600",
        text="""
            After it, what could not be written goes into a file in rescue_dir. Whoever stops
            the daemon should wait for longer (TimeoutStopSec of systemd: 90 s).
            """,
        example="stop_timeout = 60",
    ),
    Entry(
        name="retry_max",
        chapter="5+",
        kind=_P,
        summary="longest pause between two tries while the database is away, in [database]",
        type="seconds, a number from 0.05 to 600",
        text="""
            The pauses grow from a tenth of a second to this. Calls go on meanwhile, and their
            changes are kept, once for each call, in memory. Read at the start.
            """,
        example="retry_max = 1",
    ),
    Entry(
        name="synchronous",
        chapter="5+",
        kind=_P,
        summary="whether a SQLite file outlives a power failure, in [database]",
        type='"full" or "normal"',
        text="""
            full: what was committed is on the disk. normal: a crash of the machine, not one of
            the daemon, may take the last commits; they cost less. Other databases have settings
            of their own for this. Read at the start.
            """,
        example='synchronous = "normal"',
    ),
    Entry(
        name="upgrade",
        chapter="5+",
        kind=_P,
        summary="whether the start makes and extends the tables, in [database]",
        type="true or false (or 1 or 0)",
        text="""
            With false the daemon does not start on tables that are not those of its version,
            and dlgmgmt db upgrade makes them so. Those of ims_dialog get further columns, and
            can still be used by it. Read at the start.
            """,
        example="upgrade = false",
    ),
    Entry(
        name="rescue_dir",
        chapter="5+",
        kind=_P,
        summary="directory for what could not be written at the end, in [database]",
        type='an absolute path without ".."',
        text="""
            The state directory unless set. The log names the file, whose lines of JSON
            dlgmgmt db restore writes into the database. Read at the start.
            """,
        example='rescue_dir = "/var/lib/dlgmgmt"',
    ),
    Entry(
        name="late_after",
        chapter="5+",
        kind=_P,
        summary="seconds after which a change that waits is a fault, in [database]",
        type="seconds, a number from 0.1 to 86400",
        text="""
            With db_mode 2 they begin at the end of db_update_period. /health then answers 503,
            and dlg.db_status says late, until all is written.
            """,
        example="late_after = 30",
    ),
    Entry(
        name="answer_timeout",
        chapter="5+",
        kind=_P,
        summary="seconds of silence after which a database is given up, in [database]",
        type="seconds, a number from 0.1 to 600",
        text="""
            A server that is stopped, or behind a broken line, does not close its connections.
            After this time the connection is dropped and made anew. Read at the start.
            """,
        example="answer_timeout = 2",
    ),
)
