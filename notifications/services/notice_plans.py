"""Whom an outbox event tells: its facts, the people it may concern, and the notices chosen."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import structlog

from notifications.domain.events import PolicyEvent, TicketFacts, policy_events, ticket_facts
from notifications.domain.jobs import Channel
from notifications.domain.operation_events import (
    OCCASION_OF_TOPIC,
    OperationFacts,
    operation_facts,
)
from notifications.domain.policies import Policies
from notifications.domain.recipients import Holder, Notice, Recipient, choose_notices
from notifications.services.directory import Directory
from notifications.services.notices import Cause
from ticketing.db.tables import OutboxEvent

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Happening:
    """An event that was read, with the people it may concern."""

    event: OutboxEvent
    facts: TicketFacts | OperationFacts
    occasions: tuple[PolicyEvent, ...]
    on_duty: tuple[Recipient, ...]
    admin: Recipient | None
    holder: Holder | None

    @property
    def ticket_id(self) -> uuid.UUID | None:
        """The ticket it is about."""
        return self.facts.ticket_id if isinstance(self.facts, TicketFacts) else None

    @property
    def cause(self) -> Cause:
        """Of its notices. Who says so is named by the event, such as the SLA monitor."""
        source = str(self.event.payload.get("source") or self.event.topic)
        return Cause(
            key=str(self.event.id),
            context=self.facts.as_context() | {"source": source},
            ticket_id=self.ticket_id,
            correlation_id=self.event.correlation_id,
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """What one event causes.

    Attributes:
        happening: The event.
        notices: Whom to tell.
        unreached: Somebody should be told, and nobody can be.
    """

    happening: Happening
    notices: tuple[Notice, ...]
    unreached: bool


async def happening_of(directory: Directory, event: OutboxEvent) -> Happening:
    """Read an event and look up the people it may concern.

    Raises:
        EventPayloadError: when its payload is wrong.
    """
    admin = await directory.admin()
    if event.topic in OCCASION_OF_TOPIC:
        operation = operation_facts(event.topic, event.payload)
        return Happening(event, operation, (OCCASION_OF_TOPIC[event.topic],), (), admin, None)
    facts = ticket_facts(event.payload)
    return Happening(
        event,
        facts,
        policy_events(event.topic, facts),
        await directory.on_duty(facts.queue_key),
        admin,
        await directory.holder(facts.holder_id),
    )


def plan_of(
    happening: Happening,
    *,
    policies: Policies,
    usable: Policies,
    refused: Collection[tuple[Channel, str]],
    now: datetime,
) -> Plan:
    """Choose the notices of an event.

    Args:
        happening: The event.
        policies: Who is told of what.
        usable: The same, without channels that have no sender here.
        refused: Addresses that may not be written to.
        now: When.
    """
    chosen = choose_notices(
        happening.occasions,
        policies=usable,
        on_duty=happening.on_duty,
        admin=happening.admin,
        holder=happening.holder,
        now=now,
        refused=refused,
    )
    if any(notice.nobody_on_duty for notice in chosen):
        _log_nobody(happening)
    wanted = any(policies[occasion].routes for occasion in happening.occasions)
    return Plan(happening, _to_tell(happening, chosen), unreached=wanted and not chosen)


def _to_tell(happening: Happening, chosen: tuple[Notice, ...]) -> tuple[Notice, ...]:
    facts = happening.facts
    if isinstance(facts, OperationFacts):
        by_others = tuple(one for one in chosen if one.channel is not facts.avoid_channel)
        # By the broken way it arrives when that works again: late is better than never.
        return by_others or chosen
    if facts.actor_id is None:
        return chosen
    # Who did it knows; telling them would teach them to ignore our notices.
    return tuple(notice for notice in chosen if notice.agent_id != facts.actor_id)


def _log_nobody(happening: Happening) -> None:
    if isinstance(happening.facts, TicketFacts):
        log.warning(
            "notification.nobody_on_duty",
            ticket_id=str(happening.facts.ticket_id),
            queue_key=happening.facts.queue_key,
            correlation_id=happening.event.correlation_id,
        )
