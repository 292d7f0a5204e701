"""Exit codes of dlgctl, for scripts."""

from __future__ import annotations

OK = 0
FAILED = 1  # the daemon was not reached, or did not answer as it should
USAGE = 2  # argparse's own
NOT_FOUND = 3
AMBIGUOUS = 4  # several dialogs match: listed, none killed
NOT_CONFIRMED = 5
INTERRUPTED = 130  # as shells say it of SIGINT
