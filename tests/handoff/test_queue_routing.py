"""The routing keys of queues in the policy file: read, defaulted, refused with line and field."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from handoff.policy import HandoffPolicy
from handoff.policy_file import PolicyError, parse_policy
from handoff.queue_routing import Overflow, QueueRouting

SOURCE = (Path(__file__).resolve().parents[2] / "handoff.yml").read_text("utf-8")
PLACE = "  n1_support:\n"


def policy_with(lines: str, *, also: str = "") -> HandoffPolicy:
    assert SOURCE.count(PLACE) == 1
    written = "".join(f"    {line}\n" for line in lines.splitlines())
    source = SOURCE.replace(PLACE, PLACE + written)
    other = "".join(f"    {line}\n" for line in also.splitlines())
    source = source.replace("  n2_technical:\n", "  n2_technical:\n" + other)
    return parse_policy(source, filename="handoff.yml", holiday_dates=lambda *_: set())


def test_a_queue_that_says_nothing_gives_tickets_out_by_itself() -> None:
    routing = policy_with("").queues["n1_support"].routing
    assert routing == QueueRouting()
    assert (routing.assignment, routing.accept_within) == ("auto", timedelta(minutes=3))
    assert (routing.overflow, routing.relax) == (None, ())


def test_everything_can_be_said() -> None:
    routing = (
        policy_with(
            "assignment: pull\naccept_within_minutes: 5\nsilent_after_minutes: 0\n"
            "overflow: {queue: n2_technical, after_minutes: 45}\n"
            "relax: [language, skill]\nrelax_after_minutes: 10"
        )
        .queues["n1_support"]
        .routing
    )
    assert routing == QueueRouting(
        assignment="pull",
        accept_within=timedelta(minutes=5),
        silent_after=None,
        overflow=Overflow("n2_technical", timedelta(minutes=45)),
        relax=("language", "skill"),
        relax_after=timedelta(minutes=10),
    )


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("assignment: push", "unknown assignment 'push'; expected one of auto, pull"),
        ("accept_within_minutes: 0", "accept_within_minutes"),
        ("silent_after_minutes: -1", "silent_after_minutes"),
        ("overflow: {queue: nowhere, after_minutes: 5}", "unknown queue 'nowhere'"),
        ("overflow: {queue: n1_support, after_minutes: 5}", "cannot overflow into itself"),
        ("overflow: {queue: n2_technical}", "'after_minutes' is missing"),
        ("relax: [presence]", "unknown relaxation 'presence'"),
        ("acept_within_minutes: 3", "did you mean 'accept_within_minutes'?"),
    ],
)
def test_a_mistake_is_named_with_its_place(lines: str, said: str) -> None:
    with pytest.raises(PolicyError) as refused:
        policy_with(lines)
    [problem] = refused.value.lines
    assert said in problem
    assert "queues.n1_support" in problem


def test_an_overflow_in_a_circle_is_refused() -> None:
    with pytest.raises(PolicyError) as refused:
        policy_with(
            "overflow: {queue: n2_technical, after_minutes: 5}",
            also="overflow: {queue: n1_support, after_minutes: 5}",
        )
    said = "\n".join(refused.value.lines)
    assert "n1_support > n2_technical > n1_support" in said
