"""Every enumeration, one spelling for the domain, the database and the API.

The members are the stored strings. `parse` turns text from outside into a member or raises an error
that lists the allowed values.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeVar


class Level(StrEnum):
    """Support level of a ticket."""

    N1 = "N1"
    N2 = "N2"
    N3 = "N3"


class Priority(StrEnum):
    """How soon a ticket wants a person."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    URGENT = "urgent"


class Severity(StrEnum):
    """How much harm the matter does; S1 is the gravest."""

    S1 = "S1"
    S2 = "S2"
    S3 = "S3"
    S4 = "S4"


class TicketStatus(StrEnum):
    """Life of a ticket."""

    NEW = "new"
    OPEN = "open"
    PENDING_CUSTOMER = "pending_customer"
    PENDING_THIRD_PARTY = "pending_third_party"
    RESOLVED = "resolved"
    CLOSED = "closed"


class SlaMetric(StrEnum):
    """What a clock measures.

    `resolution` is the first one, `total_resolution` goes on after a reopening; `level` is an
    operational agreement: one stay at one level (OLA).
    """

    FIRST_RESPONSE = "first_response"
    NEXT_RESPONSE = "next_response"
    RESOLUTION = "resolution"
    TOTAL_RESOLUTION = "total_resolution"
    LEVEL = "level"


class ClockState(StrEnum):
    """Life of a clock. A breached one stays breached, also when it is met later."""

    RUNNING = "running"
    PAUSED = "paused"
    MET = "met"
    BREACHED = "breached"
    CANCELLED = "cancelled"


class SlaThreshold(StrEnum):
    """What there is to say about a clock."""

    WARNING = "warning"
    BREACH = "breach"


class SlaState(StrEnum):
    """How a ticket stands with what was promised to its customer.

    `warning`: a clock has passed its warning threshold. `breached`: a clock that goes on is late,
    or, when all are over, one of them was. `paused`: every clock that goes on stands still.
    """

    NONE = "none"
    OK = "ok"
    WARNING = "warning"
    BREACHED = "breached"
    PAUSED = "paused"
    MET = "met"


class Lifecycle(StrEnum):
    """Life of a conversation, apart from who controls it."""

    OPEN = "open"
    CLOSED = "closed"


class Control(StrEnum):
    """Who answers the customer now."""

    BOT = "bot"
    QUEUED = "queued"
    HUMAN = "human"


class HandoffState(StrEnum):
    """Life of a handoff."""

    QUEUED = "queued"
    ACCEPTED = "accepted"
    ENDED = "ended"


class Direction(StrEnum):
    """Whether a message came from the customer, went to the customer, or stays inside."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"
    INTERNAL = "internal"


class Author(StrEnum):
    """Who wrote a message."""

    CUSTOMER = "customer"
    BOT = "bot"
    AGENT = "agent"
    SYSTEM = "system"


class DeliveryState(StrEnum):
    """Life of a message or notification on its way out.

    `unknown` is a state of its own: the request was written and no answer came, so it may have
    been sent. `dropped` was never sent, on purpose (a person took over).
    """

    PENDING = "pending"
    SENDING = "sending"
    UNKNOWN = "unknown"
    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"
    DROPPED = "dropped"


class DeliveryGuarantee(StrEnum):
    """What happens to a notice that may have been sent, when nobody can find out."""

    AT_LEAST_ONCE = "at-least-once"
    """It is sent again: twice is better than never (alerts)."""
    AT_MOST_ONCE = "at-most-once"
    """It is given up as a dead letter: never is better than twice (money)."""


class DeadLetterState(StrEnum):
    """Life of a dead letter."""

    DEAD = "dead"
    REPROCESSING = "reprocessing"
    """On its way again; it becomes recovered, or dead once more."""
    RECOVERED = "recovered"
    """Sent after a reprocessing, or by a late status of the provider."""
    DISCARDED = "discarded"
    """An operator decided that it shall not be sent."""


class DlqAction(StrEnum):
    """What an operator can do with dead letters."""

    REPROCESS = "reprocess"
    DISCARD = "discard"


class DlqResult(StrEnum):
    """What came of it: for the action as a whole, and for each entry."""

    STARTED = "started"
    """Of an action: it began. Without a later row of the same action it never ended."""
    DONE = "done"
    PARTLY = "partly"
    REFUSED = "refused"
    DISCARDED = "discarded"
    """Of an entry that was to be reprocessed: it was at its last attempt already."""


class AddressState(StrEnum):
    """Whether an address may be written to. `active` with strikes is still written to."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    """Until a time: not reached several times in a row."""
    DISABLED = "disabled"
    """It does not exist, or cannot take messages: until a person corrects it."""
    OPTED_OUT = "opted_out"
    """The person said no (STOP, 131050): only they can take it back."""


class TurnState(StrEnum):
    """Life of a turn: one message of a customer and what was done about it."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"


class Role(StrEnum):
    """What a person may do in the console and the API."""

    AGENT = "agent"
    SUPERVISOR = "supervisor"
    DESIGNER = "designer"
    OPERATOR = "operator"
    ADMIN = "admin"


class AttachmentState(StrEnum):
    """Life of a file on a ticket; a customer's file is fetched from the channel first."""

    PENDING = "pending"
    STORED = "stored"
    REFUSED = "refused"


class RoutingState(StrEnum):
    """Where a ticket stands on its way to a person.

    `held`: somebody works on it. `done`: it is resolved or closed. In the others it waits, or an
    agent was asked and has not answered yet.
    """

    WAITING = "waiting"
    OFFERED = "offered"
    NOBODY_AVAILABLE = "nobody_available"
    OVERFLOWED = "overflowed"
    HELD = "held"
    DONE = "done"


class PresenceState(StrEnum):
    """What an agent says of themselves; only `online` gets new tickets by itself."""

    ONLINE = "online"
    BUSY = "busy"
    AWAY = "away"
    OFFLINE = "offline"


EnumT = TypeVar("EnumT", bound=StrEnum)


class UnknownValueError(ValueError):
    """A text from outside is no member of the enumeration."""

    def __init__(self, field: str, value: str, allowed: list[str]) -> None:
        self.field = field
        self.value = value
        self.allowed = allowed
        super().__init__(f"{field}: {value!r} is not allowed; expected one of {', '.join(allowed)}")


def parse(enum: type[EnumT], value: str, *, field: str) -> EnumT:
    """The member whose stored string is `value`.

    Raises:
        UnknownValueError: naming the field and the allowed values.
    """
    try:
        return enum(value)
    except ValueError as error:
        raise UnknownValueError(field, value, [member.value for member in enum]) from error
