"""The oracle: what the provider's log and the database say about notices, compared as sets. Pure.

Lost: accepted by us, not taken by the provider, and no dead letter with a reason. Doubled: taken
more than once. No counter of Ponte's own is looked at.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

TAKEN = "taken"
CHANNELS = frozenset({"email", "whatsapp", "sms", "push"})
"""Of notices; the provider's log also holds what customers got and what Rasa was asked."""

WAITING = frozenset({"pending", "sending", "unknown"})


@dataclass(frozen=True, slots=True)
class Call:
    """One line of the provider's log.

    Attributes:
        at: Seconds since 1970.
        channel: email, whatsapp, sms, push, or bot.
        key: The notice's id, as it travels with the request.
        did: `taken`, or what was done instead.
        times: Which request with this key it was, from 1.
        pid: The process that asked; 0: none of Ponte's workers.
    """

    at: float
    channel: str
    key: str
    did: str
    times: int = 1
    pid: int = 0


@dataclass(frozen=True, slots=True)
class Note:
    """What the provider's log says besides: an answer was written, or a status was accepted.

    Attributes:
        at: Seconds since 1970.
        key: The notice's id.
        what: `answered`: whole and in time; `told`: our web process said 200 to a status.
        times: Of the request that it is about.
    """

    at: float
    key: str
    what: str
    times: int = 1


@dataclass(frozen=True, slots=True)
class Doubling:
    """A notice that was taken once more, and why; empty: nothing explains it."""

    channel: str
    key: str
    why: str


@dataclass(frozen=True, slots=True)
class Row:
    """A notice in the database.

    Attributes:
        key: Its id.
        state: Of delivery.
        told_by: The notice in whose words it is told (digest), or itself.
        dead: Why it is in the dead-letter queue; None when it is not there; empty: no reason given.
    """

    key: str
    state: str
    told_by: str
    dead: str | None = None
    channel: str = ""
    ours: bool = True
    """A producer of the test made it; else it is an alert that Ponte itself made of what happened:
    that one may wait for the end of its digest's window."""
    lost_workers: int = 0
    once: bool = False
    """It may go out once at most."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of the notices that were accepted."""

    produced: int
    delivered: int
    dead: int
    lost: tuple[str, ...]
    doubled: Mapping[str, int] = field(default_factory=dict)
    """Key to how often it was taken, of those taken more than once."""
    doubled_by_channel: Mapping[str, int] = field(default_factory=dict)
    open: tuple[str, ...] = ()
    """Neither taken by the provider nor dead, but still on their way: lost, if nothing comes."""
    held: int = 0
    """Alerts about what happened that wait to be told together."""
    unasked: tuple[str, ...] = ()
    """Taken by the provider although nobody had accepted them."""
    doublings: tuple[Doubling, ...] = ()
    """Each with its cause, as far as the log was asked for causes."""
    inexplicable: tuple[str, ...] = ()
    """Dead letters whose reason the log does not bear out."""

    @property
    def uncaused(self) -> tuple[Doubling, ...]:
        """Doublings that nothing explains."""
        return tuple(one for one in self.doublings if not one.why)

    @property
    def dup(self) -> int:
        """How many deliveries were too many."""
        return sum(count - 1 for count in self.doubled.values())


def tally(accepted: Collection[str], rows: Sequence[Row], calls: Sequence[Call]) -> Tally:
    """Compare. A notice counts as accepted when a commit was seen, or when its row is there."""
    present = set(accepted) | {row.key for row in rows}
    calls = [call for call in calls if call.channel in CHANNELS]
    taken = Counter(call.key for call in calls if call.did == TAKEN)
    told_by = {row.key: row.told_by for row in rows}
    held = {
        row.key
        for row in rows
        if not row.ours and row.state in WAITING and not taken[row.key] and not taken[row.told_by]
    }
    everything = present - held
    dead = {row.key for row in rows if row.dead}
    delivered = {key for key in everything if taken[told_by.get(key, key)] or taken[key]}
    missing = everything - delivered - dead
    waiting = {row.key for row in rows if row.state in WAITING}
    doubled = {key: count for key, count in taken.items() if count > 1}
    channels = {call.key: call.channel for call in calls if call.did == TAKEN}
    by_channel: Counter[str] = Counter()
    for key, count in doubled.items():
        by_channel[channels[key]] += count - 1
    return Tally(
        produced=len(everything),
        delivered=len(delivered),
        dead=len(dead - delivered),
        lost=tuple(sorted(missing)),
        doubled=doubled,
        doubled_by_channel=dict(by_channel),
        open=tuple(sorted(missing & waiting)),
        held=len(held),
        unasked=tuple(sorted(set(taken) - present)),
    )


def read_log(text: str) -> list[Call]:
    """The calls to send notices in a provider's log; a last line without its end is left out."""
    whole = text[: text.rfind("\n") + 1]
    lines = [json.loads(line) for line in whole.splitlines()]
    return [
        Call(
            one["at"],
            one["channel"],
            one["key"],
            one["did"],
            one.get("times", 1),
            one.get("pid", 0),
        )
        for one in lines
        if "did" in one
    ]


def read_notes(text: str) -> list[Note]:
    """What a provider's log says besides the requests."""
    whole = text[: text.rfind("\n") + 1]
    lines = [json.loads(line) for line in whole.splitlines()]
    return [
        Note(one["at"], one["key"], one["note"], one["times"]) for one in lines if "note" in one
    ]
