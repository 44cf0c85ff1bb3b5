"""From the table of provider codes to a `Failure`: the one way that senders classify a refusal."""

from __future__ import annotations

from datetime import timedelta

from channels.codes.rule import Kind, Provider
from channels.codes.table import rule_for
from channels.codes.unknown import readable
from notifications.domain.failure import Consequence, Failure, FailureKind

_OURS_FROM = timedelta(seconds=60)
"""Waits below this are a floor for the first retry; the exponential delay takes their place."""


def failure_for(
    provider: Provider | str,
    code: str | None,
    *,
    http_status: int | None = None,
    retry_after: timedelta | None = None,
    detail: str = "",
    final: bool = False,
) -> Failure:
    """The failure that a provider's code stands for.

    Args:
        provider: `whatsapp`, `twilio`, `fcm` or `smtp`.
        code: As the provider writes it; None when the answer had none.
        http_status: Of the answer.
        retry_after: What the provider asked for.
        detail: In our words; default: the table's meaning.
        final: It was reported by a status, after the provider had accepted the message: an unknown
            code is permanent then, whatever `http_status` says.

    Returns:
        The failure. The longer of the provider's and the table's wait holds; a wait of the table
        that is longer is ours, so that the cap on providers does not cut it. What will not be
        tried again has nothing to wait for.
    """
    rule = rule_for(provider, code, http_status=None if final else http_status)
    # The table's key may be a pattern (`*_5.1.1`): the failure shows what the provider wrote.
    name = rule.code if code is None else readable(code)
    if rule.provider is Provider.SMTP and not name.startswith("smtp_"):
        name = f"smtp_{name}"
    may_return = rule.kind in {Kind.TRANSIENT, Kind.RATE_LIMITED}
    own = rule.wait if rule.wait is not None and rule.wait >= _OURS_FROM else None
    wait_is_ours = own is not None and (retry_after is None or own >= retry_after)
    wait = own if wait_is_ours else retry_after
    return Failure(
        kind=FailureKind(rule.kind.value),
        code=name,
        http_status=http_status,
        retry_after=wait if may_return else None,
        detail=detail or rule.meaning,
        consequence=Consequence(rule.effect.value),
        wait_is_ours=wait_is_ours and may_return,
        attempts_allowed=rule.attempts if may_return else None,
    )
