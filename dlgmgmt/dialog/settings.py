"""Parameters of the dialog core, under the names of the ims_dialog manual, chapter 5."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, frozen=True)
class DialogSettings:
    """What an operator can set in ``[ims_dialog]``. Times are in seconds.

    enable_stats: whether the statistics groups dialog and dialog_ng are exported; counting goes
        on without them (manual 5.1).
    hash_size: entries of the dialog table, a power of two (manual 5.2).
    rr_param: name of the Record-Route parameter that carries the dialog id (manual 5.3).
    dlg_flag: script flag, 0 to 31, that makes a relayed INVITE a dialog; None for none
        (manual 5.4).
    timeout_avp: the AVP that holds a call's own timeout, None for none (manual 5.5).
    default_timeout: lifetime of a confirmed dialog (manual 5.6).
    dlg_extra_hdrs: complete header lines, each ending in CRLF, added to requests that the
        daemon makes itself; empty for none (manual 5.7).
    dlg_match_mode: 0 to 2, deprecated and without effect (manual 5.8).
    detect_spirals: whether an INVITE of a known call joins its dialog (manual 5.9).
    db_url: the database, None for a file of the daemon's own (manual 5.10).
    db_mode: when dialogs are written: 0 never, 1 at once, 2 from time to time, 3 at the end
        (manual 5.11). db_update_period: seconds between two writings of mode 2 (manual 5.12).
        db_fetch_rows: rows that are read at a time, 0 for all at once (manual 5.13).
    profiles_with_value, profiles_no_value: names of the profiles (manual 5.14, 5.15).
    bridge_controller: SIP URI that bridged calls come from (manual 5.16).
    initial_cbs_inscript: whether DLGCB_CREATED is told within the script or after it
        (manual 5.17).
    ruri_pvar: the pseudo-variable that gives a dialog its req_uri. It and what follows are not in
        the manual's chapter.
    send_bye: whether both sides are sent a BYE at the dialog's timeout; if not, only those of
        dialogs that ask for it.
    early_timeout: how long an unanswered dialog may live.
    noack_timeout: how long an answered leg may wait for its ACK.
    end_timeout: how long a deleted dialog is kept for its transactions at most.
    timeout_noreset: whether sequential requests leave the timeout alone.
    session_timers: whether a call ends when the session timer that its parties agreed on (RFC 4028)
        has run out and neither of them has refreshed it.
    ka_timer: time between two looks for dialogs that are due for a keep-alive; 0 for none.
    ka_interval: time between two keep-alives to one side.
    ka_failed_limit: failures in a row that end the call.
    ka_sides: "none", "caller", "callee" or "both": who is sent them on every dialog.
    max_dialogs: dialogs kept at most; a further initial INVITE is answered 503.
    """

    enable_stats: bool = True
    hash_size: int = 4096
    rr_param: str = "did"
    dlg_flag: int | None = None
    timeout_avp: str | None = None
    default_timeout: int = 43200
    dlg_extra_hdrs: str = ""
    dlg_match_mode: int = 0
    detect_spirals: bool = True
    db_url: str | None = None
    db_mode: int = 0
    db_update_period: int = 60
    db_fetch_rows: int = 200
    profiles_with_value: tuple[str, ...] = ()
    profiles_no_value: tuple[str, ...] = ()
    bridge_controller: str = "sip:controller@localhost"
    initial_cbs_inscript: bool = True
    ruri_pvar: str = "$ru"
    send_bye: bool = True
    early_timeout: int = 300
    noack_timeout: int = 60
    end_timeout: int = 300
    timeout_noreset: bool = False
    session_timers: bool = True
    ka_timer: int = 30
    ka_interval: int = 30
    ka_failed_limit: int = 1
    ka_sides: str = "none"
    max_dialogs: int = 500_000
