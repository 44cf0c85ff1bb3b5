"""How people say yes, no and a number in Portuguese, English and Spanish, folded.

Only what stands alone as an answer to "did you mean ...?". Several words serve several languages
("no", "dos", "si"); the lists are read together because people mix them.
"""

from __future__ import annotations

from collections.abc import Mapping

from handoff.text import words

_SPELLED: Mapping[int, str] = {
    1: "um uma one uno una primeiro primeira first primero primera primer 1a 1o 1st 1ro 1ra",
    2: "dois duas two dos segundo segunda second 2a 2o 2nd 2do 2da",
    3: "três three tres terceiro terceira third tercero tercera tercer 3a 3o 3rd 3ro 3ra",
    4: "quatro four cuatro quarto quarta fourth cuarto cuarta 4a 4o 4th 4to 4ta",
}

NUMBERS: Mapping[str, int] = {
    **{str(number): number for number in range(1, 10)},
    **{word: number for number, spelled in _SPELLED.items() for word in words(spelled)},
}
"""Word to the number it names."""

SOFT_NUMBERS = frozenset(words("um uma one uno una"))
"""Articles as well as numbers: they give way to any other number ("the second one")."""

LAST = frozenset(words("último última last"))

FILLERS = frozenset(
    words(
        "a o as os e é eh de da do la el lo the it is i me my meu minha mi want quero quiero "
        "queria seria foi opção option opción número number num nro no n item alternativa letra "
        "por favor please pls pf pfv pfvr gentileza essa esse isso esta este that this",
    ),
)
"""Words around a number or a title that say nothing."""

YES = frozenset(
    words(
        "sim s ss sss isso issoo exato exatamente certo correto claro positivo uhum aham "
        "yes y yep yeah yup correct exactly sure right sí exacto correcto eso",
    ),
)
YES_COMPANIONS = frozenset(
    words("mesmo aí e é eh essa esse ele ela that is it s por favor please pf mismo es a o"),
)

NO = frozenset(
    words(
        "não n nn naum nem nenhum nenhuma nada negativo no nope nah none neither nothing "
        "ningún ninguna ninguno tampoco",
    ),
)
NO_COMPANIONS = frozenset(
    words(
        "dessas desses destas destes delas deles disso disto nisso e é eh era isso essa esse "
        "essas esses das dos opções opção alternativas dois duas três of the these those them "
        "options that it is not two three de estas estos esas esos ellas ellos es eso las los "
        "opciones obrigado obrigada thanks gracias a o",
    ),
)

OTHER_THING = frozenset(
    words(phrase)
    for phrase in (
        "outra coisa",
        "é outra coisa",
        "outro assunto",
        "é outro assunto",
        "outra",
        "outro",
        "something else",
        "another thing",
        "other",
        "otra cosa",
        "es otra cosa",
        "otro tema",
        "otra",
        "otro",
    )
)
"""Whole answers that mean "none of these"."""

THUMBS_UP = frozenset("👍✅✔☑👌")
THUMBS_DOWN = frozenset("👎❌✖")
SKIN_TONES = range(0x1F3FB, 0x1F400)  # code points that only colour the sign before them
