"""`ponte dlq list|show|reprocess|discard|audit`: dead letters by hand."""

from __future__ import annotations

import os
import pwd
import sys
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Annotated, TypeVar

import typer

from kit.clock import SystemClock
from kit.periods import FORMS, MomentError, read_moment
from notifications.dead_letter_desk import DeadLetterDesk
from notifications.domain.dead_letters import Reason
from notifications.domain.jobs import InvalidJobNameError, parse_job_name
from notifications.services.dead_letter_filter import DeadLetterFilter, ReversedPeriodError
from notifications.services.dead_letter_views import (
    DeadLetterCursorError,
    DeadLetterNotFoundError,
    DeadLetterPage,
)
from notifications.services.reprocess_plan import (
    DEFAULT_LIMIT,
    DEFAULT_RATE,
    MAX_LIMIT,
    MAX_RATE,
    InvalidOptionError,
    MoreThanSeenError,
    Options,
)
from ponte.cli.app import app, example, fail, print_json, with_database
from ponte.cli.dlq_output import plain, print_preview, print_result, print_story
from ponte.cli.keys import settings_with_keys
from ponte.processes.dead_letter_parts import breakers, dead_letter_desk
from ponte.settings import Settings
from ticketing.db.engine import Database
from ticketing.domain.enums import DeadLetterState, DlqAction, DlqResult

dlq = typer.Typer(
    help="Dead letters: notices that were given up, and what to do with them.",
    no_args_is_help=True,
)
app.add_typer(dlq, name="dlq")

_WRONG_USE = 2
Result = TypeVar("Result")

_JSON = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
_JOBS = Annotated[
    list[str] | None, typer.Option("--job-name", metavar="NAME", help="send-email, ...; repeat.")
]
_CODES = Annotated[
    list[str] | None,
    typer.Option("--error-code", metavar="CODE", help="131026, smtp_550, ...; repeat."),
]
_REASONS = Annotated[
    list[Reason] | None, typer.Option("--reason", help="Why it was given up; repeat.")
]
_STATUS = Annotated[
    int | None, typer.Option("--http-status", min=100, max=599, help="Of the provider's answer.")
]
_SINCE = Annotated[str | None, typer.Option(metavar="TIME", help=f"Failed since: {FORMS}.")]
_UNTIL = Annotated[str | None, typer.Option(metavar="TIME", help="Failed before; as --since.")]
_QUEUE = Annotated[str | None, typer.Option(help="The queue its job came from.")]
_EVENT = Annotated[str | None, typer.Option(help="ticket-opened, sla-alert, ...")]
_RECIPIENT = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="The whole address or number; it is stored nowhere."),
]
_IDS = Annotated[list[uuid.UUID] | None, typer.Option("--id", help="This entry; repeat.")]
_LIMIT = Annotated[
    int, typer.Option(min=1, max=MAX_LIMIT, help="Most entries at once, the oldest first.")
]
_DRY = Annotated[bool, typer.Option("--dry-run", help="Say what would happen; change nothing.")]
_YES = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@dlq.command("list", epilog=example("ponte dlq list --job-name send-email --since 24h"))
def list_(
    *,
    state: Annotated[
        list[DeadLetterState] | None, typer.Option(help="Of the entry; repeat. Default: dead.")
    ] = None,
    every_state: Annotated[bool, typer.Option("--all", help="Entries of every state.")] = False,
    job_name: _JOBS = None,
    error_code: _CODES = None,
    reason: _REASONS = None,
    http_status: _STATUS = None,
    since: _SINCE = None,
    until: _UNTIL = None,
    queue: _QUEUE = None,
    event: _EVENT = None,
    recipient: _RECIPIENT = None,
    ids: _IDS = None,
    limit: Annotated[int, typer.Option(min=1, max=200)] = 50,
    cursor: Annotated[str | None, typer.Option(help="Of the page before.")] = None,
    json_output: _JSON = False,
) -> None:
    """List dead letters, the newest failure first."""
    settings = settings_with_keys()
    states = () if every_state else tuple(state or [DeadLetterState.DEAD])
    wanted = _filter(
        settings, states=states, job_names=job_name, error_codes=error_code, reasons=reason,
        http_status=http_status, since=since, until=until, queue=queue, event=event,
        recipient=recipient, ids=ids,
    )  # fmt: skip

    async def work(desk: DeadLetterDesk) -> tuple[DeadLetterPage, Mapping[str, int]]:
        page = await desk.list_entries(wanted, cursor=cursor, limit=limit)
        return page, (await desk.counts()).by_state

    try:
        page, counts = _at_desk(settings, work)
    except DeadLetterCursorError as error:
        fail(f"--{error}", code=_WRONG_USE)
    if json_output:
        print_json({"counts": counts, **asdict(page)})
        return
    print(", ".join(f"{count} {name}" for name, count in counts.items()))
    for entry in page.dead_letters:
        parts = (
            str(entry.id), entry.failed_at.isoformat(timespec="seconds"), entry.state,
            entry.job_name or "(no job name)", entry.event or "-", entry.error_code, entry.reason,
            entry.recipient or "-",
        )  # fmt: skip
        print("\t".join(plain(part) for part in parts))
    if page.next_cursor is not None:
        print(f"(more: --cursor '{page.next_cursor}')")


