"""The gate of all processes: `gate.lua` in Redis, one round trip for a batch.

The time is Redis's own, not the caller's: of twenty processes on several machines one always has a
wrong clock, and with it would send its probe early or hold the others back. Tests hand it a time.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from notifications.domain.breaker import EPOCH, Breaker, BreakerState
from notifications.domain.jobs import JobName
from notifications.domain.pauses import Pause
from notifications.services.ports import Outcome, Passage
from notifications.shared_state.job_gate import Change, signal_of

PREFIX = "ponte:gate"

TIMEOUT_SECONDS = 0.2
"""A Redis that does not answer by then counts as away: the gate must not hold up what it guards."""

SCRIPT = (Path(__file__).parent / "gate.lua").read_text(encoding="utf-8")

_MILLISECOND = timedelta(milliseconds=1)
_HEADER = 15


@dataclass(frozen=True, slots=True)
class Look:
    """What Redis knows of a job name.

    Attributes:
        breaker: Its breaker.
        pause: Its pause.
        now: The time there.
    """

    breaker: Breaker
    pause: Pause
    now: datetime

    def waits(self) -> timedelta:
        """How long until anything may leave by it; zero: now."""
        return self.breaker.waits(self.now) or self.pause.waits(self.now)


def connect(url: str) -> Redis[Any]:
    """A client that gives up quickly and tries nothing twice."""
    return Redis.from_url(
        url,
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
    )


class RedisGate:
    """See the module's text. Every method raises `RedisError` or `OSError` when Redis is away.

    Args:
        client: From `connect`.
        recipient_key: Key of the hash under which a paused recipient is kept: Redis holds no
            address.
        now: For tests; None: the time of Redis.
        prefix: Of the keys.
    """

    def __init__(
        self,
        client: Redis[Any],
        *,
        recipient_key: str,
        now: Callable[[], datetime] | None = None,
        prefix: str = PREFIX,
    ) -> None:
        self._client: Any = client  # its stubs are older than it is
        self._script = client.register_script(SCRIPT)
        self._key = recipient_key.encode()
        self._now = now
        self._prefix = prefix

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def admit(
        self, job_name: JobName, recipients: Sequence[str]
    ) -> tuple[list[Passage], Look, list[Change]]:
        """One answer for each recipient, and what is known now."""
        keys = [self._recipient(job_name, recipient) for recipient in recipients]
        look, rest = await self._run(job_name, "admit", keys)
        passages = []
        probed = False
        for i in range(0, len(rest), 4):
            allowed, probe, wait, reason = rest[i : i + 4]
            probed = probed or probe == 1
            passages.append(
                Passage(
                    allowed=allowed == 1,
                    probe=probe == 1,
                    wait=wait * _MILLISECOND,
                    reason=reason,
                    generation=look.breaker.generation if allowed == 1 else 0,
                )
            )
        # From open, or from half-open when the probe before it never came back.
        changes = [Change(BreakerState.OPEN, BreakerState.HALF_OPEN)] if probed else []
        return passages, look, changes

    async def report(
        self, job_name: JobName, outcomes: Sequence[Outcome]
    ) -> tuple[Look, list[Change]]:
        """Tell what came of sends; what is known now, and the changes that this made."""
        keys, values = [], []
        for outcome in outcomes:
            key = self._recipient(job_name, outcome.recipient)
            signal = signal_of(outcome, key)
            keys.append(key)
            values += [signal.verdict.value, int(signal.probe), signal.generation]
            values += [signal.effect, signal.asked // _MILLISECOND, signal.code]
        look, rest = await self._run(job_name, "report", keys, *values)
        pairs = zip(rest[::2], rest[1::2], strict=True)
        return look, [Change(BreakerState(one), BreakerState(other)) for one, other in pairs]

    async def look(self, job_names: Sequence[JobName]) -> Mapping[JobName, Look]:
        """What is known of each; changes nothing."""
        return {name: (await self._run(name, "look", ()))[0] for name in job_names}

    async def _run(
        self, job_name: JobName, action: str, keys: Sequence[str], *values: Any
    ) -> tuple[Look, list[Any]]:
        moment = "" if self._now is None else (self._now() - EPOCH) // _MILLISECOND
        own = [f"{self._prefix}:{kind}:{job_name.value}" for kind in ("breaker", "pause")]
        answer = await self._script(keys=[*own, *keys], args=[action, moment, *values])
        return _look(answer[:_HEADER]), answer[_HEADER:]

    def _recipient(self, job_name: JobName, recipient: str) -> str:
        digest = hmac.new(self._key, recipient.encode(), hashlib.sha256).hexdigest()
        # Half of it tells recipients apart as well.
        return f"{self._prefix}:recipient:{job_name.value}:{digest[:32]}"


def _look(header: Sequence[Any]) -> Look:
    state, failures, generation, until, pause, changed_at, code, now = header[:8]
    paused_until, length, step, ramping, allowance, granted_at, passed = header[8:]
    return Look(
        Breaker(
            state=BreakerState(state),
            failures=failures,
            generation=generation,
            until=_moment(until),
            pause=pause * _MILLISECOND,
            changed_at=_moment(changed_at),
            code=code,
        ),
        Pause(
            until=_moment(paused_until),
            length=length * _MILLISECOND,
            step=step,
            ramping=ramping == 1,
            allowance=allowance,
            granted_at=_moment(granted_at),
            passed=passed,
        ),
        _moment(now),
    )


def _moment(milliseconds: int) -> datetime:
    return EPOCH + milliseconds * _MILLISECOND
