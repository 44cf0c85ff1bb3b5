"""What every side posts: about what Ponte posts to Meta. Standard library only: peers import it."""

from __future__ import annotations

from typing import Any

FIRST_NUMBER = 5511980000000


def number(job: int) -> str:
    """The recipient of the job; the sink counts by it."""
    return str(FIRST_NUMBER + job)


def payload(job: int) -> dict[str, Any]:
    """The body of the job's POST."""
    return {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": number(job),
        "type": "text",
        "text": {
            "body": f"[Ponte] Ticket 2026-{job:06d}: o cliente pediu uma pessoa. Fila Suporte, N1, "
            f"prioridade alta.\nhttps://console.example.com/tickets/{job}"
        },
        "biz_opaque_callback_data": f"notice:{job}",
    }
