"""What Ponte itself tells a customer about their ticket, in the three languages."""

from __future__ import annotations

from typing import Literal

CustomerText = Literal[
    "resolved", "returned_to_bot", "language_set", "nobody_available", "nobody_until_opening"
]

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
    "nobody_available": {
        "pt": (
            "No momento não há ninguém da equipe ({queue}) disponível. Seu caso (protocolo "
            "{number}) continua na fila e não perde o lugar: a primeira pessoa que voltar responde "
            "por aqui. Não é preciso escrever de novo."
        ),
        "en": (
            "Nobody from our team ({queue}) is available at the moment. Your case (number "
            "{number}) stays in line and keeps its place: the first person who is back will answer "
            "right here. There is no need to write again."
        ),
        "es": (
            "En este momento no hay nadie del equipo ({queue}) disponible. Su caso (número "
            "{number}) sigue en la fila y no pierde su lugar: la primera persona que vuelva "
            "responde por aquí. No hace falta escribir de nuevo."
        ),
    },
    "nobody_until_opening": {
        "pt": (
            "Nossa equipe ({queue}) não está atendendo agora e volta {opening}. Seu caso "
            "(protocolo {number}) continua na fila e não perde o lugar: uma pessoa responde por "
            "aqui. Não é preciso escrever de novo."
        ),
        "en": (
            "Our team ({queue}) is not available now and is back {opening}. Your case (number "
            "{number}) stays in line and keeps its place: a person will answer right here. There "
            "is no need to write again."
        ),
        "es": (
            "Nuestro equipo ({queue}) no está atendiendo ahora y vuelve {opening}. Su caso "
            "(número {number}) sigue en la fila y no pierde su lugar: una persona responde por "
            "aquí. No hace falta escribir de nuevo."
        ),
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


def customer_text(
    key: CustomerText, *, language: str, number: int = 0, queue: str = "", opening: str = ""
) -> str:
    """The text in the customer's language; Portuguese for a language that is not served.

    Args:
        key: Which text.
        language: Language code of the conversation.
        number: The ticket's number, which customers know as "protocolo"; not every text has it.
        queue: The team's name, where the text has it.
        opening: When the team is back, where the text has it.
    """
    texts = _TEXTS[key]
    return texts.get(language, texts[_DEFAULT_LANGUAGE]).format(
        number=number, queue=queue, opening=opening
    )
