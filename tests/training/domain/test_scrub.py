from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.domain.numbers import is_card, is_cnpj, is_cpf, kind_of
from training.domain.scrub import scrub

KNOWN = frozenset(
    """
    meu pedido boleto quero falar com gerente cade nao chegou dono loja
    minha senha invalida errada tudo bem esta errado my order where charged
    twice refund mi factura no llega ayuda sou cliente pago ontem procon
    reclamar bom obrigado oi obrigada atendente por favor me liga manda pra
    """.split()  # noqa: SIM905
)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        # documents, with right and wrong check digits
        ("meu cpf é 123.456.789-09", "meu cpf é xxx"),
        ("meu cpf é 12345678909", "meu cpf é xxx"),
        ("12345678900 cadê meu pedido", "xxx cadê meu pedido"),
        ("cnpj 11.222.333/0001-81", "cnpj xxx"),
        ("11222333000182 quero boleto", "xxx quero boleto"),
        ("rg 12.345.678-x", "rg xxx"),
        ("CEP 01310-100", "CEP xxx"),
        ("cpf 123 456 789 09", "cpf xxx"),
        ("".join(chr(0xFF10 + int(d)) for d in "12345678909") + " meu pedido", "xxx meu pedido"),
        ("cpf 1\u200b2345678909", "cpf xxx"),
        # telephones
        ("me liga no (11) 98765-4321 por favor", "me liga no xxx por favor"),
        ("+55 11 98765 4321", "xxx"),
        ("call me at +1 415 555 2671", "call me at xxx"),
        ("tel: 3333-4444", "tel: xxx"),
        ("nove oito sete seis cinco quatro três dois um", "xxx"),
        # e-mail, links, keys
        ("manda pra joao.silva@gmail.com por favor", "manda pra xxx por favor"),
        ("joao arroba gmail ponto com", "xxx"),
        ("john dot smith at gmail dot com", "xxx dot xxx"),
        ("https://loja.com/r?token=abc123 não abre", "xxx não abre"),
        ("chave pix 123e4567-e89b-12d3-a456-426614174000", "chave pix xxx"),
        # cards, accounts, passwords
        ("cartão 4111 1111 1111 1111", "cartão xxx"),
        ("conta 56789-0 agência 1234", "conta xxx agência xxx"),
        ("cartão final 9876", "cartão final xxx"),
        ("minha senha é abc123", "minha senha é xxx"),
        ("minha senha é inválida", "minha senha é inválida"),
        # orders, money, dates
        ("cadê meu pedido 98213", "cadê meu pedido 12345"),
        ("meu pedido A-98213 não chegou", "meu pedido 12345 não chegou"),
        ("paguei R$ 1.500,00 no boleto 2ª via", "paguei R$ 1.500,00 no boleto 2ª via"),
        ("paguei 1500 reais em 2023", "paguei 1500 reais em 2023"),
        ("dia 10/05 às 14h", "dia 10/05 às 14h"),
        ("nasci em 10/05/1980", "nasci em xxx"),
        ("10 de maio de 1980", "xxx"),
        ("born on May 10, 1980", "born on xxx"),
        # places
        ("moro na rua das Flores, 123 apto 45", "moro na xxx"),
        ("vivo en calle Mayor 15", "vivo en xxx"),
        ("I live at 123 Main Street", "I live at xxx"),
        ("placa ABC1D23", "placa xxx"),
        # names
        ("oi sou a Maria Silva, cadê meu pedido", "oi sou a xxx, cadê meu pedido"),
        ("meu nome é joão da silva", "meu nome é xxx"),
        ("MEU NOME É JOÃO DA SILVA", "MEU NOME É xxx"),
        ("meu nome está errado", "meu nome está errado"),
        ("aqui é o zé", "aqui é o xxx"),
        ("my name is Priya Raghunathan and I was charged", "my name is xxx and I was charged"),
        ("me llamo Xóchitl Pérez", "me llamo xxx"),
        ("obrigado, Carlos", "obrigado, xxx"),
        ("bom dia jucilene", "bom dia xxx"),
        ("falei com a Fernanda ontem", "falei com a xxx ontem"),
        ("quero falar com o gerente", "quero falar com o gerente"),
        ("o Procon vai saber", "o Procon vai saber"),
        ("sou o dono da loja", "sou o dono da loja"),
    ],
)
def test_personal_data_is_replaced_and_the_rest_stays(text: str, left: str) -> None:
    assert scrub(text, known_words=KNOWN).text == left


def test_the_contacts_own_name_goes_wherever_it_stands() -> None:
    found = scrub("a lima nao chegou", names=["Lima Duarte"], known_words=KNOWN | {"lima"})
    assert found.text == "a xxx nao chegou"
    assert found.removed == ("name",)


@given(st.text(max_size=80))
def test_no_long_number_no_at_sign_and_no_line_break_survives(text: str) -> None:
    left = scrub(text, known_words=KNOWN).text
    assert re.search(r"\d{8}", left) is None
    assert "@" not in left
    assert "\n" not in left


@given(st.text(alphabet="0123456789 .-/()+@abc:\n", max_size=60))
def test_numbers_in_any_writing_do_not_survive(text: str) -> None:
    left = scrub(text).text
    assert re.search(r"\d{8}", left) is None
    assert "@" not in left


@given(st.lists(st.integers(0, 9), min_size=11, max_size=11), st.sampled_from(["", ".", "-", " "]))
def test_eleven_digits_never_survive_however_they_are_written(
    digits: list[int], separator: str
) -> None:
    left = scrub("meu cpf " + separator.join(map(str, digits)), known_words=KNOWN).text
    assert sum(char.isdigit() for char in left) == 0


@pytest.mark.parametrize(
    ("digits", "kind"),
    [
        ("12345678909", "cpf"),
        ("12345678900", "phone"),
        ("11222333000181", "cnpj"),
        ("4111111111111111", "card"),
        ("11987654321", "phone"),
        ("98765432109876543", "number"),
    ],
)
def test_a_long_number_is_named_by_its_check_digits(digits: str, kind: str) -> None:
    assert kind_of(digits) == kind


def test_repeated_digits_are_no_document() -> None:
    assert not is_cpf("11111111111")
    assert not is_cnpj("11111111111111")
    assert is_card("4012888888881881")
