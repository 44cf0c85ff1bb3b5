"""What Ponte itself tells a customer about their ticket, in the three languages."""

from __future__ import annotations

from typing import Literal

CustomerText = Literal["resolved", "returned_to_bot", "language_set"]

_DEFAULT_LANGUAGE = "pt"
_TEXTS: dict[CustomerText, dict[str, str]] = {
    "resolved": {
        "pt": (
            "Atendimento encerrado (protocolo {number}). "
            "Se precisar de algo mais, é só escrever aqui: o assistente responde."
        ),
        "en": (
            "This request is closed (number {number}). "
            "If you need anything else, just write here: the assistant will answer."
        ),
        "es": (
            "Atención finalizada (número {number}). "
            "Si necesita algo más, escriba aquí: el asistente responde."
        ),
    },
    "language_set": {
        "pt": "Certo, seguimos em português. Pode escrever: em que posso ajudar?",
        "en": "Sure, let's continue in English. Go ahead: what can I do for you?",
        "es": "Claro, seguimos en español. Adelante: ¿en qué puedo ayudar?",
    },
    "returned_to_bot": {
        "pt": (
            "O assistente voltou a atender por aqui. "
            "O atendimento com a equipe (protocolo {number}) terminou. Em que mais posso ajudar?"
        ),
        "en": (
            "The assistant is back in this chat. "
            "Your request with our team (number {number}) has ended. What else can I help with?"
        ),
        "es": (
            "El asistente volvió a atender por aquí. "
            "La atención con el equipo (número {number}) terminó. ¿En qué más puedo ayudar?"
        ),
    },
}


# Asked of somebody whose language is not known, so it is in all three at once.
LANGUAGE_QUESTION = (
    "Em que idioma você prefere continuar?\n"
    "Which language do you prefer?\n"
    "¿En qué idioma prefieres continuar?"
)
LANGUAGE_NAMES: dict[str, str] = {"pt": "Português", "en": "English", "es": "Español"}


def customer_text(key: CustomerText, *, language: str, number: int = 0) -> str:
    """The text in the customer's language; Portuguese for a language that is not served.

    Args:
        key: Which text.
        language: Language code of the conversation.
        number: The ticket's number, which customers know as "protocolo"; not every text has it.
    """
    texts = _TEXTS[key]
    return texts.get(language, texts[_DEFAULT_LANGUAGE]).format(number=number)
