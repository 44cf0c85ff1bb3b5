"""F18: Rasa is away, slow, or talks nonsense: a person gets the customer."""

from __future__ import annotations

from typing import Any

from tests.faults.customers import Written, customer, write
from tests.faults.lab import Lab
from tests.faults.measured import Measured
from tests.faults.sizes import Sizes
from tests.ponte.waiting import wait_until

WITHIN_SECONDS = 5.0
FAULTS: dict[str, dict[str, Any]] = {
    "down": {"do": "reset"},
    "20 s slow": {"do": "hang"},
    "malformed": {"do": "garbage"},
    "error 500": {"do": "error", "status": 500},
}
_STORED = "SELECT provider_id FROM messages WHERE direction = 'inbound'"
_HANDED = """
SELECT m.provider_id FROM handoffs h JOIN messages m ON m.id = h.turn_id
"""


def broken_bot(lab: Lab, sizes: Sizes) -> Measured:
    """F18."""
    result = Measured("F18", "Rasa down, 20 s slow, malformed, failing")
    lab.begin(workers=1)
    wrote: list[Written] = []
    lab.behave(channels=["bot"])
    first = write(lab, customer(0), "oi", wamid="wamid.first")
    answered = "SELECT 1 FROM turns WHERE state = 'done' AND outcome <> 'handed_off'"
    wait_until(lambda: lab.sql(answered), "the bot's first answer", seconds=30)
    slowest: dict[str, float] = {}
    number = 0
    for name, rule in FAULTS.items():
        lab.behave(rule, channels=["bot"])
        mine = []
        for _ in range(max(1, sizes.messages // len(FAULTS))):
            number += 1
            mine.append(write(lab, customer(number), "quero ajuda", wamid=f"wamid.{number}"))
        wrote += mine
        slowest[name] = _slowest_handoff(lab, mine)
    lab.behave(channels=["bot"])
    stored = {row["provider_id"] for row in lab.sql(_STORED)}
    missing = {one.wamid for one in (first, *wrote) if one.status == 200} - stored
    refused = [one for one in wrote if one.status != 200]
    result.must("no message lost", not missing, f"{len(missing)} of {len(wrote) + 1}")
    result.must("all accepted", not refused, f"{len(refused)} refused")
    within = WITHIN_SECONDS * sizes.slack
    for name, seconds in slowest.items():
        result.must(f"{name}: a person within {within:g} s", seconds <= within, f"{seconds:.2f} s")
    return result


def _slowest_handoff(lab: Lab, wrote: list[Written]) -> float:
    """Seconds from the webhook until its handoff is seen, of the slowest; endless without one."""
    found: dict[str, float] = {}

    def all_there() -> bool:
        rows = lab.sql(_HANDED)
        for row in rows:
            found.setdefault(row["provider_id"], lab.clock_seconds())
        return all(one.wamid in found for one in wrote)

    try:
        wait_until(all_there, "the handoffs", seconds=40)
    except AssertionError:
        return float("inf")
    return max(found[one.wamid] - one.at for one in wrote)
