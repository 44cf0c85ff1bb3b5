"""What the services need from the outside, as protocols; `ticketing.gateways` fulfils them."""

from __future__ import annotations

import uuid
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ticketing.domain.delivery import Failure
from ticketing.domain.language import Guess
from ticketing.domain.turn import Parse, TurnFacts
from ticketing.services.deliveries import Dispatch


@dataclass(frozen=True, slots=True)
class BotReply:
    """What the bot answers to a turn.

    `replies` are Rasa's bubbles; `replayed` says that the bot had run this turn before and gives
    the same answer again.
    """

    replies: Sequence[dict[str, Any]]
    parse: Parse
    active_form: str | None
    model: str
    replayed: bool
    stays: bool = False
    """The rules decided this very turn, and decided that the bot answers."""
    counts_as_failure: bool = False
    """Of a turn that stays: it was not understood all the same (an honest "I can't do that")."""


class BotUnavailableError(Exception):
    """The bot did not answer, or not in the agreed form. The turn can be asked again.

    `reachable` is False when nothing listens at its address: it may still be starting.
    """

    def __init__(self, problem: str, *, reachable: bool) -> None:
        self.reachable = reachable
        super().__init__(problem)


class Bot(Protocol):
    """The assistant."""

    async def turn(self, facts: TurnFacts, *, text: str, payload: str | None) -> BotReply:
        """Run one turn, once per message id.

        Raises:
            BotUnavailableError: no answer in time, or a malformed one.
        """
        ...


class SendFailedError(Exception):
    """A message was not accepted by the provider, or nobody knows."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure
        super().__init__(f"{failure.kind}: {failure.code}")


class Sender(Protocol):
    """A channel, outwards."""

    async def send(self, dispatch: Dispatch) -> str:
        """Send and return the provider's id.

        Raises:
            SendFailedError: with the classified failure.
        """
        ...

    def acknowledge(self, account_id: str, provider_id: str) -> Coroutine[Any, Any, None]:
        """Show the customer that the message was read and an answer is coming; best effort."""
        ...


class LanguageDetector(Protocol):
    """Guesses the language of a text."""

    def guess(self, text: str) -> Guess | None:
        """The guess; None when there are no words in it."""
        ...


class Waker(Protocol):
    """Something that can be told that work is waiting."""

    def wake(self, id_: uuid.UUID) -> None:
        """Work for this id is waiting; returns at once."""
        ...
