from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handoff.policy import HandoffPolicy
from handoff.silence import (
    CHOICES,
    SilenceSettings,
    SilenceTimes,
    choice_of,
    payload_of,
    read_choice,
)
from handoff.text import words


@pytest.fixture(scope="module")
def settings(policy: HandoffPolicy) -> SilenceSettings:
    assert policy.silence is not None
    return policy.silence


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        *((text, "continue") for text in ("1", "1.", "①", "continuar", "1 Continuar", "contunuar")),
        *(
            (text, "continue")
            for text in ("sim", "quero continuar", "keep going", "seguimos", "👍")
        ),
        *((text, "continue") for text in ("o primeiro", "first", "estou aqui", "sigo aquí", "yes")),
        *((text, "person") for text in ("2", "opção 2", "a segunda", "atendente", "uma pessoa")),
        *((text, "person") for text in ("quero falar com uma pessoa", "a human", "un agente")),
        *((text, "person") for text in ("2 Talk to a person", "hablar con alguien", "atendnete")),
        *((text, "cancel") for text in ("3", "a terceira", "cancelar", "não", "deixa pra lá")),
        *((text, "cancel") for text in ("forget it", "never mind", "no gracias", "olvídalo", "👎")),
        *((text, "cancel") for text in ("a última", "3 Cancel", "no", "encerrar", "cancelalo")),
        *((text, None) for text in ("12345", "4", "A-98213", "quero 2 boletos", "1 ou 2", "oi")),
        *((text, None) for text in ("cancelar meu pedido 12345", "não recebi meu pedido", "")),
        *((text, None) for text in ("a pessoa que entregou foi grossa", "obrigado", "procon")),
    ],
)
def test_what_is_typed_to_the_offer(
    settings: SilenceSettings, text: str, choice: str | None
) -> None:
    assert read_choice(text, settings) == choice


@given(text=st.text(max_size=60))
def test_any_text_is_read(text: str, settings: SilenceSettings) -> None:
    assert read_choice(text, settings) in {None, *CHOICES}


def test_a_choice_travels_in_a_payload_that_no_assistant_runs() -> None:
    for choice in CHOICES:
        assert choice_of(payload_of(choice)) == choice
        assert not payload_of(choice).startswith("/")


@pytest.mark.parametrize("payload", [None, "", "/talk_to_person", "silence:", "silence:restart"])
def test_no_other_payload_is_a_choice(payload: str | None) -> None:
    assert choice_of(payload) is None


@pytest.mark.parametrize("language", ["pt", "en", "es"])
def test_typing_a_title_is_choosing_it(settings: SilenceSettings, language: str) -> None:
    for choice in CHOICES:
        title = settings.titles[choice][language]
        assert read_choice(title, settings) == choice
        assert read_choice(" ".join(words(title)[1:]), settings) == choice  # without its number


@pytest.mark.parametrize(("first", "second"), [(5, 5), (10, 5), (-1, 5), (0, 0)])
def test_times_out_of_order_are_refused(first: int, second: int) -> None:
    with pytest.raises(ValueError, match="expected first < second"):
        SilenceTimes(timedelta(minutes=first), timedelta(minutes=second))
