"""F13 to F15c: what the provider does: refuses all, asks to wait, keeps its answers back."""

from __future__ import annotations

import time
from datetime import timedelta
from itertools import pairwise
from typing import Any

from notifications.domain.jobs import Channel
from notifications.domain.retry import STATUS_WAIT
from tests.faults.deaths import finished_after, pause
from tests.faults.lab import Lab
from tests.faults.ledger import Call, Tally
from tests.faults.measured import Measured
from tests.faults.produce import Steady, Wanted, produce
from tests.faults.sizes import Sizes
from tests.ponte.waiting import wait_until

THRESHOLD = 5
"""Failures in a row that open the breaker (requirement D3)."""

COOL_DOWN_SECONDS = 60.0
MARGIN_SECONDS = 5.0
REQUESTS_UNDER_WAY_SECONDS = 1.0
"""Requests that began before the refusal was known may arrive for so long."""


def refusing_provider(lab: Lab, sizes: Sizes) -> Measured:
    """F13."""
    result = Measured("F13", f"WhatsApp answers 500 for {sizes.refusing_seconds} s, 50/s")
    lab.begin()
    lab.behave({"do": "error", "status": 500}, channels=["whatsapp"])
    with Steady(lab.database_url, 50, [Channel.WHATSAPP]) as traffic:
        pause(sizes.refusing_seconds)
        lab.behave(channels=["whatsapp"])
        mended = lab.clock_seconds()
    lab.accepted |= traffic.accepted
    finished_after(lab)()
    result.judge(lab.tally(), dup=0)
    calls = [call for call in lab.calls() if call.channel == "whatsapp"]
    refused = [call.at for call in calls if call.did == "error"]
    opened = refused[THRESHOLD - 1] if len(refused) >= THRESHOLD else float("inf")
    bursts = probes_after(refused, opened + MARGIN_SECONDS)
    crowd = [at for at in refused if opened < at <= opened + MARGIN_SECONDS]
    last = max(crowd, default=opened)
    result.must(
        f"opens within {MARGIN_SECONDS:g} s",
        last - opened <= MARGIN_SECONDS,
        f"{last - opened:.1f} s, {len(crowd)} calls",
    )
    closest = min((b - a for a, b in pairwise(bursts)), default=float("inf"))
    result.must(
        "one probe in each half-open period",
        closest >= COOL_DOWN_SECONDS - 1,
        f"{len(bursts)} probes, closest {closest:.0f} s",
    )
    back = min((call.at for call in calls if call.did == "taken" and call.at >= mended), default=0)
    limit = COOL_DOWN_SECONDS + MARGIN_SECONDS
    result.must(
        f"works again within {limit:g} s",
        back > 0 and back - mended <= limit,
        f"{back - mended:.1f} s",
    )
    return result


def probes_after(calls: list[float], moment: float) -> list[float]:
    """Calls after a moment, in order."""
    return sorted(at for at in calls if at > moment)


def provider_asks_to_wait(lab: Lab, sizes: Sizes) -> Measured:
    """F14."""
    asked = sizes.retry_after_seconds
    result = Measured("F14", f"WhatsApp answers 429, Retry-After {asked}")
    lab.begin()
    rule = {"do": "error", "status": 429, "code": 130429, "retry_after": str(asked)}
    lab.behave(rule, channels=["whatsapp"])
    lab.accepted |= produce(lab.database_url, Wanted(sizes.some, [Channel.WHATSAPP]))
    wait_until(lambda: any(call.did == "error" for call in lab.calls()), "a 429", seconds=60)
    lab.behave(channels=["whatsapp"])
    finished_after(lab)()
    result.judge(lab.tally(), dup=0)
    calls = lab.calls()
    first = min(call.at for call in calls if call.did == "error")
    early = too_early(calls, first, asked)
    result.must(f"no call before {asked} s", not early, f"{len(early)} too early")
    spent = lab.sql("SELECT max(attempts) AS most FROM notifications")[0]["most"]
    result.must("no attempt spent", spent == 1, f"most attempts {spent}")
    return result


def too_early(calls: list[Call], refused: float, seconds: float) -> list[Call]:
    """Calls within the time that the provider asked for, but for those that were under way."""
    return [
        call
        for call in calls
        if refused + REQUESTS_UNDER_WAY_SECONDS < call.at < refused + seconds - 0.1
    ]


MORE = timedelta(seconds=15)
"""By so much the web process stays away for longer than a status is waited for."""

_RECEIVES = "SELECT 1 FROM webhook_reception"

ALL_CHANNELS = (Channel.EMAIL, Channel.WHATSAPP, Channel.SMS, Channel.PUSH)
PATIENCE_SECONDS = 900
"""Answers that were waited for in vain come in a row and open the breaker, again and again: each
time everything waits for a minute."""

KEPT_BACK: tuple[dict[str, Any], ...] = (
    {"do": "drop", "share": 0.1, "first_only": True},
    # Senders wait for ten seconds: the answer comes when nobody listens any more.
    {"do": "late", "share": 0.05, "seconds": 15.0, "first_only": True},
    {"do": "drip", "share": 0.05, "seconds": 15.0, "first_only": True},
)


