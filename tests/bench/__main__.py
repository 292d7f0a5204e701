"""Prints the machine's calibration and every figure with its target."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from tests.bench import calibrate, churn, flood, hop, listing, lookup, storage
from tests.bench.report import Report


def main() -> int:
    """Run the benchmarks; 0 unless one could not run."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--quick", action="store_true", help="smaller runs, rougher figures")
    parser.add_argument(
        "only", nargs="*", help="hop, listing, lookup, storage (these by default), flood, churn"
    )
    options = parser.parse_args()
    chosen = options.only or ["hop", "listing", "lookup", "storage"]
    report = Report()
    calibrate.run(report)
    if shutil.which("sipp") is None and {"hop", "listing", "storage", "flood", "churn"} & set(
        chosen
    ):
        print("sipp is not installed: lookup alone can be measured", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="dlgmgmt-bench-") as folder:
        if "hop" in chosen:
            hop.run(report, Path(folder), calls=1000 if options.quick else 4000)
        if "listing" in chosen:
            listing.run(report, Path(folder), dialogs=2000 if options.quick else 10_000)
        if "storage" in chosen:
            storage.run(report, Path(folder), quick=options.quick)
        if "flood" in chosen:
            flood.run(report, Path(folder), seconds=10 if options.quick else 90)
        if "churn" in chosen:
            churn.run(report, Path(folder), seconds=30 if options.quick else 600)
    if "lookup" in chosen:
        lookup.run(report, large=20_000 if options.quick else 100_000)
    return 0


if __name__ == "__main__":
    sys.exit(main())
