"""Who answers a conversation: bot, queued or human, with an epoch that only grows.

Every change of control starts a new epoch. A bot message carries the epoch it was computed under
and is dropped at send time when the conversation has moved on, so no bot message leaves after a
person took over.
"""

from __future__ import annotations

from dataclasses import dataclass

from ticketing.domain.enums import Author, Control


@dataclass(frozen=True, slots=True)
class ControlState:
    """Who has control, and since which epoch."""

    control: Control
    epoch: int


class ControlError(Exception):
    """The change of control asked for is not possible from the present state."""

    def __init__(self, wanted: str, present: Control) -> None:
        self.wanted = wanted
        self.present = present
        super().__init__(f"cannot {wanted}: control is {present.value}")


def queue(state: ControlState) -> ControlState:
    """The bot gives the conversation up and it waits for a person.

    Raises:
        ControlError: when the bot does not have control.
    """
    if state.control is not Control.BOT:
        wanted = "queue the conversation"
        raise ControlError(wanted, state.control)
    return ControlState(Control.QUEUED, state.epoch + 1)


def requeue(state: ControlState) -> ControlState:
    """A person gives the conversation to another queue.

    Raises:
        ControlError: when the bot has control.
    """
    if state.control is Control.BOT:
        wanted = "put the conversation back in a queue"
        raise ControlError(wanted, state.control)
    return ControlState(Control.QUEUED, state.epoch + 1)


def take(state: ControlState) -> ControlState:
    """A person takes the conversation, from the queue, from the bot or from another person."""
    return ControlState(Control.HUMAN, state.epoch + 1)


def return_to_bot(state: ControlState) -> ControlState:
    """The bot answers again.

    Raises:
        ControlError: when the bot has control already.
    """
    if state.control is Control.BOT:
        wanted = "return to the bot"
        raise ControlError(wanted, state.control)
    return ControlState(Control.BOT, state.epoch + 1)


def may_leave(state: ControlState, *, author: Author, epoch: int | None) -> bool:
    """Whether a message computed under `epoch` may still be sent to the customer.

    A person's and the system's words always may; the bot's only under the present epoch.
    """
    return author is not Author.BOT or epoch == state.epoch
