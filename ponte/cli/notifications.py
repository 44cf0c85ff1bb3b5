"""`ponte notifications check|explain`: are the policies right, and who would be told?"""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from kit.clock import SystemClock
from notifications.domain.events import PolicyEvent
from notifications.domain.policies import Policies, PoliciesError, Policy
from notifications.policy_file import DEFAULT_PATH, load_policies
from notifications.services.notice_explanation import (
    NoticeExplanation,
    Told,
    explain_notices,
)
from ponte.cli.app import app, example, fail, print_json, running_settings, with_database
from ponte.processes.notification_parts import admin_contact, configured_channels
from ponte.settings import Process
from ticketing.db.engine import Database

notifications = typer.Typer(help="Who is told of what, and how.", no_args_is_help=True)
app.add_typer(notifications, name="notifications")

_WRONG_USE = 2
_JSON = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
_REASONS = {
    "no_account": "this installation has no account for the channel",
    "nobody_on_duty": "nobody on duty serves the queue; the admin is told instead",
    "no_admin": "no admin is set (NOTIFICATIONS_ADMIN_USER_ID, NOTIFICATIONS_ADMIN_PHONE)",
    "no_address": "has no address on this channel",
    "turned_off": "turned it off",
    "opted_out": "said no on this channel",
    "disabled": "the address takes nothing",
    "suspended": "the address is left alone after refusals",
}


@notifications.command(epilog=example("ponte notifications check"))
def check(
    file: Annotated[
        Path, typer.Argument(metavar="[FILE]", help="The policies; the project's own by default.")
    ] = DEFAULT_PATH,
    json_output: _JSON = False,
) -> None:
    """Name everything that is wrong with the policies; without a mistake, show what they say.

    Exit code 0: all right; 1: mistakes; 2: wrong use.
    """
    try:
        policies = load_policies(file)
    except PoliciesError as error:
        if json_output:
            print_json({"file": str(file), "ok": False, "problems": error.problems, "events": {}})
        else:
            for problem in error.problems:
                print(f"{file}: {problem}", file=sys.stderr)
            print(f"{file}: wrong ({len(error.problems)} mistakes)")
        raise typer.Exit(1) from error
    if json_output:
        print_json({"file": str(file), "ok": True, "problems": [], "events": _document(policies)})
        return
    print(f"{file}: ok ({len(policies)} events)")
    for event, policy in policies.items():
        print(f"  {event.value}: {_words(policy)}")


@notifications.command(epilog=example("ponte notifications explain ticket-opened --queue n1"))
def explain(
    event: Annotated[str, typer.Argument(metavar="EVENT", help="ticket-opened, sla-alert, ...")],
    queue: Annotated[
        str, typer.Option(metavar="KEY", help="Queue of the ticket; without: any agent's.")
    ] = "",
    json_output: _JSON = False,
) -> None:
    """Say who would be told of an event now, and who would not, and why. Nothing is sent.

    Ends with 0 when somebody would be told, with 1 when nobody would or the policies are wrong.
    """
    wanted = _event(event)
    settings = running_settings(Process.DATABASE_ONLY)
    try:
        policies = load_policies()
    except PoliciesError as error:
        fail(f"{error}")
    now = SystemClock(settings.clock_offset).now()

    async def work(database: Database) -> NoticeExplanation:
        async with database.transaction() as session:
            return await explain_notices(
                session,
                wanted,
                queue_key=queue,
                policies=policies,
                admin=admin_contact(settings),
                channels=configured_channels(settings),
                now=now,
            )

    found = with_database(settings, work)
    if json_output:
        print_json(_explained(found))
    else:
        _print_explained(found, now)
    if not found.told:
        raise typer.Exit(1)


def _event(name: str) -> PolicyEvent:
    try:
        return PolicyEvent(name)
    except ValueError:
        expected = ", ".join(event.value for event in PolicyEvent)
        fail(f"EVENT: got {name!r}; expected one of {expected}", code=_WRONG_USE)


def _words(policy: Policy) -> str:
    ways = ", ".join(
        f"{route.to.value} by {route.channel.value}"
        + ("" if route.otherwise is None else f" (else {route.otherwise.value})")
        for route in policy.routes
    )
    parts = [ways or "nobody", f"expires {_time(policy.expires)}"]
    if policy.urgent:
        parts.insert(0, "urgent")
    if policy.acknowledge:
        parts.append("acknowledged on whatsapp")
    if policy.digest is not None:
        parts.append(f"digest {_time(policy.digest)}")
    parts.append(policy.guarantee.value)
    return "; ".join(parts)


def _time(length: timedelta) -> str:
    seconds = int(length.total_seconds())
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _document(policies: Policies) -> dict[str, Any]:
    return {event.value: _policy(policy) for event, policy in policies.items()}


def _policy(policy: Policy) -> dict[str, Any]:
    digest = policy.digest
    return {
        "urgent": policy.urgent,
        "notify": [
            {"to": route.to, "channel": route.channel, "else": route.otherwise}
            for route in policy.routes
        ],
        "guarantee": policy.guarantee,
        "expires_seconds": int(policy.expires.total_seconds()),
        "acknowledge": policy.acknowledge,
        "digest_seconds": None if digest is None else int(digest.total_seconds()),
    }


def _explained(found: NoticeExplanation) -> dict[str, Any]:
    return {
        "event": found.event,
        "queue": found.queue_key or None,
        "policy": _policy(found.policy),
        "told": [asdict(one) for one in found.told],
        "left_out": [asdict(one) for one in found.left_out],
    }


def _print_explained(found: NoticeExplanation, now: datetime) -> None:
    print(f"{found.event.value}: {_words(found.policy)}")
    for one in found.told:
        print(f"  told: {one.person} by {one.channel.value} ({one.address}){_remarks(one, now)}")
    if not found.told:
        print("  told: nobody")
    for out in found.left_out:
        reason = _REASONS.get(out.reason, out.reason)
        print(f"  not: {out.audience.value} by {out.channel.value}, {out.person}: {reason}")


def _remarks(one: Told, now: datetime) -> str:
    remarks = []
    if one.stands_in:
        remarks.append("because nobody on duty serves the queue")
    if one.held_until is not None and one.held_until > now:
        remarks.append(f"held until {one.held_until:%Y-%m-%d %H:%M} UTC (quiet hours)")
    return "".join(f", {remark}" for remark in remarks)
