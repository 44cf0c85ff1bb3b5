"""F1, F2, F16, F19: workers that are killed, stopped, or killed by what they deliver."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from notifications.domain.jobs import Channel
from tests.faults.lab import Lab
from tests.faults.measured import Measured
from tests.faults.produce import Steady, Wanted, address, produce
from tests.faults.sizes import Sizes
from tests.ponte.waiting import wait_until

THREADS = 8
THREADS_TIMES_PROCESSES = 2 * THREADS
SETTLE_SECONDS = 240
_DELAYS = "SELECT id::text AS key, extract(epoch FROM created_at)::float AS made FROM notifications"
_PAUSE = threading.Event()


def pause(seconds: float) -> None:
    """Let time pass: the faults have a rhythm."""
    _PAUSE.wait(seconds)


def finished_after(lab: Lab, *, seconds: float = SETTLE_SECONDS) -> Callable[[], float]:
    """Begin to measure; the result waits until nothing is under way and tells how long it took."""
    began = time.monotonic()

    def measure() -> float:
        lab.settle(seconds=seconds)
        return time.monotonic() - began

    return measure


def kill_all_at_half(lab: Lab, sizes: Sizes) -> Measured:
    """F1."""
    result = Measured("F1", f"kill -9 of all workers at half of {sizes.many}")
    lab.begin()
    lab.behave(delay=0.02)
    lab.accepted |= produce(lab.database_url, Wanted(sizes.many))
    wait_until(lambda: lab.taken() >= sizes.many // 2, "half of the notices", seconds=120)
    lab.kill_all("worker")
    lab.ensure()
    seconds = finished_after(lab)()
    result.judge(lab.tally(), dup=THREADS_TIMES_PROCESSES)
    result.must("all done <= 60 s after the restart", seconds <= 60, f"{seconds:.1f} s")
    return result


def kill_one_again_and_again(lab: Lab, sizes: Sizes) -> Measured:
    """F2."""
    result = Measured("F2", f"kill -9 of a worker every 5 s, {sizes.per_second}/s")
    lab.begin()
    lab.behave(delay=0.02)
    kills = 0
    with Steady(lab.database_url, sizes.per_second) as traffic:
        end = time.monotonic() + sizes.storm_seconds
        while time.monotonic() < end:
            pause(5)
            kills += 1
            lab.running("worker")[0].kill()
            lab.start("worker")
    lab.accepted |= traffic.accepted
    finished_after(lab)()
    found = lab.tally()
    # A tenth of a per cent. The short form has few notices and shares its machine with other
    # tests: there each kill may find what its threads have sent and not recorded yet.
    few = 0 if sizes.long else kills * THREADS
    result.judge(found, dup=max(few, found.produced // 1000))
    p99 = quantile(delays(lab), 0.99)
    result.must("99 % delivered within 80 s", p99 <= 80, f"p99 {p99:.1f} s")
    return result


def poison(lab: Lab, sizes: Sizes) -> Measured:
    """F16."""
    result = Measured("F16", f"one notice of {sizes.some} kills every worker that sends it")
    lab.begin()
    bad = sizes.some // 2 * 2  # an even number: an e-mail
    victim = address(bad, Channel.EMAIL)
    rule = {"do": "kill", "recipient": victim}
    lab.behave(rule, delay=0.05)
    lab.accepted |= produce(lab.database_url, Wanted(sizes.some + 1))

    def all_but_alive() -> bool:
        for _ in range(2 - len(lab.running("worker"))):
            lab.start("worker")
        return lab.under_way() == 0

    wait_until(all_but_alive, "the poison to be found out", seconds=SETTLE_SECONDS)
    found = lab.tally()
    kills = sum(1 for call in lab.calls() if call.did == "kill")
    reasons = lab.sql(
        "SELECT d.reason, n.lost_workers FROM dead_letters d "
        "JOIN notifications n ON n.id = d.notification_id WHERE n.recipient = %(who)s",
        who=victim,
    )
    result.judge(found, dup=THREADS_TIMES_PROCESSES)
    result.must("a dead letter after 3 kills", kills == 3, f"{kills} kills")
    result.must("with the reason poison", [r["reason"] for r in reasons] == ["poison"], reasons)
    result.must("nothing else dead", found.dead == 1, f"{found.dead} dead")
    slowest = max(delays(lab, without=victim))
    result.must("others delayed <= 60 s", slowest <= 60, f"{slowest:.1f} s")
    return result


def two_poisons(lab: Lab, sizes: Sizes) -> Measured:
    """F16b: both are found out, and nobody is buried with them."""
    result = Measured("F16b", f"two notices of {sizes.some} kill every worker that sends them")
    lab.begin()
    channels = [Channel.EMAIL, Channel.PUSH]
    victims = {address(number, Channel.EMAIL) for number in (10, sizes.some // 2 * 2)}
    lab.behave(*({"do": "kill", "recipient": one} for one in victims), delay=0.05)
    lab.accepted |= produce(lab.database_url, Wanted(sizes.some + 1, channels))

    def all_but_alive() -> bool:
        for _ in range(2 - len(lab.running("worker"))):
            lab.start("worker")
        return lab.under_way() == 0

    wait_until(all_but_alive, "the poisons to be found out", seconds=SETTLE_SECONDS)
    dead = lab.sql(
        "SELECT n.recipient, d.reason, n.lost_workers FROM dead_letters d "
        "JOIN notifications n ON n.id = d.notification_id"
    )
    result.judge(lab.tally(), dup=2 * THREADS_TIMES_PROCESSES)
    # The one may kill before the request of the other has come.
    deaths = [row["lost_workers"] for row in dead]
    result.must("three deaths each", deaths == [3, 3], deaths)
    buried = sorted((row["recipient"], row["reason"]) for row in dead)
    expected = sorted((one, "poison") for one in victims)
    result.must("both dead, nothing else", buried == expected, f"{len(buried)} dead")
    return result


def deploy(lab: Lab, sizes: Sizes) -> Measured:
    """F19."""
    result = Measured("F19", "SIGTERM to every worker under load, one after the other")
    lab.begin()
    lab.behave(delay=0.05)
    slowest, codes = 0.0, set()
    with Steady(lab.database_url, sizes.per_second) as traffic:
        for old in lab.running("worker"):
            pause(2)
            new = lab.start("worker")
            lab.wait_ready(new)
            seconds, code = old.end()
            slowest = max(slowest, seconds)
            codes.add(code)
        pause(1)
    lab.accepted |= traffic.accepted
    finished_after(lab)()
    result.judge(lab.tally(), dup=0)
    result.must("stopped within 30 s", slowest <= 30, f"{slowest:.1f} s")
    result.must("exit code 0", codes == {0}, codes)
    return result


def delays(lab: Lab, *, without: str = "") -> list[float]:
    """Seconds from the row to the provider, for every notice that arrived."""
    arrived: dict[str, float] = {}
    for call in lab.calls():
        if call.did == "taken":
            arrived.setdefault(call.key, call.at)
    made = {row["key"]: row["made"] for row in lab.sql(_DELAYS)}
    del without  # the one that kills is never taken
    return [at - made[key] for key, at in arrived.items() if key in made]


def quantile(values: list[float], part: float) -> float:
    """The value below which this part lies; nothing arrived: for ever."""
    if not values:
        return float("inf")
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]
