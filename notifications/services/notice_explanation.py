"""Who would be told of an event now, on which channel, and who would not, and why. Changes nothing.

The choice is that of `choose_notices`; only the reasons of those who are left out are found here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from notifications.domain.dead_letters import masked_recipient
from notifications.domain.events import PolicyEvent
from notifications.domain.jobs import Channel
from notifications.domain.policies import Audience, Policies, Policy, by_channels
from notifications.domain.recipients import Notice, Recipient, choose_notices
from notifications.services.addresses import refusals
from notifications.services.recipients import AdminContact, find_admin, on_duty_agents

NOBODY = "(nobody)"


@dataclass(frozen=True, slots=True)
class Told:
    """One notice that would be made.

    Attributes:
        person: E-mail of the agent or admin, or `admin`.
        address: Masked.
        held_until: The end of their quiet hours; None: it goes at once.
        stands_in: The admin gets it because no agent is on duty.
    """

    person: str
    channel: Channel
    address: str
    language: str
    held_until: datetime | None
    stands_in: bool


@dataclass(frozen=True, slots=True)
class LeftOut:
    """One route, or one person on it, that would not be used.

    Attributes:
        reason: `no_account` (of the channel, here), `nobody_on_duty`, `no_admin`, `no_address`,
            `turned_off`, or why the address may not be written to (`opted_out`, `disabled`,
            `suspended`).
    """

    audience: Audience
    channel: Channel
    person: str
    reason: str


@dataclass(frozen=True, slots=True)
class NoticeExplanation:
    """What an event would cause now."""

    event: PolicyEvent
    queue_key: str
    policy: Policy
    told: tuple[Told, ...]
    left_out: tuple[LeftOut, ...]


async def explain_notices(
    session: AsyncSession,
    event: PolicyEvent,
    *,
    queue_key: str,
    policies: Policies,
    admin: AdminContact,
    channels: Collection[Channel],
    now: datetime,
) -> NoticeExplanation:
    """Who would be told of an event about a ticket of this queue that nobody has.

    Args:
        session: The caller's transaction; it is only read.
        event: Which.
        queue_key: Whose agents are on duty; one that does not exist has those of all queues.
        policies: All of them, also with channels that have no account here.
        admin: Who the admin is.
        channels: Those that this installation has a sender for.
        now: When.
    """
    on_duty = await on_duty_agents(session, queue_key)
    chief = await find_admin(session, admin)
    people = [*on_duty, *([] if chief is None else [chief])]
    names = _names(people)
    refused = await refusals(session, names.keys(), now=now)
    notices = choose_notices(
        [event],
        policies=by_channels(policies, channels),
        on_duty=on_duty,
        admin=chief,
        now=now,
        refused=refused.keys(),
    )
    told = tuple(
        Told(
            names.get((one.channel, one.recipient), "admin"),
            one.channel,
            masked_recipient(one.recipient),
            one.language,
            one.not_before,
            one.nobody_on_duty,
        )
        for one in notices
    )
    reasons = _Reasons(event, channels, on_duty, chief, notices, refused)
    left_out = reasons.of(policies[event])
    return NoticeExplanation(event, queue_key, policies[event], told, left_out)


def _names(people: Sequence[Recipient]) -> dict[tuple[Channel, str], str]:
    return {
        (channel, address): person.email or "admin"
        for person in people
        for channel in Channel
        for address in person.addresses(channel)
    }


@dataclass(frozen=True, slots=True)
class _Reasons:
    """Finds why somebody is left out."""

    event: PolicyEvent
    channels: Collection[Channel]
    on_duty: Sequence[Recipient]
    admin: Recipient | None
    notices: Sequence[Notice]
    refused: Mapping[tuple[Channel, str], str]

    def of(self, policy: Policy) -> tuple[LeftOut, ...]:
        found: dict[LeftOut, None] = {}
        for route in policy.routes:
            for person, reason in self._on(route.to, route.channel):
                found[LeftOut(route.to, route.channel, person, reason)] = None
        return tuple(found)

    def _on(self, audience: Audience, channel: Channel) -> list[tuple[str, str]]:
        if channel not in self.channels:
            return [(NOBODY, "no_account")]
        if audience is not Audience.ADMIN:
            if not self.on_duty:
                return [(NOBODY, "nobody_on_duty")]
            people = self.on_duty
        elif self.admin is None:
            return [(NOBODY, "no_admin")]
        else:
            people = [self.admin]
        return [
            (person.email or "admin", reason)
            for person in people
            for reason in self._why(person, channel)
        ]

    def _why(self, person: Recipient, channel: Channel) -> list[str]:
        addresses = person.addresses(channel)
        if not addresses:
            return ["no_address"]
        codes = {code for address in addresses if (code := self.refused.get((channel, address)))}
        chosen = {one.recipient for one in self.notices if one.channel is channel}
        if not codes and not chosen & set(addresses):
            return ["turned_off"]
        return sorted(codes)
