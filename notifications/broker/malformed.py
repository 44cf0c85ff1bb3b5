"""What no actor can read is put aside, not dropped: it becomes a dead letter."""

from __future__ import annotations

from typing import Any

import dramatiq
from dramatiq.middleware import Middleware


class MalformedMessageError(ValueError):
    """The body of a message is not that of a job."""


class Malformed(Middleware):
    """Sends a message whose body makes no sense to Dramatiq's dead set.

    Without a Retries middleware Dramatiq acknowledges whatever ended with an exception. The dead
    set is read by the reconciler of dead letters.
    """

    def after_process_message(
        self,
        _broker: dramatiq.Broker,
        message: Any,
        *,
        result: object = None,  # noqa: ARG002 - the signature is Dramatiq's
        exception: BaseException | None = None,
    ) -> None:
        """Called after an actor ended."""
        if exception is not None:
            message.fail()
