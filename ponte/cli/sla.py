"""`ponte sla sweep|explain`: the SLA monitor by hand, and a ticket's clocks in words."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer
from sqlalchemy import select

from kit.clock import SystemClock
from kit.periods import FORMS, MomentError, read_moment
from ponte.cli.app import app, example, fail, print_json, running_settings, with_database
from ponte.settings import Process, Settings
from ticketing.db.engine import Database
from ticketing.db.tables import Ticket
from ticketing.domain.sla.clocks import Clock
from ticketing.domain.sla.explain import explain as explain_clock
from ticketing.services.sla_follow import clocks_of
from ticketing.services.sla_periods import load_timeline
from ticketing.services.sla_preview import ClockPreview, Preview, preview
from ticketing.services.sla_rules import SlaRulesHolder, use_rules
from ticketing.services.sla_sweep import SlaSweep, Swept
from ticketing.services.sla_views import AlertView, alert_views

sla = typer.Typer(
    help="Service levels: what was promised, and who is warned.", no_args_is_help=True
)
app.add_typer(sla, name="sla")

_WRONG_USE = 2
_BEHIND = 3  # a monitor that runs has looked at least once in so many intervals

_JSON = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
_AT = Annotated[str | None, typer.Option(metavar="TIME", help=f"As of then: {FORMS}.")]


@sla.command(epilog=example("ponte sla sweep --dry-run"))
def sweep(
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Explain what is due and write nothing.")
    ] = False,
    at: _AT = None,
    limit: Annotated[
        int, typer.Option(min=1, max=100_000, help="Explain so many due clocks (dry run).")
    ] = 100,
    upcoming: Annotated[
        int, typer.Option(min=0, max=10_000, help="Show so many of the next ones (dry run).")
    ] = 10,
    json_output: _JSON = False,
) -> None:
    """Look at the SLA clocks once, as the monitor in `ponte scheduler` does all the time.

    Ends with 1 when an alert could not be stored, or (dry run) when clocks wait for longer than a
    running monitor lets them.
    """
    settings = running_settings(Process.DATABASE_ONLY)
    present = SystemClock(settings.clock_offset).now()
    now = present if at is None else _moment(at, now=present)
    if not dry_run and now > present:
        fail("--at: that is in the future; expected --dry-run with it", code=_WRONG_USE)
    if dry_run:
        found = with_database(settings, lambda db: _preview(db, settings, now, limit, upcoming))
        behind = at is None and _is_behind(found, settings)
        if json_output:
            print_json({**asdict(found), "behind": behind})
        else:
            _print_preview(found, settings)
        if behind:
            seconds = found.due[0].waiting_seconds
            fail(f"a clock is due for {_amount(seconds)}: is `ponte scheduler` running?")
        return
    done = with_database(settings, lambda db: _sweep(db, settings, now))
    if json_output:
        print_json({"at": now, **asdict(done)})
    else:
        print(
            f"{done.breaches} breached, {done.warnings} warned; {done.told} messages told, "
            f"{done.silenced} alerts stored in silence"
        )
    if done.busy and not json_output:
        print(f"{done.busy} tickets were being worked on: the next sweep looks at them")
    if done.failed:
        fail(f"{done.failed} tickets could not be told: see the log, the next sweep tries again")


@sla.command(epilog=example("ponte sla explain 1042"))
def explain(
    ticket: Annotated[int, typer.Argument(metavar="TICKET_NUMBER", min=1, help="Its number.")],
    at: _AT = None,
    json_output: _JSON = False,
) -> None:
    """Every clock of a ticket: what was promised, each stretch that counts, and what was told."""
    settings = running_settings(Process.DATABASE_ONLY)
    present = SystemClock(settings.clock_offset).now()
    now = present if at is None else _moment(at, now=present)
    found = with_database(settings, lambda db: _explained(db, ticket, now))
    if found is None:
        fail(f"there is no ticket {ticket}")
    clocks, alerts = found
    if json_output:
        print_json(
            {
                "ticket_number": ticket,
                "at": now,
                "clocks": [{**_plain(clock), "lines": explain_clock(clock)} for clock in clocks],
                "alerts": [asdict(alert) for alert in alerts],
            }
        )
        return
    if not clocks:
        print(f"ticket {ticket} has no clocks: no policy of sla.yml fits it")
    for clock in clocks:
        head, *lines = explain_clock(clock)
        print(head)
        for line in lines:
            print(f"  {line}")
    for alert in alerts:
        told = "told" if alert.told else f"not told ({alert.silence})"
        print(
            f"{alert.threshold} of {alert.metric} #{alert.cycle}: passed "
            f"{_utc(alert.passed_at)}, seen {_utc(alert.detected_at)}, {told}"
        )


def _moment(text: str, *, now: datetime) -> datetime:
    try:
        return read_moment(text, now=now, zone="UTC")
    except MomentError as error:
        fail(f"--at: {error}", code=_WRONG_USE)


async def _use_rules(db: Database) -> None:
    """The rules that the processes have put in force; nothing is written."""
    async with db.transaction() as session:
        timeline = await load_timeline(session)
    use_rules(db, None if timeline is None else SlaRulesHolder(timeline))


async def _preview(
    db: Database, settings: Settings, now: datetime, limit: int, upcoming: int
) -> Preview:
    await _use_rules(db)
    async with db.transaction() as session:
        return await preview(
            session,
            now=now,
            cooldown=settings.sla_alert_cooldown,
            limit=limit,
            upcoming=upcoming,
        )


async def _sweep(db: Database, settings: Settings, now: datetime) -> Swept:
    await _use_rules(db)
    return await SlaSweep(
        db,
        SystemClock(settings.clock_offset),
        batch=settings.sla_monitor_batch,
        cooldown=settings.sla_alert_cooldown,
    ).run(at=now)


async def _explained(
    db: Database, number: int, now: datetime
) -> tuple[tuple[Clock, ...], tuple[AlertView, ...]] | None:
    await _use_rules(db)
    async with db.transaction() as session:
        ticket_id = await session.scalar(select(Ticket.id).where(Ticket.number == number))
        if ticket_id is None:
            return None
        clocks = await clocks_of(session, ticket_id, now=now)
        return clocks, await alert_views(session, ticket_id)


def _is_behind(found: Preview, settings: Settings) -> bool:
    allowed = settings.sla_monitor_interval * _BEHIND
    return any(timedelta(seconds=line.waiting_seconds) > allowed for line in found.due if line.says)


def _print_preview(found: Preview, settings: Settings) -> None:
    if not settings.sla_monitor_enabled:
        print("the monitor is off (SLA_MONITOR_ENABLED=false)")
    more = found.due_count - len(found.due)
    print(f"as of {_utc(found.at)}: {found.due_count} clocks due, {found.messages} messages")
    for line in found.due:
        print(f"  {_clock(line)}")
        for said in line.says:
            told = "would be told" if said.told else f"would be stored, not told: {said.why_not}"
            print(f"    {said.threshold} passed {_utc(said.passed_at)}: {told}")
        if line.hold is not None:
            print(f"    nothing to say: {_HOLDS.get(line.hold, line.hold)}")
    if more > 0:
        print(f"  and {more} more (--limit)")
    if found.upcoming:
        print("next:")
    for line in found.upcoming:
        print(f"  {_clock(line)}")
        print(f"    looked at {_utc(line.next_check_at)}, in {_amount(-line.waiting_seconds)}")


_HOLDS = {
    "over": "the promise was kept, or does not hold any more",
    "paused": "the clock stands still",
    "ticket_over": "the ticket is resolved or closed; its clocks will follow",
    "said": "all has been said before",
    "not_yet": "its time has not come",
}


def _clock(line: ClockPreview) -> str:
    due = "no due time" if line.due_at is None else f"due {_utc(line.due_at)}"
    return (
        f"#{line.ticket_number} {line.metric} #{line.cycle} {line.state}, {line.policy}: "
        f"{_amount(line.consumed_seconds)} of {_amount(line.target_seconds)}, {due}"
    )


def _plain(clock: Clock) -> dict[str, Any]:
    """A clock as JSON values; durations in seconds."""
    return {
        key: value.total_seconds() if isinstance(value, timedelta) else value
        for key, value in asdict(clock).items()
        if key != "stretches"
    }


def _utc(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%SZ")


def _amount(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "min"), (rest, "s"))
    return " ".join(f"{number} {unit}" for number, unit in parts if number) or "0 s"
