"""What becomes of an outgoing message: states by rank, and what to do after a failed attempt."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from ticketing.domain.enums import DeliveryState

FailureKind = Literal["transient", "permanent", "stop_channel", "unknown"]

# WhatsApp may deliver statuses out of order, and a message read at once sends only `read` (Meta,
# webhooks reference): the state is the highest rank seen and never goes back. `failed` ranks with
# `sent`: it replaces an unsent state, and a later `delivered` (several devices) overrides it.
_RANK = {
    DeliveryState.PENDING: 0,
    DeliveryState.SENDING: 1,
    DeliveryState.UNKNOWN: 2,
    DeliveryState.SENT: 3,
    DeliveryState.FAILED: 4,
    DeliveryState.DELIVERED: 5,
    DeliveryState.READ: 6,
    DeliveryState.DROPPED: 7,
}
_PROVIDER_STATUS = {
    "sent": DeliveryState.SENT,
    "delivered": DeliveryState.DELIVERED,
    "read": DeliveryState.READ,
    "played": DeliveryState.READ,
    "failed": DeliveryState.FAILED,
}

MAX_ATTEMPTS = 6  # with the delays below, about ten minutes of a provider that is down
_BASE = timedelta(seconds=1)
_CAP = timedelta(minutes=5)
_RETRY_AFTER_CAP = timedelta(minutes=2)
_PAIR_LIMIT_CODE = 131056
_STOPPED_CHANNEL_DELAY = timedelta(minutes=1)


def state_of_status(status: str) -> DeliveryState | None:
    """Our state for a provider's status word; None for a word that says nothing about delivery."""
    return _PROVIDER_STATUS.get(status)


def raised(present: DeliveryState, reported: DeliveryState) -> DeliveryState:
    """The state after a report: the higher rank of the two.

    >>> raised(DeliveryState.READ, DeliveryState.DELIVERED)
    <DeliveryState.READ: 'read'>
    """
    return reported if _RANK[reported] > _RANK[present] else present


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt failed, as the channel adapter classified it."""

    kind: FailureKind
    code: str
    detail: str
    http_status: int | None = None
    retry_after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class TryAgain:
    """Send again after `delay`, from `state`."""

    delay: timedelta
    state: DeliveryState
    spends_attempt: bool


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Do not send again."""

    reason: str


def after_failure(  # noqa: PLR0911 - one line per kind of failure reads best
    failure: Failure, *, attempt: int, jitter: float, unknown_wait: timedelta
) -> TryAgain | GiveUp:
    """What to do after attempt number `attempt` (from 1) failed.

    Args:
        failure: What the adapter says.
        attempt: Number of attempts spent, this one included.
        jitter: A number in [0, 1): full jitter (AWS Architecture Blog, "Exponential Backoff And
            Jitter").
        unknown_wait: How long to wait for a status before a message that may have been sent is
            sent again.
    """
    if failure.kind == "permanent":
        return GiveUp(failure.code)
    if failure.kind == "stop_channel":
        # Token, account or billing: attempts do not help and must not be burnt meanwhile.
        return TryAgain(_STOPPED_CHANNEL_DELAY, DeliveryState.PENDING, spends_attempt=False)
    if attempt >= MAX_ATTEMPTS:
        return GiveUp(f"gave up after {attempt} attempts: {failure.code}")
    if failure.kind == "unknown":
        return TryAgain(unknown_wait, DeliveryState.UNKNOWN, spends_attempt=True)
    if failure.code == str(_PAIR_LIMIT_CODE):
        # Meta: retry after 4^X seconds, X = 0, 1, 2, ...
        delay = timedelta(seconds=4 ** (attempt - 1))
        return TryAgain(min(delay, _CAP), DeliveryState.PENDING, spends_attempt=True)
    if failure.retry_after is not None:
        delay = min(failure.retry_after, _RETRY_AFTER_CAP)
        return TryAgain(delay, DeliveryState.PENDING, spends_attempt=False)
    ceiling = min(_BASE * 2 ** (attempt - 1), _CAP)
    # Half of the delay is kept: a first retry after 0 s would meet the same broken provider.
    return TryAgain(ceiling * (0.5 + jitter / 2), DeliveryState.PENDING, spends_attempt=True)