@dlq.command(epilog=example("ponte dlq show 019f0000-0000-7000-8000-000000000001"))
def show(
    entry_id: Annotated[uuid.UUID, typer.Argument(metavar="ID", help="Of the entry.")],
    json_output: _JSON = False,
) -> None:
    """One dead letter: its error, what would be sent again, and what operators did."""
    settings = settings_with_keys()
    try:
        story = _at_desk(settings, lambda desk: desk.story(entry_id))
    except DeadLetterNotFoundError as error:
        fail(str(error))
    if json_output:
        print_json(asdict(story))
    else:
        print_story(story)


@dlq.command(
    epilog=example(
        "ponte dlq reprocess --job-name send-email --error-code connect --since 24h --dry-run"
    )
)
def reprocess(
    *,
    job_name: _JOBS = None,
    error_code: _CODES = None,
    reason: _REASONS = None,
    http_status: _STATUS = None,
    since: _SINCE = None,
    until: _UNTIL = None,
    queue: _QUEUE = None,
    event: _EVENT = None,
    recipient: _RECIPIENT = None,
    ids: _IDS = None,
    limit: _LIMIT = DEFAULT_LIMIT,
    rate: Annotated[
        float, typer.Option(min=0.01, max=MAX_RATE, help="Notices a second.")
    ] = DEFAULT_RATE,
    even_expired: Annotated[
        bool, typer.Option("--even-expired", help="Also those whose time is over.")
    ] = False,
    even_unknown: Annotated[
        bool,
        typer.Option(
            "--even-unknown", help="Also those that may have been sent, and would come twice."
        ),
    ] = False,
    dry_run: _DRY = False,
    yes: _YES = False,
    json_output: _JSON = False,
) -> None:
    """Send dead letters again. It shows what would happen and asks, unless --yes is given.

    Ends with 1 when something was refused or put away; what is refused stays dead.
    """
    settings = settings_with_keys()
    wanted = _filter(
        settings, job_names=job_name, error_codes=error_code, reasons=reason,
        http_status=http_status, since=since, until=until, queue=queue, event=event,
        recipient=recipient, ids=ids,
    )  # fmt: skip
    options = _options(limit=limit, rate=rate, even_expired=even_expired, even_unknown=even_unknown)
    _act(
        settings,
        _Order(DlqAction.REPROCESS, wanted, options),
        dry_run=dry_run,
        yes=yes,
        json_output=json_output,
    )


@dlq.command(epilog=example("ponte dlq discard --reason expired --until 30d --yes"))
def discard(
    *,
    job_name: _JOBS = None,
    error_code: _CODES = None,
    reason: _REASONS = None,
    http_status: _STATUS = None,
    since: _SINCE = None,
    until: _UNTIL = None,
    queue: _QUEUE = None,
    event: _EVENT = None,
    recipient: _RECIPIENT = None,
    ids: _IDS = None,
    limit: _LIMIT = DEFAULT_LIMIT,
    dry_run: _DRY = False,
    yes: _YES = False,
    json_output: _JSON = False,
) -> None:
    """Put dead letters away: they are not sent again. It asks, unless --yes is given."""
    settings = settings_with_keys()
    wanted = _filter(
        settings, job_names=job_name, error_codes=error_code, reasons=reason,
        http_status=http_status, since=since, until=until, queue=queue, event=event,
        recipient=recipient, ids=ids,
    )  # fmt: skip
    _act(
        settings,
        _Order(DlqAction.DISCARD, wanted, _options(limit=limit)),
        dry_run=dry_run,
        yes=yes,
        json_output=json_output,
    )


