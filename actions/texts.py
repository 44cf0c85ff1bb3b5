"""Words that actions say, in the three languages; everything else is said by `domain.yml`."""

from __future__ import annotations

ORDER_STATES = ("processing", "shipped", "out_for_delivery", "delivered", "cancelled")

TEXTS: dict[str, dict[str, str]] = {
    "talk_to_person": {
        "pt": "Falar com pessoa",
        "en": "Talk to a person",
        "es": "Hablar con persona",
    },
    "order_processing": {
        "pt": "O pedido *{number}* está sendo preparado 📦",
        "en": "Order *{number}* is being prepared 📦",
        "es": "El pedido *{number}* se está preparando 📦",
    },
    "order_shipped": {
        "pt": "O pedido *{number}* já foi enviado e está a caminho 🚚",
        "en": "Order *{number}* has been shipped and is on its way 🚚",
        "es": "El pedido *{number}* ya fue enviado y está en camino 🚚",
    },
    "order_out_for_delivery": {
        "pt": "O pedido *{number}* saiu para entrega hoje 🚚",
        "en": "Order *{number}* is out for delivery today 🚚",
        "es": "El pedido *{number}* salió para entrega hoy 🚚",
    },
    "order_delivered": {
        "pt": "O pedido *{number}* consta como entregue ✅",
        "en": "Order *{number}* has been delivered ✅",
        "es": "El pedido *{number}* figura como entregado ✅",
    },
    "order_cancelled": {
        "pt": "O pedido *{number}* foi cancelado.",
        "en": "Order *{number}* was cancelled.",
        "es": "El pedido *{number}* fue cancelado.",
    },
    "order_expected": {
        "pt": "A entrega está prevista para {day}.",
        "en": "Delivery is expected on {day}.",
        "es": "La entrega está prevista para el {day}.",
    },
    "order_tracking": {
        "pt": "Código de rastreio: {code}.",
        "en": "Tracking code: {code}.",
        "es": "Código de seguimiento: {code}.",
    },
    "order_unknown": {
        "pt": "Não encontrei o pedido *{number}*. Confere o número no e-mail da compra? "
        "Se preferir, uma pessoa procura para você.",
        "en": "I couldn't find order *{number}*. Could you check the number in your purchase "
        "e-mail? If you prefer, a person can look for it.",
        "es": "No encontré el pedido *{number}*. ¿Puedes revisar el número en el correo de la "
        "compra? Si prefieres, una persona lo busca por ti.",
    },
    "orders_unavailable": {
        "pt": "Não consegui consultar os pedidos agora. Quer que uma pessoa veja isso para você?",
        "en": "I can't look up orders right now. Would you like a person to check it for you?",
        "es": "No puedo consultar los pedidos ahora. ¿Quieres que una persona lo revise por ti?",
    },
    "hours_open": {
        "pt": "Estamos atendendo agora, até as {closing}. Nosso horário:",
        "en": "We are open now, until {closing}. Our opening hours:",
        "es": "Estamos atendiendo ahora, hasta las {closing}. Nuestro horario:",
    },
    "hours_closed": {
        "pt": "Agora o atendimento com pessoas está fechado; voltamos {opening}. Nosso horário:",
        "en": "Our team is off right now and comes back {opening}. Our opening hours:",
        "es": "Ahora nuestro equipo está fuera de horario; volvemos {opening}. Nuestro horario:",
    },
    "hours_never": {
        "pt": "Nosso horário de atendimento ainda não está definido.",
        "en": "Our opening hours are not set yet.",
        "es": "Nuestro horario de atención aún no está definido.",
    },
    "hours_day_closed": {"pt": "fechado", "en": "closed", "es": "cerrado"},
    "hours_holidays": {
        "pt": "Fechado nos feriados. Eu respondo a qualquer hora 😉",
        "en": "Closed on public holidays. I answer at any time 😉",
        "es": "Cerrado los festivos. Yo respondo a cualquier hora 😉",
    },
}


def text(key: str, language: str, **values: str) -> str:
    """A text in the customer's language, filled in; Portuguese for a language we do not speak."""
    variants = TEXTS[key]
    return variants.get(language, variants["pt"]).format(**values)
