"""Parameters of the dialog core, under the names of the ims_dialog manual, chapter 5."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, frozen=True)
class DialogSettings:
    """What an operator can set in ``[ims_dialog]``.

    hash_size: entries of the dialog table, a power of two (manual 5.2).
    rr_param: name of the Record-Route parameter that carries the dialog id (manual 5.3).
    default_timeout: lifetime of a confirmed dialog in seconds (manual 5.6).
    dlg_extra_hdrs: complete header lines, each ending in CRLF, added to requests that the
        daemon makes itself; empty for none (manual 5.7).
    detect_spirals: whether an INVITE of a known call joins its dialog (manual 5.9).
    noack_timeout: seconds after which an answered leg whose ACK never came is ended, once the
        other legs of its dialog are gone.
    max_dialogs: dialogs kept at most; a further initial INVITE is answered 503.
    """

    hash_size: int = 4096
    rr_param: str = "did"
    default_timeout: int = 43200
    dlg_extra_hdrs: str = ""
    detect_spirals: bool = True
    noack_timeout: int = 60
    max_dialogs: int = 500_000
