from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handoff.clarify import (
    MAX_PAYLOAD,
    Chosen,
    ClarifyOption,
    NoneOfThese,
    NotAnAnswer,
    NotUnderstood,
    menu,
    payload_for,
    read_answer,
    read_offer,
)
from handoff.decide import decide
from handoff.policy import HandoffPolicy
from handoff.short_answers import is_drop, is_not_understood
from handoff.snapshot import ConversationSnapshot

BOLETO = ClarifyOption("invoice_copy", "2ª via do boleto")
PAYMENT = ClarifyOption("payment_problem", "Erro no pagamento")
RETURN = ClarifyOption("exchange_return", "Troca ou devolução")
THREE = (BOLETO, PAYMENT, RETURN)
NONE_TITLES = ("Nenhuma dessas", "None of these", "Ninguna de estas")


def read(text: str, options: tuple[ClarifyOption, ...] = THREE) -> str:
    """The chosen intent, "none", or "new" for a new message."""
    answer = read_answer(text, options, none_titles=NONE_TITLES)
    if isinstance(answer, Chosen):
        return answer.option.intent
    if isinstance(answer, NotUnderstood):
        return "what"
    return "none" if isinstance(answer, NoneOfThese) else "new"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((text, "invoice_copy") for text in ("1", "1.", " 1 ", "1️⃣", "①", "um", "a primeira")),
        *((text, "invoice_copy") for text in ("Primeiro", "first", "the first one", "el primero")),
        *((text, "payment_problem") for text in ("2", "opcao 2", "Opção 2!", "option 2", "nº 2")),
        *((text, "payment_problem") for text in ("o segundo", "a segunda", "SEGUNDA", "dois")),
        *((text, "payment_problem") for text in ("two", "the second one", "la segunda", "dos")),
        *((text, "payment_problem") for text in ("2 por favor", "quero a 2", "é a 2", "sim, 2")),
        *((text, "exchange_return") for text in ("3", "3️⃣", "três", "tres", "a última", "last")),
        *((text, "none") for text in ("4", "4️⃣", "quatro")),
        *((text, "new") for text in ("5", "0", "12345", "1 2", "1 e 2", "1 ou 3", "-", "", "?")),
    ],
)
def test_numbers_and_ordinals(text: str, expected: str) -> None:
    assert read(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "sim",
        "Sim!",
        "SIM",
        "s",
        "ss",
        "isso",
        "isso mesmo",
        "é isso",
        "exato",
        "yes",
        "yep",
        "yes please",
        "that is right",
        "sí",
        "si",
        "exacto",
        "👍",
        "👍🏽",
        "✅",
    ],
)
def test_yes_chooses_the_first_option(text: str) -> None:
    assert read(text) == "invoice_copy"
    assert read(text, (PAYMENT,)) == "payment_problem"


