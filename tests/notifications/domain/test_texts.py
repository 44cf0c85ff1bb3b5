from __future__ import annotations

import uuid
from typing import Any

import pytest

from handoff.policy import REASONS
from notifications.domain.events import PolicyEvent
from notifications.domain.texts import render
from notifications.domain.words import CATALOGUES, PT

TICKET = uuid.UUID("01890000-0000-7000-8000-000000000001")
CONTEXT = {
    "ticket_id": str(TICKET),
    "ticket_number": 1001,
    "queue_name": "Segundo nível",
    "level": "N2",
    "from_level": "N1",
    "priority": "high",
    "severity": "S2",
    "reason": "customer_request",
}


OPERATIONS = {
    PolicyEvent.BREAKER_ALERT,
    PolicyEvent.BACKLOG_ALERT,
    PolicyEvent.DLQ_ALERT,
    PolicyEvent.BOT_ALERT,
    PolicyEvent.TRAINING_GATE,
    PolicyEvent.USER_NOTICE,
}
"""Occasions that are about no ticket."""


def words(event: Any = "ticket-opened", language: Any = "pt", **changes: Any) -> Any:
    return render(
        event, CONTEXT | changes, language=language, frontend_url="https://ponte.example/"
    )


@pytest.mark.parametrize("language", CATALOGUES)
def test_no_catalogue_lacks_a_text_or_a_placeholder(language: Any) -> None:
    import string  # noqa: PLC0415

    def places(text: Any) -> Any:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    catalogue = CATALOGUES[language]
    assert set(catalogue) == set(PT)
    assert {key: places(text) for key, text in catalogue.items()} == {
        key: places(text) for key, text in PT.items()
    }


@pytest.mark.parametrize("language", CATALOGUES)
def test_every_reason_of_a_handoff_has_words(language: Any) -> None:
    assert {f"reason.{code}" for code in REASONS} <= set(CATALOGUES[language])


@pytest.mark.parametrize("language", CATALOGUES)
@pytest.mark.parametrize("event", [event for event in PolicyEvent if event not in OPERATIONS])
def test_every_event_of_a_ticket_reads_in_every_language_and_leads_to_it(
    event: Any, language: Any
) -> None:
    text = words(event.value, language)

    for part in (text.text, text.html, text.short, text.parameters[2]):
        assert f"https://ponte.example/console/tickets/{TICKET}" in part
    assert "1001" in text.subject
    assert "{" not in text.text
    assert "\n" not in text.subject


def test_portuguese_says_the_facts_in_words() -> None:
    text = words("ticket-escalation")

    assert text.subject == "[Ponte] Atendimento #1001 escalado para N2: Segundo nível"
    for fact in ("o cliente pediu uma pessoa", "N1 para N2", "alta", "S2", "Segundo nível"):
        assert fact in text.text
        assert fact in text.html


def test_an_unknown_language_reads_portuguese() -> None:
    assert words(language="fr") == words(language="pt")


def test_a_reason_newer_than_the_catalogue_is_still_words() -> None:
    assert "full moon" in words(reason="full_moon").text


def test_a_queue_name_can_neither_break_a_header_nor_the_page() -> None:
    text = words(queue_name="<b>Fila</b>\r\nBcc: x@example.com")

    assert "\n" not in text.subject
    assert "\r" not in text.subject
    assert "<b>Fila</b>" not in text.html
    assert "&lt;b&gt;Fila&lt;/b&gt;" in text.html


def test_the_admin_is_told_why_the_notice_came_to_them() -> None:
    text = words(nobody_on_duty=True)

    assert "Ninguém de plantão" in text.text
    assert "Ninguém de plantão" in text.html
    assert "Ninguém de plantão" in text.short
    assert "Ninguém de plantão" not in words().text


def test_a_failed_notice_names_channel_and_error() -> None:
    text = words("notification-failed", failed_channel="whatsapp", failed_code="131047")

    assert "Canal que falhou: WhatsApp" in text.text
    assert "Erro: 131047" in text.text


ALERT = {
    "threshold": "warning",
    "metric": "first_response",
    "due_at": "2026-03-10T13:00:00+00:00",
    "time_zone": "America/Sao_Paulo",
    "consumed_seconds": 10080,
    "target_seconds": 14400,
    "also": ["resolution"],
    "silenced": 3,
}


def test_a_warning_says_which_promise_how_much_is_used_and_until_when() -> None:
    text = words("sla-alert", **ALERT)

    assert text.subject == "[Ponte] SLA em risco: atendimento #1001, primeira resposta"
    assert "primeira resposta, 70 % usados" in text.text
    for fact in ("2 h 48 min de 4 h 00 min", "10/03/2026 10:00 (America/Sao_Paulo)", "solução"):
        assert fact in text.text
        assert fact in text.html
    assert "Alertas não enviados desde o último: 3" in text.short
    assert text.parameters[1] == "primeira resposta"


@pytest.mark.parametrize(
    ("language", "subject"),
    [
        ("pt", "[Ponte] SLA vencido: atendimento #1001, primeira resposta"),
        ("en", "[Ponte] SLA breached: ticket #1001, first response"),
        ("es", "[Ponte] SLA vencido: atención #1001, primera respuesta"),
    ],
)
def test_a_breach_reads_in_every_language(language: Any, subject: Any) -> None:
    text = words("sla-alert", language, **ALERT | {"threshold": "breach", "time_zone": None})

    assert text.subject == subject
    assert "13:00 (UTC)" in text.text


@pytest.mark.parametrize("zone", ["Mars/Phobos", "../../etc/passwd", "", None])
def test_a_time_zone_that_nobody_knows_reads_utc(zone: Any) -> None:
    assert "13:00 (UTC)" in words("sla-alert", **ALERT | {"time_zone": zone}).text


def test_a_context_from_an_older_version_still_renders() -> None:
    text = render("ticket-opened", {}, language="pt", frontend_url="http://x")

    assert text.parameters[1] == "-"
