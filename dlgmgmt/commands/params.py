"""Parameters that several commands have."""

from __future__ import annotations

from dlgmgmt.commands.registry import Param

CALLID = Param("callid", "string", "Call-ID of the dialog", aliases=("call-id", "call_id"))
FROM_TAG = Param("from_tag", "string", "tag of the caller", aliases=("ftag", "fromtag"))
TO_TAG = Param("to_tag", "string", "tag of the callee", aliases=("ttag", "totag"))
HEADERS = Param(
    "headers",
    "string",
    "header lines to add to every request that this sends",
    required=False,
    aliases=("hdrs", "extra_headers"),
)
ANY_CALLID = Param(
    "callid",
    "string",
    "Call-ID of the dialogs wanted; all dialogs without it",
    required=False,
    aliases=CALLID.aliases,
)
ANY_FROM_TAG = Param(
    "from_tag",
    "string",
    "tag of the caller; any without it",
    required=False,
    aliases=FROM_TAG.aliases,
)