@pytest.mark.parametrize(
    "text",
    [
        "não",
        "nao",
        "Não.",
        "n",
        "nenhuma",
        "nenhum",
        "nenhuma dessas",
        "nenhuma das opções",
        "nenhuma das três",
        "nada disso",
        "não é nenhuma dessas",
        "não obrigado",
        "no",
        "nope",
        "none",
        "none of these",
        "none of them",
        "neither",
        "ninguna",
        "ninguna de estas",
        "no es eso",
        "outra coisa",
        "é outra coisa",
        "something else",
        "otra cosa",
        "👎",
        "❌",
    ],
)
def test_no_and_none_of_these(text: str) -> None:
    assert read(text) == "none"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2ª via do boleto", "invoice_copy"),
        ("2a via do boleto", "invoice_copy"),
        ("segunda via do boleto", "invoice_copy"),
        ("SEGUNDA VIA", "invoice_copy"),
        ("boleto", "invoice_copy"),
        ("a do boleto", "invoice_copy"),
        ("quero o boleto por favor", "invoice_copy"),
        ("erro no pagamento", "payment_problem"),
        ("ero no pagamento", "payment_problem"),
        ("pagamento", "payment_problem"),
        ("troca ou devolucao", "exchange_return"),
        ("devolução", "exchange_return"),
        ("troca ou devoluçao", "exchange_return"),
    ],
)
def test_titles_and_parts_of_one(text: str, expected: str) -> None:
    assert read(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "quero cancelar meu pedido",
        "não recebi o boleto e já paguei",
        "cadê meu pedido 2?",
        "quero falar com um atendente",
        "procon",
        "oi",
        "obrigado",
        "boleto pagamento",
        "/restart",
        "não, quero outra coisa que é trocar o meu endereço de entrega",
        "a",
        "de",
        "1a via nova",
        "no funciona",
        "si no me responden voy a cancelar",
        "😀",
        "...",
    ],
)
def test_anything_else_is_a_new_message(text: str) -> None:
    assert read(text) == "new"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((text, "invoice_copy") for text in ("a 1", "1)", "1.", "(1)", "opção um", "primero")),
        *((text, "invoice_copy") for text in ("o de cima", "a de cima", "the top one", "primeria")),
        *((text, "invoice_copy") for text in ("el de arriba", "esse", "essa aqui", "this one")),
        *((text, "invoice_copy") for text in ("pode ser a primeira", "acho que a 1", "👍🏿👍🏿")),
        *((text, "payment_problem") for text in ("opção dois", "the second one", "la segunda")),
        *((text, "payment_problem") for text in ("o do meio", "the middle one", "el del medio")),
        *((text, "payment_problem") for text in ("segnda", "a segunta", "secnd one", "segudno")),
        *((text, "payment_problem") for text in ("penúltima", "a penultima")),
        *((text, "exchange_return") for text in ("o de baixo", "the bottom one", "el de abajo")),
        *((text, "exchange_return") for text in ("a terceira", "tercera", "terceria", "a ultma")),
        *((text, "none") for text in ("nenhum", "nehuma", "nenhuma desas", "nenhma dessas")),
        *((text, "what") for text in ("não entendi", "Nao entendi!", "não entnedi", "n entendi")),
        *((text, "what") for text in ("I don't understand", "i dont understand", "no entiendo")),
        *((text, "what") for text in ("I dont undertand", "no entendí nada", "como assim?")),
    ],
)
def test_ways_of_pointing_and_slips(text: str, expected: str) -> None:
    assert read(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "quero 2 boletos",
        "2 boletos",
        "segunda-feira",
        "na segunda",
        "primeira vez que compro aqui",
        "é a segunda vez que reclamo",
        "não entendi a cobrança",
        "não atendi",
        "não atendi a ligação",
        "ultimamente está ruim",
        "chegou só uma caixa",
        "tenho uma dúvida",
        "meio estranho",
        "em cima da hora",
        "1 hora esperando",
        "3x sem juros",
        "R$ 2",
        "no sé cuánto debo",
        "top",
        "para quando chega",
    ],
)
def test_a_real_message_is_never_eaten(text: str) -> None:
    assert read(text) == "new" or text == "top"


@pytest.mark.parametrize(
    ("text", "index"),
    [
        *(
            (text, 0)
            for text in ("1", "a 1", "primeiro", "①", "falar com pessoa", "falar c pessoa")
        ),
        *((text, 0) for text in ("FALAR COM PESOA", "o de cima", "the first one")),
        *((text, 1) for text in ("2", "opção dois", "segunda via", "a última", "the second one")),
        *((text, None) for text in ("sim", "não", "esse", "👍", "3", "quero 2 boletos", "pessoa")),
        *((text, None) for text in ("via", "oi", "", "segunda-feira", "quero pagar")),
    ],
)
def test_buttons_under_an_ordinary_answer(text: str, index: int | None) -> None:
    assert read_offer(text, ("Falar com pessoa", "Segunda via")) == index


def test_in_a_form_a_number_is_the_forms_answer() -> None:
    assert read_offer("2", ("Falar com pessoa", "Deixa pra lá"), numbers=False) is None
    assert read_offer("deixa pra la", ("Falar com pessoa", "Deixa pra lá"), numbers=False) == 1


@pytest.mark.parametrize(
    ("text", "drops", "cancels"),
    [
        *((text, True, True) for text in ("deixa pra lá", "Deixa pra la!", "esquece", "desisto")),
        *((text, True, True) for text in ("forget it", "never mind please", "olvídalo", "sair")),
        *((text, True, True) for text in ("desistoo", "déjalo así", "nevermind", "nvm")),
        *((text, False, True) for text in ("cancelar", "cancel", "stop", "para", "voltar")),
        *(
            (text, False, False)
            for text in ("cancelar meu pedido", "deixa eu ver", "pagar", "12345")
        ),
        *((text, False, False) for text in ("esqueci minha senha", "quero sair do clube", "")),
    ],
)
def test_letting_it_be(text: str, drops: bool, cancels: bool) -> None:
    assert (is_drop(text), is_drop(text, also_cancel=True)) == (drops, cancels)


