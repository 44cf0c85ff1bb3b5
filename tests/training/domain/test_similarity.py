from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from training.domain.similarity import ALIKE, SAME, Index, Weights, cosine, key_of

EXAMPLES = ["cadê meu pedido", "quero meu dinheiro de volta", "segunda via do boleto", "oi"]
WEIGHTS = Weights.of(EXAMPLES)
WORDS = ("cade", "meu", "pedido", "boleto", "via", "quero", "oi", "pedidos", "nao")


def test_accents_capitals_and_signs_do_not_count() -> None:
    assert key_of("Cadê meu PEDIDO??") == "cade meu pedido"
    assert cosine(WEIGHTS.vector("Cadê meu PEDIDO??"), WEIGHTS.vector("cade meu pedido")) > SAME


def test_a_slip_of_the_finger_is_near_and_another_matter_is_far() -> None:
    order = WEIGHTS.vector("cade meu pedido")
    assert cosine(order, WEIGHTS.vector("cade meu pedidoo")) > ALIKE
    assert cosine(order, WEIGHTS.vector("segunda via do boleto")) < ALIKE


def test_of_equals_the_first_is_found() -> None:
    index: Index[str] = Index(SAME)
    index.add("first", WEIGHTS.vector("cade meu pedido"))
    index.add("second", WEIGHTS.vector("cadê meu pedido"))
    index.add("first", WEIGHTS.vector("oi"))
    found = index.nearest(WEIGHTS.vector("CADE MEU PEDIDO"))
    assert found is not None
    assert found[0] == "first"
    assert len(index) == 2


_SENTENCES = st.lists(
    st.lists(st.sampled_from(WORDS), max_size=5),
    min_size=1,
    max_size=12,
)


@settings(max_examples=150)
@given(_SENTENCES, st.sampled_from([SAME, ALIKE]))
def test_the_index_finds_what_comparing_with_all_finds(
    sentences: list[list[str]], least: float
) -> None:
    texts = [" ".join(words) for words in sentences]
    index: Index[int] = Index(least)
    for place, text in enumerate(texts[1:]):
        index.add(place, WEIGHTS.vector(text))
    asked = WEIGHTS.vector(texts[0])
    best = max((cosine(asked, WEIGHTS.vector(text)) for text in texts[1:]), default=0.0)
    found = index.nearest(asked)
    if best < least - 1e-6:
        assert found is None
    elif best > least + 1e-6:
        assert found is not None
        assert abs(found[1] - best) < 1e-6
