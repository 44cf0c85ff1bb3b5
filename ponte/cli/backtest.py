"""`ponte handoff backtest`: what another policy would have decided on the stored turns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import orjson
import psycopg
import typer

from handoff.backtest_cost import Costs
from handoff.backtest_plot import sweep_svg
from handoff.backtest_report import report, text_report
from handoff.backtest_sweep import Sweep, SweepError, parse_sweep
from handoff.policy import HandoffPolicy
from handoff.policy_file import PolicyError, load_policy
from kit.clock import SystemClock
from kit.periods import FORMS, MomentError, read_moment
from ponte.cli import backtest_run
from ponte.cli.app import example, fail, print_json, running_settings
from ponte.cli.backtest_run import Bar, Task
from ponte.cli.handoff import handoff
from ponte.holiday_dates import holiday_dates
from ponte.processes.wiring import ROOT
from ponte.settings import Process
from ticketing.services import decision_history
from ticketing.services.decision_history import Wanted

_WRONG_USE = 2
_DEFAULTS = Costs()


@dataclass(frozen=True, slots=True)
class _Asked:
    """The command line, checked."""

    policy: HandoffPolicy
    wanted: Wanted
    costs: Costs
    sweep: Sweep | None
    limit_flips: int
    jobs: int


@handoff.command(
    epilog=example(
        "ponte handoff backtest --policy new.yml --since 30d --sweep confidence=0.3..0.8"
    )
)
def backtest(
    *,
    policy: Annotated[Path, typer.Option(help="The policy file to try.")] = ROOT / "handoff.yml",
    since: Annotated[str, typer.Option(help=f"From when: {FORMS}.")] = "30d",
    until: Annotated[str | None, typer.Option(help="Until when, same forms. None: now.")] = None,
    language: Annotated[str | None, typer.Option(help="Only turns in it, such as pt.")] = None,
    channel: Annotated[str | None, typer.Option(help="Only its turns, such as whatsapp.")] = None,
    limit_flips: Annotated[
        int, typer.Option(min=0, max=100_000, help="List so many conversations that flip.")
    ] = 20,
    cost_handoff: Annotated[
        float, typer.Option(min=0, help="Cost of a conversation with a person.")
    ] = _DEFAULTS.handoff,
    cost_wrong: Annotated[
        float, typer.Option(min=0, help="Cost of a wrong answer.")
    ] = _DEFAULTS.wrong,
    cost_clarify: Annotated[
        float, typer.Option(min=0, help="Cost of a question back.")
    ] = _DEFAULTS.clarify,
    cost_missed: Annotated[
        float, typer.Option(min=0, help="Cost of a needed handoff left out.")
    ] = _DEFAULTS.missed,
    sweep: Annotated[
        str | None,
        typer.Option(
            metavar="NAME=LOW..HIGH[:STEP]",
            help="Try a threshold at many values: confidence, margin (also confidence.pt), "
            "out_of_scope, small_talk, in_scope.",
        ),
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the sweep into this .svg file.")] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, max=64, help="Processes; None: one a core.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the JSON report into this file.")] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Decide the stored turns again under another policy, and compare with what was decided.

    Ends with 1 when the policy file is wrong, and with 2 when an option is.
    """
    settings = running_settings(Process.DATABASE_ONLY)
    tried = _policy(policy)
    _check_plot(plot, sweep)
    now = SystemClock(settings.clock_offset).now()
    asked = _Asked(
        policy=tried,
        wanted=Wanted(
            since=_moment("--since", since, now=now, policy=tried),
            until=now if until is None else _moment("--until", until, now=now, policy=tried),
            language=language,
            channel=channel,
        ),
        costs=Costs(cost_handoff, cost_wrong, cost_clarify, cost_missed),
        sweep=None if sweep is None else _sweep(sweep, tried),
        limit_flips=limit_flips,
        jobs=jobs or backtest_run.default_jobs(),
    )
    document = _run(asked, settings.database_url)
    if out is not None:
        _write(out, orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")
    if plot is not None and document["sweep"] is not None and document["turns"]:
        title = f"Sweep of {document['sweep']['name']}, {document['turns']:,} turns"
        _write(plot, sweep_svg(document["sweep"], title=title).encode())
    if json_output:
        print_json(document)
    elif not document["turns"] and not document["unreadable"]["turns"]:
        print(f"no decisions are stored {_period(asked.wanted)}: nothing to compare")
    else:
        print(text_report(document))


def _run(asked: _Asked, url: str) -> dict[str, Any]:
    try:
        with decision_history.connect(url) as connection:
            with decision_history.shared_view(connection) as view:
                turns = decision_history.count(connection, asked.wanted)
                task = Task(
                    url=url,
                    wanted=asked.wanted,
                    policy=asked.policy,
                    limit_flips=asked.limit_flips,
                    reviews=decision_history.reviews(connection, asked.wanted),
                    sweep=asked.sweep,
                )
                bar = Bar(turns)
                tally = backtest_run.run(
                    task, view=view, turns=turns, jobs=asked.jobs, progress=bar
                )
                bar.end()
            tickets = decision_history.ticket_numbers(
                connection, [flip.turn_id for flip in tally.flips]
            )
    except (psycopg.errors.UndefinedColumn, psycopg.errors.UndefinedTable) as error:
        fail(f"the database is not up to date ({_first_line(error)}): run `ponte migrate`")
    except psycopg.Error as error:
        fail(f"the database does not answer: {_first_line(error)}")
    return report(
        tally,
        asked.policy,
        asked.costs,
        period=_period_of(asked.wanted),
        filters={"language": asked.wanted.language, "channel": asked.wanted.channel},
        tickets=tickets,
    )


def _policy(path: Path) -> HandoffPolicy:
    try:
        return load_policy(path, holiday_dates=holiday_dates)
    except PolicyError as error:
        fail(f"the policy is wrong:\n{error}")


def _moment(name: str, text: str, *, now: datetime, policy: HandoffPolicy) -> datetime:
    zone = policy.calendar_of(policy.defaults.queue).time_zone
    try:
        return read_moment(text, now=now, zone=zone)
    except MomentError as error:
        fail(f"{name}: {error}", code=_WRONG_USE)


def _sweep(text: str, policy: HandoffPolicy) -> Sweep:
    try:
        return parse_sweep(text, policy)
    except SweepError as error:
        fail(f"--sweep: {error}", code=_WRONG_USE)


def _check_plot(plot: Path | None, sweep: str | None) -> None:
    if plot is None:
        return
    if sweep is None:
        fail("--plot: draws a sweep; expected --sweep NAME=LOW..HIGH too", code=_WRONG_USE)
    if plot.suffix.lower() != ".svg":
        fail(f"--plot: got {plot}; expected a file that ends in .svg", code=_WRONG_USE)


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        fail(f"{path}: cannot be written ({error.strerror or error})")


def _period_of(wanted: Wanted) -> Mapping[str, str | None]:
    return {
        name: None if moment is None else moment.isoformat()
        for name, moment in (("since", wanted.since), ("until", wanted.until))
    }


def _period(wanted: Wanted) -> str:
    period = _period_of(wanted)
    only = [
        f"{name} {value}" for name in ("language", "channel") if (value := getattr(wanted, name))
    ]
    limits = f"from {period['since']} to {period['until']}"
    return f"{limits} with {' and '.join(only)}" if only else limits


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