@given(st.text(max_size=40))
def test_what_is_read_of_any_text_is_total(text: str) -> None:
    is_drop(text, also_cancel=True)
    is_not_understood(text)
    assert read_offer(text, ("A", "B", "C")) in {None, 0, 1, 2}


def test_a_word_that_two_titles_share_decides_nothing() -> None:
    options = (ClarifyOption("a", "Status do pedido"), ClarifyOption("b", "Cancelar pedido"))

    assert read("pedido", options) == "new"
    assert read("cancelar", options) == "b"


def test_none_of_these_may_stand_first() -> None:
    assert isinstance(read_answer("1", THREE, none_index=1), NoneOfThese)
    assert read_answer("2", THREE, none_index=1) == Chosen(BOLETO)
    assert read_answer("4", THREE, none_index=1) == Chosen(RETURN)


def test_without_options_nothing_is_an_answer() -> None:
    for text in ("sim", "1", "não"):
        assert isinstance(read_answer(text, ()), NotAnAnswer)


@given(st.text(max_size=60))
def test_any_text_gets_an_answer(text: str) -> None:
    assert isinstance(
        read_answer(text, THREE, none_titles=NONE_TITLES),
        (Chosen, NoneOfThese, NotUnderstood, NotAnAnswer),
    )


class TestPayload:
    @pytest.mark.parametrize(
        ("entities", "payload"),
        [
            ({}, "/cancel"),
            ({"order_number": ()}, "/cancel"),
            ({"order_number": ("98213",)}, '/cancel{"order_number": "98213"}'),
            ({"order_number": ("1", "2")}, '/cancel{"order_number": ["1", "2"]}'),
            ({"b": ("é",), "a": ('"',)}, '/cancel{"a": "\\"", "b": "é"}'),
        ],
    )
    def test_entities_travel_with_the_choice(
        self, entities: Mapping[str, tuple[str, ...]], payload: str
    ) -> None:
        assert payload_for(ClarifyOption("cancel", "Cancelar", entities)) == payload

    def test_a_payload_never_exceeds_what_the_channel_takes(self) -> None:
        option = ClarifyOption("cancel", "x", {"order_number": ("98213",), "story": ("z" * 500,)})

        payload = payload_for(option)

        assert len(payload) <= MAX_PAYLOAD
        assert json.loads(payload.removeprefix("/cancel")) == {"order_number": "98213"}


class TestMenu:
    @pytest.fixture
    def snapshot(self, turn: Callable[..., ConversationSnapshot]) -> ConversationSnapshot:
        return turn(top_intent="refund", ranking=(("refund", 0.4), ("cancel", 0.35)))

    @pytest.mark.parametrize(
        ("language", "titles", "none_title"),
        [
            ("pt", ["Reembolso", "Cancelamento"], "Nenhuma dessas"),
            ("en", ["Refund", "Cancellation"], "None of these"),
            ("es", ["Reembolso", "Cancelación"], "Ninguna de estas"),
            ("fr", ["Refund", "Cancellation"], "None of these"),
        ],
    )
    def test_titles_in_the_customers_language(
        self,
        snapshot: ConversationSnapshot,
        policy: HandoffPolicy,
        language: str,
        titles: list[str],
        none_title: str,
    ) -> None:
        shown = menu(decide(snapshot, policy), policy, language, entities={"order": ("1",)})

        assert [option.title for option in shown.options] == titles
        assert all(option.entities == {"order": ("1",)} for option in shown.options)
        assert (shown.none_title, shown.none_payload) == (none_title, "/out_of_scope")

    def test_the_second_question_sounds_different(
        self, snapshot: ConversationSnapshot, policy: HandoffPolicy
    ) -> None:
        decision = decide(snapshot, policy)

        first, second = (menu(decision, policy, "pt", asked=asked) for asked in (0, 1))

        assert first.question != second.question

    def test_without_options_the_customer_is_asked_to_rephrase(
        self, snapshot: ConversationSnapshot, policy: HandoffPolicy
    ) -> None:
        decision = replace(decide(snapshot, policy), options=())

        assert "de outro jeito" in menu(decision, policy, "pt").question
