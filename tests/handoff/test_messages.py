from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from handoff.decide import decide
from handoff.messages import handoff_text, opening_text
from handoff.policy import HandoffPolicy
from handoff.snapshot import ConversationSnapshot

SAO_PAULO = "America/Sao_Paulo"
Turn = Callable[..., ConversationSnapshot]


@pytest.mark.parametrize(
    ("now", "opening", "language", "expected"),
    [
        ("2026-11-24T12:30", "2026-11-24T13:00", "pt", "hoje às 13:00"),
        ("2026-11-24T18:30", "2026-11-25T08:00", "pt", "amanhã às 08:00"),
        ("2026-11-24T22:30", "2026-11-25T08:00", "en", "tomorrow at 08:00"),
        ("2026-11-28T14:00", "2026-11-30T08:00", "pt", "segunda-feira (30/11) às 08:00"),
        ("2026-11-28T14:00", "2026-11-30T08:00", "en", "on Monday (30 Nov) at 08:00"),
        ("2026-11-28T14:00", "2026-11-30T08:00", "es", "el lunes (30/11) a las 08:00"),
        ("2026-11-28T14:00", "2026-11-30T08:00", "fr", "on Monday (30 Nov) at 08:00"),
    ],
)
def test_an_opening_as_people_say_it(now: str, opening: str, language: str, expected: str) -> None:
    zone = ZoneInfo(SAO_PAULO)
    moments = [datetime.fromisoformat(text).replace(tzinfo=zone) for text in (opening, now)]

    spoken = opening_text(
        moments[0].astimezone(UTC),
        now=moments[1].astimezone(UTC),
        time_zone=SAO_PAULO,
        language=language,
    )

    assert spoken == expected


def test_outside_hours_the_customer_reads_ticket_and_opening(
    turn: Turn, policy: HandoffPolicy
) -> None:
    sunday = datetime(2026, 11, 22, 15, tzinfo=ZoneInfo(SAO_PAULO))
    request = turn(top_intent="talk_to_person", ranking=(("talk_to_person", 0.9),), now=sunday)

    text = handoff_text(decide(request, policy), policy, language="pt", ticket="P-1042")

    assert text is not None
    assert "protocolo P-1042" in text
    assert "amanhã às 08:00" in text
    assert "(Atendimento)" in text


def test_an_ordinary_answer_has_no_text_of_ours(turn: Turn, policy: HandoffPolicy) -> None:
    assert handoff_text(decide(turn(), policy), policy, language="pt", ticket="P-1") is None


@pytest.mark.parametrize(("hours_open", "part"), [(True, "em instantes"), (False, "amanhã")])
def test_a_decision_of_an_older_policy_still_has_words(
    turn: Turn, policy: HandoffPolicy, part: str, *, hours_open: bool
) -> None:
    now = datetime(2026, 11, 24, 10 if hours_open else 20, tzinfo=ZoneInfo(SAO_PAULO))
    request = turn(top_intent="talk_to_person", ranking=(("talk_to_person", 0.9),), now=now)
    old = replace(decide(request, policy), message_key="removed", queue="removed")

    text = handoff_text(old, policy, language="pt", ticket="P-1")

    assert text is not None
    assert part in text
    assert handoff_text(replace(old, outcome="stay"), policy, language="pt", ticket="") is None
