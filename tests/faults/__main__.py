"""`make faults`: every scenario, the worst of its runs, and the table of docs/reliability.md.

    python -m tests.faults [--short] [--runs N] [--only F1,ALL] [--no-write]

The exit code is 1 when a rule of a scenario is broken.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence

from kit.clock import SystemClock
from tests.faults.lab import ROOT, Lab
from tests.faults.measured import Measured, put_into, table, worst
from tests.faults.run import DISK_MB, SCENARIOS, measure
from tests.faults.sizes import LONG, SHORT, Sizes

ON_OWN_DISK = {"F20a"}
DOCUMENT = ROOT / "docs" / "reliability.md"
RUNS = 10


def main(arguments: Sequence[str]) -> int:
    """Run, print, write; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--short", action="store_true", help="the small numbers of the builds")
    parser.add_argument("--runs", type=int, default=None, help=f"of each; default {RUNS}")
    parser.add_argument("--only", default="", help="ids, with commas")
    parser.add_argument("--no-write", action="store_true", help="leave the document alone")
    told = parser.parse_args(arguments)
    sizes = SHORT if told.short else LONG
    runs = told.runs or (1 if told.short else RUNS)
    wanted = told.only.split(",") if told.only else list(SCENARIOS)
    unknown = [name for name in wanted if name not in SCENARIOS]
    if unknown:
        parser.error(f"--only: {', '.join(unknown)}: expected some of {', '.join(SCENARIOS)}")
    results = [_worst_of(name, sizes, runs) for name in wanted]
    text = table(results)
    print(text)  # noqa: T201 - what the command is for
    if not told.no_write:
        _write(text, arguments, runs, sizes)
    return 0 if all(result.passed for result in results) else 1


def _worst_of(name: str, sizes: Sizes, runs: int) -> Measured:
    """Each run in a house of its own: nothing of one is left for the next."""
    found = []
    for _ in range(runs):
        with Lab(own_disk_mb=DISK_MB if name in ON_OWN_DISK else 0) as lab:
            try:
                found.append(measure(lab, sizes, SCENARIOS[name]))
            except Exception as error:  # noqa: BLE001 - it counts as failed, others go on
                traceback.print_exc()
                broken = Measured(name, "")
                broken.must("the scenario ends", passed=False, seen=type(error).__name__)
                found.append(broken)
        if found[-1].skipped:
            break
    result = worst(found)
    if runs > 1 and not result.skipped:
        passed = sum(run.passed for run in found)
        result.notes.append(f"{passed} of {runs} runs passed")
        result.fault = f"{result.fault} ({passed}/{runs} runs)"
    return result


def _write(text: str, arguments: Sequence[str], runs: int, sizes: Sizes) -> None:
    day = SystemClock().now().date().isoformat()
    command = " ".join(["python -m tests.faults", *arguments])
    form = "long" if sizes.long else "short"
    head = (
        f"{day}, `{command}`, {form} form, the worst of {runs} run(s) each, "
        f"{os.cpu_count()} processors.\n\n"
    )
    document = DOCUMENT.read_text(encoding="utf-8")
    DOCUMENT.write_text(put_into(document, head + text), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
