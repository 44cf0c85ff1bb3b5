"""`ponte training gate`: may the newly trained model go live?"""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from handoff.policy import HandoffPolicy
from kit.clock import SystemClock
from ponte.cli.app import example, fail, print_json, running_settings, with_database
from ponte.cli.training import training
from ponte.processes.plan import BOT_PYTHON
from ponte.processes.wiring import read_policy
from ponte.settings import ROOT, Process, SettingsError
from ticketing.db.engine import Database
from training.domain.gate import Baseline, BaselineError, Comparison, Read, compare
from training.domain.gate_report import comparison_lines, summary_lines
from training.gate_run import BASELINE, Gate, GateError, read_baseline, write_baseline
from training.services.gate_alerts import tell_refused


@training.command(epilog=example("ponte training gate\n  ponte training gate --accept-baseline"))
def gate(
    baseline: Annotated[
        Path, typer.Option(metavar="FILE", help="What to compare with.")
    ] = BASELINE,
    accept_baseline: Annotated[
        bool,
        typer.Option("--accept-baseline", help="When it passes, compare with this model from now."),
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Validate, train, play the stories, read the frozen sentences; refuse a regression."""
    policy = read_policy().policy
    baseline = ROOT / baseline
    work = Gate(ROOT, BOT_PYTHON, policy, say=_say)
    try:
        stored = read_baseline(baseline)
        reads = work.check_and_read()
    except (BaselineError, GateError) as error:
        fail(str(error))
    found = None
    if stored is not None:
        found = compare(stored.reads, reads, out_of_scope=policy.out_of_scope)
    _report(reads, found, policy, json_output=json_output)
    if found is not None and not found.passes:
        tell_admin(found, model=work.fingerprint()[0])
        raise typer.Exit(1)
    if accept_baseline:
        model, inputs = work.fingerprint()
        made_at = SystemClock().now().isoformat(timespec="seconds")
        write_baseline(
            baseline, Baseline(made_at, model, inputs, policy.version, reads), policy=policy
        )
        _say(f"the baseline is now this model: {baseline}")
    elif found is None:
        fail(f"{baseline}: there is no baseline yet; --accept-baseline makes this model the first")


def tell_admin(found: Comparison, *, model: str) -> None:
    """Tell the admin of the refusal where an installation runs; elsewhere the exit code says it."""
    try:
        settings = running_settings(Process.DATABASE_ONLY)
    except SettingsError:
        _say("no installation runs here: nobody is notified of the refusal")
        return

    async def tell(db: Database) -> bool:
        async with db.transaction() as session:
            return await tell_refused(
                session, model=model, problems=len(found.problems), now=SystemClock().now()
            )

    told = with_database(settings, tell)
    _say("the admin is notified" if told else "the admin was notified of this model before")


def _report(
    reads: tuple[Read, ...],
    found: Comparison | None,
    policy: HandoffPolicy,
    *,
    json_output: bool,
) -> None:
    if json_output:
        document = {"reads": [asdict(read) for read in reads], "comparison": None}
        if found is not None:
            document["comparison"] = {**asdict(found), "passes": found.passes}  # type: ignore[assignment]
        print_json(document)
        return
    print("the frozen sentences:")
    print("\n".join(summary_lines(reads, out_of_scope=policy.out_of_scope)))
    if found is not None:
        print("\nagainst the baseline:")
        print("\n".join(comparison_lines(found)))


def _say(text: str) -> None:
    print(f"[gate] {text}", file=sys.stderr, flush=True)
