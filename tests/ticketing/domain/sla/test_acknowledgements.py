from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketing.domain.sla.acknowledgements import is_closing

CLOSING = """
obrigado, tchau
valeu!
thanks, bye
ok gracias
👍
👍🏽
🙏🙏
❤️
:)
Muito obrigada pela ajuda, boa noite 🙏
obrigadaaaa!!! kkkk
Obrigado, era só isso
vlw flw
blz, obg
Perfeito, muito obrigado pelo atendimento!
tá bom, obrigada
ok
Ok!
beleza 👍
show de bola, valeu demais
não, obrigado
deu certo, obrigada
resolvido, valeu
tchau, até mais
Fica com Deus, abraços
por enquanto é só, obrigada
Thank you so much for your help!
thx
got it, thanks
that's all, thank you
perfect, have a great day
no worries, bye
it works now, thanks again
muchas gracias por todo, hasta luego
vale, gracias
perfecto, mil gracias
¡Gracias!
eso es todo, gracias
ya funciona, gracias
obrigado você também
OBRIGADO
brigada rs
"""

WANTING = """
obrigado, e o prazo?
obrigado mas não funcionou
ok, aguardo
ok, e agora
valeu, mas quanto custa
thanks, but it still fails
thanks. when will it arrive
gracias, pero no llegó
gracias, ¿y el pedido?
bom dia
boa noite
oi
hola
hello
sim
não
yes
no
1
98213
kkk
?
...
não obrigada a fazer isso
👎
😡
obrigado 😡
preciso de ajuda
ajuda
não deu certo
não resolveu
não consegui
não funcionou, obrigado
nao, nao deu certo
não valeu a pena
sim
si, hazlo
not solved
no funciona
obrigado por nada, quero cancelar
meu nome é Valeu Silva
https://example.com/obrigado
obrigado 98213
tchau, vou ao Procon
até quando
"""


@pytest.mark.parametrize("text", CLOSING.strip().splitlines())
def test_closing_words_want_no_answer(text: str) -> None:
    assert is_closing(text)


@pytest.mark.parametrize("text", WANTING.strip().splitlines())
def test_everything_else_wants_one(text: str) -> None:
    assert not is_closing(text)


@pytest.mark.parametrize("text", [None, "", "   ", "\u200b"])
def test_a_message_without_words_closes_nothing(text: str | None) -> None:
    assert not is_closing(text)


@pytest.mark.parametrize("text", ["ok", "claro", "sure", "pode deixar", "vale", "tá bom"])
def test_a_yes_is_an_answer_when_we_are_waiting_for_one(text: str) -> None:
    assert is_closing(text)
    assert not is_closing(text, answers=True)


@pytest.mark.parametrize("text", ["sim, obrigado", "yes thanks", "sí, gracias"])
def test_a_yes_with_thanks_is_an_answer_too(text: str) -> None:
    assert is_closing(text)
    assert not is_closing(text, answers=True)


@pytest.mark.parametrize("text", ["obrigado, tchau", "ok, obrigado", "👍", "thanks, bye"])
def test_a_thank_you_closes_also_when_we_are_waiting(text: str) -> None:
    assert is_closing(text, answers=True)


@given(st.text(max_size=60))
def test_any_text_gets_an_answer_and_a_question_mark_always_wants_one(text: str) -> None:
    assert is_closing(text) in {True, False}
    assert not is_closing(text + "?")
    assert not is_closing("obrigado " + text + " ?")
