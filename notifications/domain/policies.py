"""Which occasion notifies whom on which channel: the data of `policies.yml`, and its reading."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Any, TypeVar

from notifications.domain.events import PolicyEvent
from notifications.domain.jobs import Channel
from ticketing.domain.enums import DeliveryGuarantee

FORMAT_VERSION = 1

DEFAULT_LIFETIME = timedelta(hours=24)
"""After a day nobody acts on a notice any more: it is given up then, with its reason."""

LONGEST = timedelta(days=30)
_DURATION = re.compile(r"([1-9][0-9]{0,4})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Audience(StrEnum):
    """Who is told."""

    ON_DUTY_AGENTS = "on_duty_agents"
    """Every active agent on duty who serves the ticket's queue."""
    HOLDER = "holder"
    """The agent who has the ticket. When nobody has it, or its agent is not on duty, the agents on
    duty (too)."""
    ADMIN = "admin"
    """NOTIFICATIONS_ADMIN_USER_ID by e-mail, NOTIFICATIONS_ADMIN_PHONE by WhatsApp."""


@dataclass(frozen=True, slots=True)
class Route:
    """One audience on one channel.

    Attributes:
        to: Who is told.
        channel: How.
        otherwise: How, when somebody of them cannot be reached so: they have no such address, or
            it may not be written to.
    """

    to: Audience
    channel: Channel
    otherwise: Channel | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """What one occasion causes.

    Attributes:
        urgent: Its notices have a queue of their own, and quiet hours do not hold them.
        routes: Who is told, and how.
        guarantee: What happens to a notice that may have been sent, when nobody can find out.
        expires: How long after the event a notice is of use.
        digest: Notices to one recipient that follow within this time are told together; None: each
            by itself.
        acknowledge: On WhatsApp the notice carries a button that says it was received.
    """

    urgent: bool
    routes: tuple[Route, ...]
    guarantee: DeliveryGuarantee = DeliveryGuarantee.AT_LEAST_ONCE
    expires: timedelta = DEFAULT_LIFETIME
    digest: timedelta | None = None
    acknowledge: bool = False


Policies = Mapping[PolicyEvent, Policy]


def by_channels(policies: Policies, channels: Collection[Channel]) -> dict[PolicyEvent, Policy]:
    """The policies without routes by channels that this installation has no sender for.

    A route that has another way goes that way.
    """
    return {
        event: replace(
            policy,
            routes=tuple(
                usable
                for route in policy.routes
                if (usable := _usable(route, channels)) is not None
            ),
        )
        for event, policy in policies.items()
    }


def _usable(route: Route, channels: Collection[Channel]) -> Route | None:
    otherwise = route.otherwise if route.otherwise in channels else None
    if route.channel in channels:
        return replace(route, otherwise=otherwise)
    return None if otherwise is None else Route(route.to, otherwise)


