"""How tickets of a queue find a person: the routing keys of `queues` in `handoff.yml`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta

from handoff.policy_nodes import Node, Reader

AUTO, PULL = "auto", "pull"
ASSIGNMENTS = (AUTO, PULL)
RELAXATIONS = ("language", "level", "skill", "excluded")
"""Filters that may be left out when nobody passes; `ticketing.domain.routing.choice.Relaxation`."""

ROUTING_KEYS = (
    "assignment",
    "accept_within_minutes",
    "silent_after_minutes",
    "overflow",
    "relax",
    "relax_after_minutes",
)
MAX_ACCEPT_MINUTES = 60
MAX_SILENT_MINUTES = 24 * 60
MAX_OVERFLOW_MINUTES = 7 * 24 * 60


@dataclass(frozen=True, slots=True)
class Overflow:
    """Where a ticket goes that nobody took.

    Attributes:
        queue: Key of that queue.
        after: Time it waited, in the working time of the queue it waits in.
    """

    queue: str
    after: timedelta


@dataclass(frozen=True, slots=True)
class QueueRouting:
    """The routing of one queue.

    Attributes:
        assignment: `auto`: a ticket is offered to an agent who is online. `pull`: people take them.
        accept_within: How long an agent may take to accept an offer. Three minutes: time to finish
            a sentence, and short against the quarter of an hour that an urgent ticket has.
        silent_after: How long a customer's message may stay unanswered (working time) before the
            ticket goes to somebody else; None: never.
        overflow: Where a ticket goes that nobody took; None: nowhere.
        relax: Filters to leave out, one after the other, while nobody passes all of them.
        relax_after: How long a ticket waits before that begins.
    """

    assignment: str = AUTO
    accept_within: timedelta = timedelta(minutes=3)
    silent_after: timedelta | None = timedelta(minutes=30)
    overflow: Overflow | None = None
    relax: tuple[str, ...] = ()
    relax_after: timedelta = timedelta(minutes=5)


def read_queue_routing(
    section: Mapping[str, Node], reader: Reader, *, key: str, queues: Collection[str]
) -> QueueRouting:
    """The routing keys of one queue; what is not written has its default."""
    usual = QueueRouting()
    return QueueRouting(
        assignment=reader.one_of(section["assignment"], ASSIGNMENTS, kind="assignment")
        if "assignment" in section
        else usual.assignment,
        accept_within=_minutes(section, "accept_within_minutes", reader, MAX_ACCEPT_MINUTES)
        or usual.accept_within,
        silent_after=_silent_after(section, reader),
        overflow=_overflow(section["overflow"], reader, key=key, queues=queues)
        if "overflow" in section
        else None,
        relax=reader.names(
            section["relax"], allowed=RELAXATIONS, kind="relaxation", may_be_empty=True
        )
        if "relax" in section
        else (),
        relax_after=_minutes(section, "relax_after_minutes", reader, MAX_OVERFLOW_MINUTES)
        or usual.relax_after,
    )


def check_overflows(
    routings: Mapping[str, QueueRouting], places: Mapping[str, Node], reader: Reader
) -> None:
    """A ticket must not go round in circles: name every queue that leads back to itself."""
    for key, routing in routings.items():
        path, here = [key], routing.overflow
        while here is not None and here.queue in routings and here.queue not in path:
            path.append(here.queue)
            here = routings[here.queue].overflow
        if here is not None and here.queue == key and len(path) > 1:
            circle = " > ".join([*path, key])
            reader.wrong(places[key], f"the overflow goes in a circle: {circle}")


def _silent_after(section: Mapping[str, Node], reader: Reader) -> timedelta | None:
    node = section.get("silent_after_minutes")
    if node is None:
        return QueueRouting().silent_after
    minutes = reader.whole(node, low=0, high=MAX_SILENT_MINUTES)
    return timedelta(minutes=minutes) if minutes else None


def _overflow(node: Node, reader: Reader, *, key: str, queues: Collection[str]) -> Overflow | None:
    fields = reader.section(node, required=("queue", "after_minutes"))
    if not {"queue", "after_minutes"} <= set(fields):
        return None
    target = reader.one_of(fields["queue"], queues, kind="queue")
    if fields["queue"].value == key:
        reader.wrong(fields["queue"], "a queue cannot overflow into itself; expected another queue")
    after = reader.whole(fields["after_minutes"], low=1, high=MAX_OVERFLOW_MINUTES)
    return Overflow(target, timedelta(minutes=after))


def _minutes(section: Mapping[str, Node], key: str, reader: Reader, high: int) -> timedelta | None:
    if key not in section:
        return None
    return timedelta(minutes=reader.whole(section[key], low=1, high=high))
