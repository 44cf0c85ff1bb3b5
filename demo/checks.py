"""Compare what happened with what a step expects; pure."""

from __future__ import annotations

from collections.abc import Sequence

from demo.observer import ConversationView, TurnView
from demo.script import Expectation

_JOB_OF = {"email": "send-email", "whatsapp": "send-whatsapp"}


def differences(
    expected: Expectation,
    *,
    turn: TurnView | None,
    replies: Sequence[str],
    buttons: int,
    view: ConversationView | None,
) -> list[str]:
    """One sentence per expectation that does not hold; empty when all do."""
    return [
        *_reply_differences(expected, replies=replies, buttons=buttons),
        *_decision_differences(expected, turn),
        *_ticket_differences(expected, view),
    ]


def _reply_differences(expected: Expectation, *, replies: Sequence[str], buttons: int) -> list[str]:
    found = []
    said = "\n".join(replies)
    if expected.no_reply and said:
        found.append(f"reply: expected none, got {said!r}")
    found += [
        f"reply: expected to hold {words!r}, got {said!r}"
        for words in expected.reply
        if words.casefold() not in said.casefold()
    ]
    if expected.buttons is not None and buttons != expected.buttons:
        found.append(f"buttons: expected {expected.buttons}, got {buttons}")
    return found


def _decision_differences(expected: Expectation, turn: TurnView | None) -> list[str]:
    wanted = {
        "intent": expected.intent,
        "outcome": expected.outcome,
        "rule": expected.rule,
        "reason": expected.reason,
    }
    decision = (turn.decision if turn else None) or {}
    snapshot = (turn.snapshot if turn else None) or {}
    got = {
        "intent": snapshot.get("top_intent"),
        "outcome": decision.get("outcome"),
        "rule": decision.get("rule"),
        "reason": decision.get("reason"),
    }
    return _unequal(wanted, got)


def _ticket_differences(expected: Expectation, view: ConversationView | None) -> list[str]:
    ticket = view.ticket if view else None
    wanted = {
        "level": expected.level,
        "queue": expected.queue,
        "priority": expected.priority,
        "control": expected.control,
        "ticket": expected.ticket,
    }
    got = {
        "level": ticket.level if ticket else None,
        "queue": view.queue if view else None,
        "priority": ticket.priority if ticket else None,
        "control": view.control if view else None,
        "ticket": ticket.status if ticket else "none",
    }
    found = _unequal(wanted, got)
    sent = {notice.job_name for notice in view.notifications if told(notice.state)} if view else ()
    found += [
        f"notified: expected {channel}, got {sorted(sent) or 'nobody'}"
        for channel in expected.notified
        if _JOB_OF[channel] not in sent
    ]
    return found


def told(state: str) -> bool:
    """Whether a notification has left."""
    return state in {"sent", "delivered", "read"}


def _unequal(wanted: dict[str, str | None], got: dict[str, str | None]) -> list[str]:
    return [
        f"{name}: expected {value}, got {got[name]}"
        for name, value in wanted.items()
        if value is not None and got[name] != value
    ]