@dlq.command(epilog=example("ponte dlq audit --limit 20 --json"))
def audit(
    *,
    limit: Annotated[int, typer.Option(min=1, max=200, help="The newest so many.")] = 50,
    json_output: _JSON = False,
) -> None:
    """What operators did with dead letters, the newest first."""
    settings = settings_with_keys()
    views, _ = _at_desk(settings, lambda desk: desk.list_actions(limit=limit))
    if json_output:
        print_json([view.as_record() for view in views])
        return
    for view in views:
        parts = (
            str(view.action_id), view.started_at.isoformat(timespec="seconds"), view.actor,
            view.action, view.result, f"{view.done} of {view.matched}",
            f"{view.refused} refused", f"{view.discarded} discarded", view.detail,
        )  # fmt: skip
        print("\t".join(plain(part) for part in parts))


@dataclass(frozen=True, slots=True)
class _Order:
    """What is wanted."""

    action: DlqAction
    wanted: DeadLetterFilter
    options: Options


def _act(settings: Settings, order: _Order, *, dry_run: bool, yes: bool, json_output: bool) -> None:
    preview = _at_desk(
        settings, lambda desk: desk.preview(order.action, order.wanted, order.options)
    )
    if dry_run and json_output:
        print_json(asdict(preview))
        return
    if not json_output:
        print_preview(preview)
    if dry_run:
        return
    if preview.looked_at and not yes:
        _ask(order.action, json_output=json_output)
    seen = replace(order.options, expected=None if yes else preview.matched)
    actor = f"cli:{_login()}"
    try:
        done = _at_desk(
            settings, lambda desk: desk.run(order.action, order.wanted, seen, actor=actor)
        )
    except MoreThanSeenError as error:
        fail(str(error))
    if json_output:
        print_json({**asdict(done), "result": done.result})
    else:
        print_result(done)
    for warning in done.warnings:
        print(f"ponte: {warning}; `ponte scheduler` writes it there later", file=sys.stderr)
    if done.result != DlqResult.DONE.value:
        raise typer.Exit(1)


def _ask(action: DlqAction, *, json_output: bool) -> None:
    if json_output or not sys.stdin.isatty():
        fail("nobody can be asked here: expected --dry-run or --yes", code=_WRONG_USE)
    if not typer.confirm(f"{action.value} them?", default=False):
        fail("nothing was changed")


def _at_desk(settings: Settings, work: Callable[[DeadLetterDesk], Awaitable[Result]]) -> Result:
    async def whole(database: Database) -> Result:
        clock = SystemClock(settings.clock_offset)
        async with breakers(settings, clock) as gate:
            # Which senders there are is the worker's to know: a command has another environment.
            desk = dead_letter_desk(settings, db=database, clock=clock, gate=gate, job_names=None)
            return await work(desk)

    return with_database(settings, whole)


def _filter(
    settings: Settings,
    *,
    states: tuple[DeadLetterState, ...] = (),
    job_names: list[str] | None,
    error_codes: list[str] | None,
    reasons: list[Reason] | None,
    http_status: int | None,
    since: str | None,
    until: str | None,
    queue: str | None,
    event: str | None,
    recipient: str | None,
    ids: list[uuid.UUID] | None,
) -> DeadLetterFilter:
    now = SystemClock(settings.clock_offset).now()
    try:
        names = tuple(parse_job_name(name).value for name in job_names or ())
    except InvalidJobNameError as error:
        fail(f"--job-name: {error}", code=_WRONG_USE)
    try:
        return DeadLetterFilter(
            states=states,
            job_names=names,
            error_codes=tuple(error_codes or ()),
            reasons=tuple(reason.value for reason in reasons or ()),
            http_status=http_status,
            since=_moment("--since", since, now),
            until=_moment("--until", until, now),
            queue=queue,
            event=event,
            recipient=recipient,
            ids=tuple(ids or ()),
        )
    except ReversedPeriodError as error:
        fail(f"--{error}", code=_WRONG_USE)


def _options(
    *,
    limit: int,
    rate: float = DEFAULT_RATE,
    even_expired: bool = False,
    even_unknown: bool = False,
) -> Options:
    try:
        return Options(limit=limit, rate=rate, even_expired=even_expired, even_unknown=even_unknown)
    except InvalidOptionError as error:
        fail(f"--{error}", code=_WRONG_USE)


def _moment(option: str, text: str | None, now: datetime) -> datetime | None:
    try:
        return None if text is None else read_moment(text, now=now, zone="UTC")
    except MomentError as error:
        fail(f"{option}: {error}", code=_WRONG_USE)


def _login() -> str:
    """The login of the machine, as the system knows it and not as a variable says."""
    user = os.getuid()
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:  # a container without a password file
        return str(user)
