"""`ponte quality check|sample|report`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from kit.clock import SystemClock
from ponte.cli.app import app, example, fail, print_json, running_settings, with_database
from ponte.settings import ROOT, Process
from ticketing.db.engine import Database
from ticketing.domain.quality_estimates import Estimate
from ticketing.domain.quality_file import QualityPlan, QualityPlanError, parse_plan
from ticketing.domain.quality_period import PeriodError
from ticketing.gateways.content_files import UnreadableFileError, read_text
from ticketing.services.quality_draw import DrawnPeriod, PeriodNotOverError, QualityDraw
from ticketing.services.quality_report import (
    By,
    QualityReport,
    UnknownPeriodError,
    quality_report,
)

quality = typer.Typer(help="Reviews of tickets (quality.yml).", no_args_is_help=True)
app.add_typer(quality, name="quality")

_JSON = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
_FILE = Annotated[Path, typer.Option("--plan", help="The plan; the project's own by default.")]


@quality.command(epilog=example("ponte quality check"))
def check(plan: _FILE = ROOT / "quality.yml", json_output: _JSON = False) -> None:
    """Name every mistake of the plan with line and field; exit code 1 when there is one."""
    try:
        read = parse_plan(read_text(plan), filename=plan.name)
    except (QualityPlanError, UnreadableFileError) as error:
        if json_output:
            print_json({"ok": False, "problems": str(error).splitlines()})
        else:
            print(error, file=sys.stderr)
        raise typer.Exit(1) from error
    if json_output:
        print_json({"ok": True, "version": read.version, "problems": []})
    else:
        criteria = len(read.scorecard.criteria)
        print(f"{plan.name}: ok (version {read.version}; {len(read.strata)} strata, ", end="")
        print(f"{criteria} criteria)")


@quality.command(epilog=example("ponte quality sample --period 2026-W11"))
def sample(
    period: Annotated[
        str | None, typer.Option(help="ISO week; the last one that is over by default.")
    ] = None,
    plan: _FILE = ROOT / "quality.yml",
    json_output: _JSON = False,
) -> None:
    """Draw the tickets of a week for review. A week that was drawn before stays as it is."""
    settings = running_settings(Process.DATABASE_ONLY)
    read = _plan(plan)
    clock = SystemClock(settings.clock_offset)

    async def work(database: Database) -> DrawnPeriod:
        return await QualityDraw(database, clock, lambda: read).draw(period)

    try:
        drawn = with_database(settings, work)
    except PeriodError as error:
        fail(str(error), code=2)
    except PeriodNotOverError as error:
        fail(str(error))
    if json_output:
        print_json(asdict(drawn))
        return
    what = "drawn before" if drawn.repeated else "drawn"
    print(f"{drawn.period}: {what}; {drawn.sampled} tickets, {drawn.second} for two reviewers")
    for item in drawn.strata:
        print(f"  {item.stratum}\t{item.sampled} of {item.population}")
    print(f"seed: {drawn.seed}")


@quality.command(epilog=example("ponte quality report --period 2026-W10 --period 2026-W11"))
def report(
    period: Annotated[
        list[str] | None, typer.Option(help="ISO week; may be repeated. None: the newest.")
    ] = None,
    by: Annotated[By, typer.Option(help="Whose averages.")] = By.AGENT,
    plan: _FILE = ROOT / "quality.yml",
    json_output: _JSON = False,
) -> None:
    """Print weighted average scores with their intervals, and how reviewers agree."""
    settings = running_settings(Process.DATABASE_ONLY)
    read = _plan(plan)

    async def work(database: Database) -> QualityReport:
        async with database.transaction() as session:
            return await quality_report(session, plan=read, by=by, periods=tuple(period or ()))

    try:
        found = with_database(settings, work)
    except UnknownPeriodError as error:
        fail(str(error))
    if json_output:
        print_json(asdict(found))
        return
    _print_report(found, print)


def _plan(path: Path) -> QualityPlan:
    try:
        return parse_plan(read_text(path), filename=path.name)
    except (QualityPlanError, UnreadableFileError) as error:
        fail(str(error))


def _print_report(report: QualityReport, say: Callable[[str], None]) -> None:
    weeks = ", ".join(report.periods) or "no week was drawn yet"
    say(f"{weeks}: {report.population} tickets, {report.sampled} sampled, {report.judged} judged")
    say(f"all\t{_shown(report.overall)}")
    for group in report.groups:
        say(f"{group.name or '-'}\t{_shown(group.estimate)}")
    say(f"two reviewers: {report.second_done} of {report.second_wanted}")
    for item in report.agreement:
        kappa = item.agreement.kappa
        shown = (
            f"kappa {kappa:.2f}" if kappa is not None else f"no kappa ({item.agreement.refused})"
        )
        say(f"  {item.criterion}\t{shown}\tn={item.agreement.n}")
    say(report.note)


def _shown(estimate: Estimate) -> str:
    size = f"n={estimate.n}, effective {estimate.effective_n:.1f}"
    if estimate.value is None:
        return f"no average: {estimate.refused} ({size})"
    interval = "no interval"
    if estimate.low is not None and estimate.high is not None:
        interval = f"{estimate.low:.1f} to {estimate.high:.1f}"
    notes = f"; {', '.join(estimate.notes)}" if estimate.notes else ""
    return f"{estimate.value:.1f} ({interval}; {size}{notes})"