class PoliciesError(ValueError):
    """The policies are not usable; `problems` lists everything that is wrong with them."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("policies: " + "; ".join(self.problems))


def parse_policies(document: object) -> dict[PolicyEvent, Policy]:
    """Read the policies from plain data (what a YAML or JSON parser returns).

    Every occasion must be there: one that nobody wants is silenced in the open, by `notify: []`.

    Raises:
        PoliciesError: listing every problem, each with the place and what was expected.
    """
    problems: list[str] = []
    top = _mapping(document, "(file)", {"version", "events"}, problems)
    if top.get("version") != FORMAT_VERSION or isinstance(top["version"], bool | float):
        problems.append(f"version: expected {FORMAT_VERSION}, got {top.get('version')!r}")
    events = top.get("events")
    names = {event.value for event in PolicyEvent}
    found = _mapping(events, "events", names, problems)
    policies: dict[PolicyEvent, Policy] = {}
    for event in PolicyEvent:
        if event.value in found:
            policies[event] = _policy(found[event.value], f"events.{event.value}", problems)
        elif isinstance(events, Mapping):
            problems.append(f"events.{event.value}: is missing")
    if problems:
        raise PoliciesError(problems)
    return policies


def _policy(value: object, place: str, problems: list[str]) -> Policy:
    known = {"urgent", "notify", "guarantee", "expires", "digest", "acknowledge"}
    fields = _mapping(value, place, known, problems)
    urgent, acknowledge = (_truth(fields, name, place, problems) for name in _TRUTHS)
    guarantee = DeliveryGuarantee.AT_LEAST_ONCE
    if "guarantee" in fields:
        given = _member(DeliveryGuarantee, fields["guarantee"], f"{place}.guarantee", problems)
        guarantee = given or guarantee
    expires = _duration(fields, "expires", place, problems) or DEFAULT_LIFETIME
    digest = _duration(fields, "digest", place, problems)
    if digest is not None and digest >= expires:
        # What is held that long would be given up before it is told.
        problems.append(
            f"{place}.digest: expected less than expires ({expires.total_seconds():.0f}s), "
            f"got {fields['digest']!r}"
        )
    notify = fields.get("notify")
    if not isinstance(notify, list):
        problems.append(f"{place}.notify: expected a list of {{to, channel}}, got {notify!r}")
        return Policy(urgent=urgent, routes=())
    routes: dict[tuple[Audience, Channel], Route] = {}
    for index, item in enumerate(notify):
        route = _route(item, f"{place}.notify[{index}]", problems)
        if route is not None and (route.to, route.channel) in routes:
            problems.append(f"{place}.notify[{index}]: is there twice")
        elif route is not None:
            routes[route.to, route.channel] = route
    return Policy(urgent, tuple(routes.values()), guarantee, expires, digest, acknowledge)


_TRUTHS = ("urgent", "acknowledge")


def _truth(fields: Mapping[str, Any], name: str, place: str, problems: list[str]) -> bool:
    value = fields.get(name, False)
    if not isinstance(value, bool):
        problems.append(f"{place}.{name}: expected true or false, got {value!r}")
    return value is True


def _duration(
    fields: Mapping[str, Any], name: str, place: str, problems: list[str]
) -> timedelta | None:
    if name not in fields:
        return None
    value = fields[name]
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    found = None if match is None else timedelta(**{_UNITS[match[2]]: int(match[1])})
    if found is None or found > LONGEST:
        problems.append(
            f"{place}.{name}: expected a time such as 30s, 10m, 6h or 2d, at most 30d, "
            f"got {value!r}"
        )
        return None
    return found


def _route(value: object, place: str, problems: list[str]) -> Route | None:
    fields = _mapping(value, place, {"to", "channel", "else"}, problems)
    audience = _member(Audience, fields.get("to"), f"{place}.to", problems)
    channel = _member(Channel, fields.get("channel"), f"{place}.channel", problems)
    otherwise = None
    if "else" in fields:
        otherwise = _member(Channel, fields["else"], f"{place}.else", problems)
        if otherwise is not None and otherwise is channel:
            problems.append(f"{place}.else: expected another channel than {channel.value}")
    if audience is None or channel is None:
        return None
    return Route(audience, channel, otherwise)


MemberT = TypeVar("MemberT", bound=StrEnum)


def _member(enum: type[MemberT], value: object, place: str, problems: list[str]) -> MemberT | None:
    for member in enum:
        if member.value == value:
            return member
    allowed = ", ".join(member.value for member in enum)
    problems.append(f"{place}: expected one of {allowed}, got {value!r}")
    return None


def _mapping(
    value: object, place: str, allowed: Iterable[str], problems: list[str]
) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        problems.append(f"{place}: expected a mapping, got {value!r}")
        return {}
    expected = ", ".join(sorted(allowed))
    problems.extend(
        f"{place}: unknown key {key!r}; expected {expected}" for key in value if key not in allowed
    )
    return value
