"""``python -m dlgmgmt`` is the dlgmgmt program."""

from __future__ import annotations

import sys

from dlgmgmt.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
