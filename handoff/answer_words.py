"""How people say yes, no and a number in Portuguese, English and Spanish, folded.

Only what stands alone as an answer to "did you mean ...?". Several words serve several languages
("no", "dos", "si"); the lists are read together because people mix them.
"""

from __future__ import annotations

from collections.abc import Mapping

from handoff.text import words


def phrases(*texts: str) -> frozenset[tuple[str, ...]]:
    """Whole answers, each as its folded words; "don't" also as it is typed in haste, "dont"."""
    written = (form for text in texts for form in (text, text.replace("'", "")))
    return frozenset(words(text) for text in written)


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

LAST = frozenset(words("último última last ultima final"))
PENULTIMATE = frozenset(words("penúltimo penúltima penultimate"))

TOP = phrases("de cima", "cima", "mais de cima", "top", "upper", "de arriba", "arriba", "acima")
BOTTOM = phrases("de baixo", "baixo", "mais de baixo", "bottom", "lower", "de abajo", "abajo")
MIDDLE = phrases("do meio", "meio", "middle", "del medio", "medio", "en medio")
"""Places in the list, without the words around them."""

FILLERS = frozenset(
    words(
        "a o as os e é eh de da do la el lo the it is i me my meu minha mi want quero quiero "
        "queria seria foi opção option opción número number num nro no n item alternativa letra "
        "por favor please pls pf pfv pfvr gentileza essa esse isso esta este that this pode ser "
        "acho que creo i'd like pick choose escolho escolhi elijo vou com fico del",
    ),
)
"""Words around a number or a title that say nothing."""

YES = frozenset(
    words(
        "sim s ss sss isso issoo exato exatamente certo correto claro positivo uhum aham "
        "yes y yep yeah yup correct exactly sure right sí exacto correcto eso "
        "esse essa este esta ese esa this",
    ),
)
YES_COMPANIONS = frozenset(
    words(
        "mesmo mesma aí e é eh essa esse ele ela that is it s por favor please pf mismo misma "
        "es a o one aqui acá here",
    ),
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

OTHER_THING = phrases(
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
"""Whole answers that mean "none of these"."""

NOT_UNDERSTOOD = phrases(
    "não entendi",
    "não entendi nada",
    "não entendi bem",
    "não entendi direito",
    "não entendi a pergunta",
    "não entendi as opções",
    "não entendi isso",
    "não estou entendendo",
    "não tô entendendo",
    "não compreendi",
    "não saquei",
    "entendi não",
    "entendi nada",
    "n entendi",
    "como assim",
    "o que isso quer dizer",
    "o que significa isso",
    "não sei qual",
    "não sei qual escolher",
    "i don't understand",
    "i do not understand",
    "don't understand",
    "i didn't understand",
    "i don't get it",
    "i didn't get it",
    "i don't understand the question",
    "i don't understand the options",
    "not sure which",
    "i don't know which one",
    "what do you mean",
    "what does that mean",
    "no entiendo",
    "no entendí",
    "no entiendo nada",
    "no entendí nada",
    "no entiendo la pregunta",
    "no entiendo las opciones",
    "no te entiendo",
    "no te entendí",
    "no comprendo",
    "cómo así",
    "qué quieres decir",
    "no sé cuál",
)
"""Whole answers that say the menu itself was not understood."""

DROP_IT = phrases(
    "deixa pra lá",
    "deixa para lá",
    "deixe pra lá",
    "deixe para lá",
    "deixa quieto",
    "deixa",
    "esquece",
    "esqueça",
    "pode esquecer",
    "esquece isso",
    "não precisa",
    "não precisa mais",
    "não quero mais",
    "desisto",
    "desisti",
    "quero sair",
    "sair",
    "forget it",
    "forget about it",
    "never mind",
    "nevermind",
    "nvm",
    "leave it",
    "no longer needed",
    "i give up",
    "quit",
    "exit",
    "olvídalo",
    "olvidalo ya",
    "olvídate",
    "déjalo",
    "déjalo así",
    "dejalo asi no más",
    "no importa",
    "ya no importa",
    "ya no quiero",
    "ya no hace falta",
    "salir",
)
"""Whole messages that drop whatever is being asked."""

CANCEL_WORDS = phrases(
    "cancelar",
    "cancela",
    "cancele",
    "cancelar tudo",
    "cancela isso",
    "cancela tudo",
    "quero cancelar isso",
    "parar",
    "para",
    "pare",
    "voltar",
    "cancel",
    "cancel it",
    "cancel this",
    "cancel that",
    "stop",
    "go back",
    "cancelalo",
    "cancelar todo",
    "cancela eso",
    "parar ya",
    "volver",
    "atrás",
)
"""They drop a form or an offer, but may also be an answer to a menu that has such an option."""

SILENCE_WORDS: Mapping[str, frozenset[tuple[str, ...]]] = {
    "continue": phrases(
        "continuar",
        "continua",
        "continue",
        "continuo",
        "vamos continuar",
        "pode continuar",
        "vamos",
        "seguir",
        "ainda estou aqui",
        "estou aqui",
        "tô aqui",
        "to aqui",
        "go on",
        "keep going",
        "carry on",
        "i am here",
        "i'm here",
        "still here",
        "seguimos",
        "sigamos",
        "sigo aquí",
        "aquí estoy",
        "estoy aquí",
    ),
    "person": phrases(
        "pessoa",
        "uma pessoa",
        "atendente",
        "um atendente",
        "uma atendente",
        "humano",
        "falar com pessoa",
        "falar com uma pessoa",
        "falar com atendente",
        "falar com um atendente",
        "person",
        "a person",
        "human",
        "a human",
        "agent",
        "an agent",
        "talk to a person",
        "talk to a human",
        "persona",
        "una persona",
        "agente",
        "un agente",
        "hablar con una persona",
        "hablar con alguien",
    ),
    "cancel": CANCEL_WORDS | DROP_IT | phrases("encerrar", "encerra", "terminar", "end", "finish"),
}
"""Whole answers to "continue, a person, or cancel?"."""

THUMBS_UP = frozenset("👍✅✔☑👌")
THUMBS_DOWN = frozenset("👎❌✖")
SKIN_TONES = range(0x1F3FB, 0x1F400)  # code points that only colour the sign before them
