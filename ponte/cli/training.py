"""`ponte training ...`: candidates for new examples, what the marks say, and the gate."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from handoff.policy import HandoffPolicy
from kit.clock import SystemClock
from ponte.cli.app import app, example, fail, print_json, running_settings, with_database
from ponte.processes.wiring import read_policy
from ponte.settings import ROOT, Process
from ticketing.db.engine import Database
from ticketing.domain.enums import UnknownValueError
from ticketing.domain.review import CandidateState
from training.domain.rates import Metrics, Rate, Rates
from training.nlu_files import ExampleRefusedError, NluFiles, TrainingDataError
from training.services import candidates, review_metrics
from training.services.candidate_book import CandidateBook
from training.services.candidates import CandidateView, InboxFilter
from training.services.collect import Collected
from training.services.collect import collect as collect_candidates

training = typer.Typer(
    help="From reviewed conversations to better training data.", no_args_is_help=True
)
app.add_typer(training, name="training")

_JSON = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
_IDS = Annotated[
    list[str], typer.Argument(metavar="ID...", help="Candidates, or the 8 letters of a group.")
]
_Result = TypeVar("_Result")
_REFUSALS = (
    candidates.CandidateNotFoundError,
    candidates.CandidateDecidedError,
    ExampleRefusedError,
    UnknownValueError,
    TrainingDataError,
)
_BY = "cli"


def _work(work: Callable[[Database, datetime], Awaitable[_Result]]) -> _Result:
    settings = running_settings(Process.DATABASE_ONLY)
    now = SystemClock(settings.clock_offset).now()
    return with_database(settings, lambda database: work(database, now))


def _policy() -> HandoffPolicy:
    return read_policy().policy


@training.command(epilog=example("ponte training collect"))
def collect(json_output: _JSON = False) -> None:
    """Look at new decisions and marks for sentences worth learning."""

    async def work(database: Database, now: datetime) -> Collected:
        return await collect_candidates(database, _book(), now=now)

    done = _work(work)
    if json_output:
        print_json({"looked_at": done.looked_at, "results": dict(done.results)})
        return
    parts = ", ".join(f"{count} {name}" for name, count in sorted(done.results.items()))
    print(f"{done.looked_at} turns looked at: {parts or 'nothing new'}")


@training.command(
    epilog=example("ponte training inbox --language pt\n  ponte training inbox --intent refund")
)
def inbox(  # noqa: PLR0917 - typer reads options from the parameters
    language: Annotated[str | None, typer.Option(help="Only this language: pt, en, es.")] = None,
    intent: Annotated[str | None, typer.Option(help="Only this suggested intent.")] = None,
    group: Annotated[str | None, typer.Option(help="Only this group.")] = None,
    state: Annotated[CandidateState, typer.Option(help="Undecided ones, or others.")] = (
        CandidateState.NEW
    ),
    limit: Annotated[int, typer.Option(min=1, max=candidates.MOST, help="At most so many.")] = 100,
    json_output: _JSON = False,
) -> None:
    """List candidates, alike ones together. Collects new ones first."""
    wanted = InboxFilter(language, intent, group, state, limit)

    async def work(database: Database, now: datetime) -> tuple[CandidateView, ...]:
        await collect_candidates(database, _book(), now=now)
        async with database.transaction() as session:
            return await candidates.inbox(session, wanted)

    found = _work(work)
    if json_output:
        print_json([asdict(item) for item in found])
        return
    if not found:
        print("nothing here")
    group_key = ""
    for item in found:
        if item.group_key != group_key:
            group_key = item.group_key
            print(f"\n== {item.language} group {group_key}")
        print(f"{item.id}  {item.text}")
        print(f"    {_why(item)}")


def _why(item: CandidateView) -> str:
    seen = "" if item.sightings == 1 else f", said {item.sightings} times"
    near = ""
    if item.nearest_intent is not None and item.similarity is not None:
        near = f", like an example of {item.nearest_intent} ({item.similarity:.2f})"
    sure = "" if item.confidence is None else f", model {item.confidence:.2f}"
    return f"{item.suggested_intent or 'no suggestion'} by {item.source}{sure}{near}{seen}"


@training.command(
    epilog=example(
        "ponte training accept 019f2c3a-7d10-7c11-8a53-0242ac120002 --intent refund\n"
        "  ponte training accept 1f9a03bc --intent refund   (a whole group)\n"
        '  ponte training accept 019f2c3a-... --intent refund --text "quero meu dinheiro de volta"'
    )
)
def accept(
    ids: _IDS,
    intent: Annotated[
        str | None, typer.Option(help="What it means; without: the suggested intent.")
    ] = None,
    text: Annotated[
        str | None, typer.Option(help="Other words for it; only with one candidate.")
    ] = None,
    json_output: _JSON = False,
) -> None:
    """Write candidates into data/nlu as examples of an intent."""
    if text is not None and len(ids) != 1:
        fail("--text: expected one candidate", code=2)
    policy, files = _policy(), NluFiles(ROOT)

    async def work(
        database: Database, now: datetime
    ) -> tuple[list[candidates.Accepted], list[str]]:
        done: list[candidates.Accepted] = []
        refused: list[str] = []
        async with database.transaction() as session:
            chosen = await candidates.members(session, ids)
        if text is not None and len(chosen) != 1:
            fail("--text: expected one candidate, not a group", code=2)
        for candidate_id in chosen:
            try:
                done.append(
                    await candidates.accept(
                        database, files, candidate_id,
                        intent=intent, text=text, policy=policy, by=_BY, now=now,
                    )
                )  # fmt: skip
            except (ExampleRefusedError, candidates.CandidateDecidedError) as error:
                refused.append(f"{candidate_id}: {error}")
        return done, refused

    done, refused = _refusing(lambda: _work(work))
    if json_output:
        print_json({"accepted": [asdict(item) for item in done], "refused": refused})
    else:
        for item in done:
            said = "added to" if item.added else "stood already in"
            print(f"{said} {item.path} as {item.candidate.intent}: {item.line}")
        if any(item.added for item in done):
            print("next: ponte training gate")
    if refused:
        fail("\nponte: ".join(refused))


@training.command(epilog=example("ponte training reject 1f9a03bc --reason 'not for us'"))
def reject(
    ids: _IDS,
    reason: Annotated[str | None, typer.Option(help="Why, for whoever asks later.")] = None,
    json_output: _JSON = False,
) -> None:
    """Put candidates away; their sentences do not come back."""

    async def work(database: Database, now: datetime) -> list[CandidateView]:
        async with database.transaction() as session:
            chosen = await candidates.members(session, ids)
        return [
            await candidates.reject(database, item, reason=reason, by=_BY, now=now)
            for item in chosen
        ]

    done = _refusing(lambda: _work(work))
    if json_output:
        print_json([asdict(item) for item in done])
        return
    for item in done:
        print(f"rejected {item.id}: {item.text}")


@training.command(epilog=example("ponte training metrics --since 2026-03-01"))
def metrics(
    since: Annotated[
        str | None, typer.Option(metavar="DATE", help="Only marks since this day (UTC).")
    ] = None,
    json_output: _JSON = False,
) -> None:
    """Over-handoff and under-handoff rates out of agents' marks, with 95 % intervals."""
    start = None if since is None else _day(since)

    async def work(database: Database, _now: datetime) -> Metrics:
        async with database.transaction() as session:
            return await review_metrics.review_metrics(session, since=start)

    found = _work(work)
    if json_output:
        print_json({**asdict(found), "note": review_metrics.SAMPLING_NOTE})
        return
    print(f"{found.marks} marks on {found.turns} turns; agents disagree on {found.disagreements}\n")
    _print_rates("all", found.total)
    for title, groups in (
        ("reason", found.by_reason),
        ("intent", found.by_intent),
        ("language", found.by_language),
    ):
        for name, rates in groups.items():
            _print_rates(f"{title} {name}", rates)
    print(f"\n{review_metrics.SAMPLING_NOTE}")


def _print_rates(title: str, rates: Rates) -> None:
    named = {
        "needless": rates.over_handoff,
        "late": rates.late_handoff,
        "missed": rates.under_handoff,
    }
    shown = "; ".join(f"{name} {_rate(rate)}" for name, rate in named.items() if rate.reviewed)
    print(f"{title:30} {shown or 'nothing reviewed'}")


def _rate(rate: Rate) -> str:
    if rate.share is None or rate.low is None or rate.high is None:
        return "-"
    return f"{rate.found}/{rate.reviewed} = {rate.share:.1%} ({rate.low:.1%} to {rate.high:.1%})"


def _day(text: str) -> datetime:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        fail(f"--since: expected a date such as 2026-03-01, got {text!r}", code=2)
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _book() -> CandidateBook:
    try:
        return CandidateBook.of(NluFiles(Path(ROOT)))
    except TrainingDataError as error:
        fail(str(error))


def _refusing(work: Callable[[], _Result]) -> _Result:
    try:
        return work()
    except _REFUSALS as error:
        fail(str(error))
