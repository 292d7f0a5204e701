"""Rows of dialog_in with one identity (owner, hash_entry, hash_id): which of them may be believed.

Legs and variables name their dialog by that identity alone. So of two calls that share it, one is
loaded only where each leg says by its To URI whose it is: to hang up the wrong call is worse than
to miss one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple


class Claim(NamedTuple):
    """A row of dialog_in that is not alone with its identity; texts as they stand in the row."""

    id: int
    h_entry: int
    h_id: int
    callid: str | None
    from_tag: str | None
    to_uri: str | None


class Verdict(NamedTuple):
    """What becomes of such a row.

    fault: why it is skipped, "" if it is loaded. copy: it says nothing that another row does not
    say. copies: rows of the same call, which leave the
    database with it. rivals: whether other calls share its identity; theirs is what does not bear
    ``to_uri``, and nobody's what ``others`` hold as well.
    """

    fault: str = ""
    copy: bool = False
    copies: tuple[int, ...] = ()
    rivals: bool = False
    to_uri: str | None = None
    others: frozenset[str | None] = frozenset()

    def is_own(self, to_uri: str | None) -> bool | None:
        """Whether a leg with this To URI is the row's; None if that cannot be told."""
        if to_uri is None or self.to_uri is None or None in self.others:
            return None
        mine, theirs = to_uri == self.to_uri, to_uri in self.others
        return None if mine == theirs else mine


def judge(claims: Iterable[Claim], hash_of: Callable[[str], int]) -> dict[int, Verdict]:
    """The verdict for each row, by its id. hash_of: the entry that a Call-ID belongs to."""
    groups: dict[tuple[int, int], list[Claim]] = {}
    for claim in claims:
        groups.setdefault((claim.h_entry, claim.h_id), []).append(claim)
    verdicts: dict[int, Verdict] = {}
    for group in groups.values():
        verdicts |= _judge(sorted(group), hash_of)
    return verdicts


def _judge(group: Sequence[Claim], hash_of: Callable[[str], int]) -> dict[int, Verdict]:
    """Of rows with one identity, by ascending id."""
    calls: dict[tuple[str | None, str | None], list[Claim]] = {}
    for claim in group:
        calls.setdefault((claim.callid, claim.from_tag), []).append(claim)
    firsts = [rows[0] for rows in calls.values()]
    there = [c for c in firsts if c.callid is not None and hash_of(c.callid) == c.h_entry]
    kept = firsts[0] if len(firsts) == 1 else there[0] if len(there) == 1 else None
    verdicts: dict[int, Verdict] = {}
    for rows in calls.values():
        first, *copies = rows
        for copy in copies:
            verdicts[copy.id] = Verdict(f"the same call as row {first.id}", copy=True)
        if first is kept:
            verdicts[first.id] = Verdict(
                copies=tuple(copy.id for copy in copies),
                rivals=len(firsts) > 1,
                to_uri=first.to_uri,
                others=frozenset(other.to_uri for other in firsts if other is not first),
            )
        else:
            other = next(other for other in firsts if other is not first)
            verdicts[first.id] = Verdict(
                f"its hash_entry:hash_id {first.h_entry}:{first.h_id} is also that of row"
                f" {other.id}, another call"
            )
    return verdicts
