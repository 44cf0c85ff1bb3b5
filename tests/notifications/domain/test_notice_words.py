"""Every event, in every language, on every channel, with everything or nearly nothing known."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.whatsapp.limits import INTERACTIVE_BODY, TEMPLATE_PARAMETER, TEXT_BODY
from notifications.domain.events import PolicyEvent
from notifications.domain.texts import (
    LONGEST_LINK_LABEL,
    LONGEST_PUSH_BODY,
    LONGEST_PUSH_TITLE,
    LONGEST_SMS,
    NoticeText,
    render,
)
from notifications.domain.words import CATALOGUES

FRONTEND = "https://ponte.example"
TICKET = {
    "ticket_id": "01890000-0000-7000-8000-000000000001",
    "ticket_number": 1001,
    "queue_key": "n2",
    "queue_name": "Segundo nível",
    "level": "N2",
    "from_level": "N1",
    "priority": "urgent",
    "severity": "S1",
    "reason": "customer_request",
    "score": 1,
    "threshold": "breach",
    "metric": "first_response",
    "due_at": "2026-03-10T13:00:00+00:00",
    "time_zone": "America/Sao_Paulo",
    "consumed_seconds": 14400,
    "target_seconds": 14400,
    "also": ["resolution"],
    "silenced": 2,
}
OPERATION = {
    "subject": "send-email",
    "count": 1234,
    "threshold": 1000,
    "seconds": 125,
    "code": "smtp_421",
    "since": "2026-03-10T06:00:00+00:00",
}
USER = {
    "title": {"pt": "Reunião às 15h", "en": "Meeting at 3", "es": "Reunión a las 15"},
    "body": {"pt": "Sala 2.", "en": "Room 2.", "es": "Sala 2."},
}
FAILED = {"failed_channel": "sms", "failed_code": "30003", "failed_event": "sla-alert"}

TOPICS = {
    "breaker-alert": ("breaker.opened", "breaker.closed"),
    "backlog-alert": (
        "backlog.high",
        "backlog.old",
        "backlog.cleared",
        "queue.away",
        "queue.back",
    ),
    "dlq-alert": ("dlq.threshold", "dlq.growth", "dlq.discarded", "dlq.cleared"),
    "bot-alert": ("bot.unavailable", "bot.recovered"),
    "training-gate": ("training.gate_refused",),
}
EVENTS = sorted({event.value for event in PolicyEvent} | {"message-undelivered"})
CASES = [
    (event, alert, context)
    for event in EVENTS
    for alert in (*TOPICS.get(event, ()), "newer.topic", None)
    for context in ({}, TICKET, OPERATION, USER, FAILED, TICKET | OPERATION | USER | FAILED)
]


def words(event: str, language: str = "pt", **context: Any) -> NoticeText:
    return render(event, context, language=language, frontend_url=FRONTEND)


@pytest.mark.parametrize("language", CATALOGUES)
@pytest.mark.parametrize(("event", "alert", "context"), CASES)
def test_every_notice_is_whole_on_every_channel(
    event: str, alert: str | None, context: Any, language: str
) -> None:
    text = words(event, language, **context, alert=alert, nobody_on_duty=True, source="test")

    everything = (
        text.subject, text.text, text.html, text.short, text.title, text.body, text.sms,
        text.link_label, *text.parameters,
    )  # fmt: skip
    for part in everything:
        assert part.strip()
        assert not re.search(r"\{[a-z_]*\}|\bNone\b|\bnan\b", part), part
    for line in (text.subject, text.title, text.sms, text.link, *text.parameters):
        assert "\n" not in line
    assert len(text.title) <= LONGEST_PUSH_TITLE
    assert len(text.body) <= LONGEST_PUSH_BODY
    assert len(text.sms) <= LONGEST_SMS
    assert len(text.link_label) <= LONGEST_LINK_LABEL
    assert len(text.whatsapp) <= INTERACTIVE_BODY
    assert len(text.short) <= TEXT_BODY
    assert all(len(value) <= TEMPLATE_PARAMETER for value in text.parameters)
    assert text.link.startswith(f"{FRONTEND}/console")
    assert text.link in text.text
    assert text.link in text.html
    assert "##" not in text.subject
    assert not text.subject.rstrip().endswith((":", "#"))


@pytest.mark.parametrize("language", CATALOGUES)
@pytest.mark.parametrize("event", EVENTS)
def test_every_event_has_a_name_for_lists_and_for_the_preferences(
    event: str, language: str
) -> None:
    assert f"event.{event}" in CATALOGUES[language]


@pytest.mark.parametrize("language", CATALOGUES)
@pytest.mark.parametrize(
    ("event", "alert"), [(event, alert) for event in TOPICS for alert in TOPICS[event]]
)
def test_an_alert_says_what_and_what_to_do_next(event: str, alert: str, language: str) -> None:
    text = words(event, language, **OPERATION, alert=alert)
    plain = words(event, language, **OPERATION)
    label = CATALOGUES[language]["label.do"]

    assert label in text.text
    assert label in text.short
    assert f"<strong>{label}" in text.html
    if event != "training-gate":
        assert text.subject != plain.subject


def test_at_three_in_the_morning_it_says_what_since_when_how_many_and_where() -> None:
    text = words("breaker-alert", **OPERATION, alert="breaker.opened")

    assert text.subject == "[Ponte] Canal parado: e-mail"
    assert text.text == (
        "Os envios por e-mail falham e estão suspensos. Os avisos esperam e sairão sozinhos.\n"
        "\n"
        "Desde: 10/03/2026 03:00 (America/Sao_Paulo)\n"
        "Quantos: 1234\n"
        "Limite: 1000\n"
        "Tempo: 2 min\n"
        "Erro: smtp_421\n"
        "\n"
        "O que fazer: Confira a conta, as credenciais e a página de estado do provedor.\n"
        "\n"
        "Ver os avisos: https://ponte.example/console/dead-letters\n"
        "\n"
        "Aviso automático do Ponte. Não responda a esta mensagem.\n"
        "Escolher meus avisos: https://ponte.example/console/notifications\n"
    )
    assert text.sms == (
        "Ponte: Canal parado: e-mail. Confira a conta, as credenciais e a página de estado do "
        "provedor."
    )
    assert text.title == "Canal parado: e-mail"


def test_a_zero_is_a_number() -> None:
    assert "Avisos não entregues: 0" in words("dlq-alert", alert="dlq.threshold", count=0).subject


@pytest.mark.parametrize(
    ("language", "more", "subject"),
    [
        ("pt", "e mais 12 avisos", "[Ponte] 17 avisos: aviso não entregue"),
        ("en", "and 12 more notices", "[Ponte] 17 notices: notice not delivered"),
        ("es", "y 12 avisos más", "[Ponte] 17 avisos: aviso no entregado"),
    ],
)
def test_a_digest_names_five_with_their_links_and_counts_the_rest(
    language: str, more: str, subject: str
) -> None:
    items = [
        {**TICKET, **FAILED, "ticket_number": 1000 + n, "ticket_id": f"t{n}"} for n in range(9)
    ]
    text = words("notification-failed", language, **items[0], digest={"count": 17, "items": items})

    assert text.subject == subject
    for part in (text.text, text.html):
        assert more in part
        for n in range(5):
            assert f"#{1000 + n}" in part
            assert f"{FRONTEND}/console/tickets/t{n}" in part
        assert "#1005" not in part
    assert more in text.short
    assert more.rstrip(".") in text.sms
    assert text.parameters[1] == more


@pytest.mark.parametrize(
    "digest",
    [None, 3, {}, {"count": 2}, {"count": 0, "items": [{}]}, {"count": 1, "items": [{}]},
     {"count": "x", "items": [{}]}, {"count": 2, "items": [3]}],
)  # fmt: skip
def test_a_digest_of_one_or_of_nonsense_reads_like_a_single_notice(digest: Any) -> None:
    assert words("ticket-opened", **TICKET, digest=digest) == words("ticket-opened", **TICKET)


def test_one_more_is_singular() -> None:
    text = words("sla-alert", **TICKET, digest={"count": 6, "items": [TICKET] * 6})

    assert "e mais 1 aviso\n" in text.text


def test_what_a_program_wrote_is_text_and_nothing_else() -> None:
    text = words(
        "user-notice",
        title="Oi\r\nBcc: c@d.example <script>\u202e{number}",
        body="Linha 1\n<img src=x onerror=alert(1)>\x00{queue}",
        link="//evil.example/console",
    )

    assert text.subject == "[Ponte] Oi Bcc: c@d.example <script>{number}"
    assert "<script>" not in text.html
    assert "<img" not in text.html
    assert "&lt;img src=x onerror=alert(1)&gt;{queue}" in text.html
    assert "\x00" not in text.text
    assert text.link == f"{FRONTEND}/console"


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("/console/tickets/1?tab=2", "/console/tickets/1?tab=2"),
        ("//evil.example", "/console"),
        ("https://evil.example", "/console"),
        ("/\\evil.example", "/console"),
        ("/console\nX: y", "/console"),
        ("javascript:alert(1)", "/console"),
        (7, "/console"),
    ],
)
def test_a_link_of_a_program_stays_in_the_console(link: Any, expected: str) -> None:
    assert words("user-notice", title="t", body="b", link=link).link == FRONTEND + expected


def test_a_notice_in_one_language_is_told_in_that_one_to_everybody() -> None:
    assert words("user-notice", "es", title={"en": "Hello"}, body={"en": "x"}).title == "Hello"


@given(
    st.text(max_size=300), st.text(max_size=3000), st.sampled_from(sorted(CATALOGUES)),
    st.dictionaries(st.sampled_from(sorted(TICKET | OPERATION | FAILED)), st.one_of(
        st.none(), st.text(max_size=200), st.integers(), st.booleans(), st.lists(st.text()))),
)  # fmt: skip
def test_no_context_breaks_a_notice(title: str, body: str, language: str, odd: Any) -> None:
    for event in EVENTS:
        text = words(event, language, **odd, title=title, body=body)
        assert "\n" not in text.subject
        assert "\r" not in text.subject
        assert len(text.title) <= LONGEST_PUSH_TITLE
        assert text.sms.startswith("Ponte: ")
