from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifications.domain.dead_letters import (
    Allowances,
    Candidate,
    Refusal,
    age_group,
    canonical,
    masked_recipient,
    payload_hash,
    recipient_hash,
    redacted_context,
    redacted_detail,
    why_refused,
)

NOW = datetime(2026, 3, 10, 13, 0, tzinfo=UTC)
FINE = Candidate("send-email", True, None, "attempts_exhausted", 0, None)
ALLOWED = Allowances(max_reprocesses=3)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("text", "Oi, aqui é a Maria"),
        ("reason", "a cliente Maria ligou"),
        ("reason", "maria@example.com"),
        ("subject", "+5511912345678"),
        ("subject", "5511912345678"),
        ("source", "+55-11-91234-5678"),
        ("source", "11.91234.5678"),
        ("source", "Fila do João"),
        ("also", ["first_response", "Maria da Silva"]),
        ("level", {"name": "Maria"}),
        ("queue_name", "Primeiro nível"),
    ],
)
def test_words_names_and_addresses_are_left_out_of_the_view(key: str, value: Any) -> None:
    shown, hidden = redacted_context({key: value})
    assert shown == {}
    assert hidden == (key,)


def test_ids_enums_numbers_and_times_are_shown() -> None:
    context = {
        "ticket_id": "019f0000-0000-7000-8000-000000000001",
        "ticket_number": 1042,
        "priority": "high",
        "source": "notification:019f0000-0000-7000-8000-000000000001",
        "due_at": "2026-03-10T13:00:00+00:00",
        "also": ["next_response"],
        "nobody_on_duty": False,
        "severity": None,
    }
    assert redacted_context(context) == (context, ())


@given(
    st.dictionaries(
        st.sampled_from(["reason", "subject", "text", "ticket_number", "source", "level"]),
        st.one_of(st.integers(), st.emails(), st.text(), st.none()),
    )
)
def test_no_email_address_ever_passes(context: dict[str, Any]) -> None:
    shown, hidden = redacted_context(context)
    assert "@" not in canonical(shown).decode()
    assert set(shown) | set(hidden) == set(context)


def test_addresses_in_a_detail_are_replaced() -> None:
    detail = "refused: <ana@example.com>, also +55 11 91234-5678 and 131026"
    assert redacted_detail(detail) == "refused: (address) also (number) and 131026"


@pytest.mark.parametrize(
    ("recipient", "shown"),
    [
        ("ana@example.com", "a••@example.com"),
        ("+5511912344567", "+55••••4567"),
        ("dGhpcyBpcyBhIHB1c2ggdG9rZW4-9f3a", "••••9f3a"),
        ("short", "••••"),
        ("", ""),
    ],
)
def test_a_recipient_is_masked(recipient: str, shown: str) -> None:
    assert masked_recipient(recipient) == shown


def test_a_recipients_hash_recognises_it_in_any_spelling_and_with_the_key_alone() -> None:
    assert recipient_hash("k", "Ana@Example.com ") == recipient_hash("k", "ana@example.com")
    assert recipient_hash("k", "+55 11 91234-5678") == recipient_hash("k", "+5511912345678")
    assert recipient_hash("k", "ana@example.com") != recipient_hash("other", "ana@example.com")
    assert recipient_hash("", "ana@example.com") is None
    assert "ana" not in (recipient_hash("k", "ana@example.com") or "")


def test_the_payloads_hash_is_of_what_is_sent_and_not_of_what_attempts_wrote() -> None:
    def of(**changes: Any) -> str:
        values: dict[str, Any] = {
            "version": 1,
            "idempotency_key": "k",
            "job_name": "send-email",
            "event": "ticket-opened",
            "recipient": "ana@example.com",
            "language": "pt",
            "context": {"b": 1, "a": "ã"},
        }
        return payload_hash(**(values | changes))

    assert of() == of(context={"a": "ã", "b": 1, "form": "template"})
    for change in (
        {"version": 2},
        {"recipient": "bia@example.com"},
        {"language": "en"},
        {"context": {"a": "ã", "b": 2}},
        {"idempotency_key": "l"},
    ):
        assert of(**change) != of()


@pytest.mark.parametrize(
    ("candidate", "allowed", "refusal"),
    [
        (FINE, ALLOWED, None),
        (replace(FINE, has_notice=False), ALLOWED, Refusal.NO_NOTICE),
        (replace(FINE, problem="job_name: ..."), ALLOWED, Refusal.INVALID_JOB),
        (replace(FINE, reprocess_count=2), ALLOWED, None),
        (replace(FINE, reprocess_count=3), ALLOWED, Refusal.MAX_ATTEMPTS),
        (replace(FINE, refusal_code="opted_out"), ALLOWED, Refusal.RECIPIENT_REFUSES),
        (replace(FINE, expires_at=NOW), ALLOWED, Refusal.EXPIRED),
        (replace(FINE, expires_at=NOW + timedelta(seconds=1)), ALLOWED, None),
        (replace(FINE, reason="expired"), ALLOWED, Refusal.EXPIRED),
        (replace(FINE, expires_at=NOW), replace(ALLOWED, even_expired=True), None),
        (replace(FINE, reason="unknown_outcome"), ALLOWED, Refusal.UNKNOWN_OUTCOME),
        (replace(FINE, reason="unknown_outcome"), replace(ALLOWED, even_unknown=True), None),
        (replace(FINE, has_sender=False), ALLOWED, Refusal.NO_SENDER),
        (FINE, replace(ALLOWED, stopped=frozenset({"send-email"})), Refusal.BREAKER_OPEN),
        (FINE, replace(ALLOWED, stopped=frozenset({"send-sms"})), None),
        # What can never be sent is not told to wait for a breaker.
        (
            replace(FINE, reprocess_count=3),
            replace(ALLOWED, stopped=frozenset({"send-email"})),
            Refusal.MAX_ATTEMPTS,
        ),
    ],
)
def test_what_may_be_sent_again(
    candidate: Candidate, allowed: Allowances, refusal: Refusal | None
) -> None:
    assert why_refused(candidate, allowed, now=NOW) == refusal


@pytest.mark.parametrize(
    ("seconds", "group"), [(-5, "1h"), (3599, "1h"), (3600, "24h"), (86_400, "7d"), (1e9, "older")]
)
def test_ages_are_grouped(seconds: float, group: str) -> None:
    assert age_group(seconds) == group