def dropped_answers(lab: Lab, sizes: Sizes) -> Measured:
    """F15: a fifth of what is taken is confirmed late, slowly or never.

    Of WhatsApp only statuses tell, late, twice and in any order; of SMS only Twilio's list does, in
    which a message shows up after two seconds. Neither may double. E-mail and push have nothing
    that tells: those whose answer was kept back may be taken once more, under the same id.
    """
    result = Measured("F15", "a fifth is taken, and the answer dropped, late or dripping")
    lab.begin()
    statuses = {"late": (1.0, 20.0), "doubled": 0.3, "shuffled": True}
    lab.tell(tidings={"whatsapp": statuses, "sms": {"missing": 1.0}}, list_lag_seconds=2.0)
    lab.behave(*KEPT_BACK)
    once = _produce_both(lab, sizes, Channel.EMAIL)
    unknown = _unknown_is_seen(lab)
    lab.settle(seconds=PATIENCE_SECONDS)
    found = lab.tally()
    result.judge(found, dup=None)
    result.must("the state unknown was seen", unknown > 0, unknown)
    _repeats(result, found, once)
    for channel, teller in (("whatsapp", "statuses alone"), ("sms", "its list alone")):
        count = found.doubled_by_channel.get(channel, 0)
        result.must(f"{channel} doubled 0: {teller} tell", count == 0, count)
    _only_unknown_is_dead(lab, result)
    return result


def silent_provider(lab: Lab, sizes: Sizes) -> Measured:
    """F15b: the same, but half of WhatsApp's statuses never come, and Twilio's list is down.

    A WhatsApp notice of which nothing is ever told may double by design (decision 4): where a
    status came it may not. Of SMS the callbacks alone tell: doubled 0.
    """
    result = Measured("F15b", "answers kept back, half of the statuses missing, no list of SMS")
    lab.begin()
    half = {"late": (1.0, 20.0), "missing": 0.5, "doubled": 0.3, "shuffled": True}
    lab.tell(tidings={"whatsapp": half, "sms": half | {"missing": 0.0}}, list_fails=True)
    lab.behave(*KEPT_BACK, channels=["whatsapp", "sms"])
    once = _produce_both(lab, sizes, Channel.WHATSAPP)
    lab.settle(seconds=PATIENCE_SECONDS)
    found = lab.tally()
    result.judge(found, dup=None)
    _repeats(result, found, once)
    count = found.doubled_by_channel.get("sms", 0)
    result.must("sms doubled 0: its callbacks alone tell", count == 0, count)
    by = set(found.doubled_by_channel)
    result.must("only whatsapp without a status doubled", by <= {"whatsapp"}, by or "none")
    _only_unknown_is_dead(lab, result)
    return result


def statuses_without_web(lab: Lab, sizes: Sizes) -> Measured:
    """F15c: answers are dropped while no web process can hear of statuses, for over a wait.

    The wait for a status counts only while one could come: nothing may double.
    """
    away = (STATUS_WAIT + MORE).total_seconds()
    result = Measured("F15c", f"answers dropped, no web process for {away:g} s")
    lab.begin()
    lab.tell(tidings={"whatsapp": {"late": (1.0, 5.0), "shuffled": True}})
    lab.behave({"do": "drop", "share": 0.5, "first_only": True}, channels=["whatsapp"])
    wait_until(lambda: lab.sql(_RECEIVES), "the web process to say that it receives", seconds=30)
    lab.kill_all("web")
    lab.accepted |= produce(lab.database_url, Wanted(sizes.some, [Channel.WHATSAPP]))
    unknown = _unknown_is_seen(lab)
    pause(away)
    lab.ensure()
    lab.settle(seconds=PATIENCE_SECONDS)
    result.judge(lab.tally(), dup=0)
    result.must("the state unknown was seen", unknown > 0, unknown)
    return result


def _produce_both(lab: Lab, sizes: Sizes, channel: Channel) -> set[str]:
    """Notices of all channels, and some of this one that go out once at most: the ids of those."""
    lab.accepted |= produce(lab.database_url, Wanted(sizes.some * 2, ALL_CHANNELS))
    wanted = Wanted(sizes.some, [channel], at_most_once=True, first=1_000_000)
    once = produce(lab.database_url, wanted)
    lab.accepted |= once
    return once


def _repeats(result: Measured, found: Tally, once: set[str]) -> None:
    worst = max(found.doubled.values(), default=1)
    result.must("at least once: at most one too many each", worst <= 2, f"taken {worst} times")
    again = [key for key in found.doubled if key in once]
    result.must("at most once: doubled 0", not again, f"{len(again)}")


def _only_unknown_is_dead(lab: Lab, result: Measured) -> None:
    reasons = {row["reason"] for row in lab.sql("SELECT reason FROM dead_letters")}
    result.must("only of unknown outcome dead", reasons <= {"unknown_outcome"}, reasons or "none")


def _unknown_is_seen(lab: Lab) -> int:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        rows = lab.sql("SELECT count(*) AS n FROM notifications WHERE state = 'unknown'")
        if rows[0]["n"]:
            return int(rows[0]["n"])
        pause(0.05)
    return 0
