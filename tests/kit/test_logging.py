from __future__ import annotations

from kit.logging import keep_allowed_fields


def test_an_unknown_field_is_replaced_by_its_type() -> None:
    event = {"event": "turn.finished", "turn_id": "t1", "text": "meu cpf é 111", "phone": "+55"}

    kept = keep_allowed_fields(None, "info", dict(event))

    assert kept == {
        "event": "turn.finished",
        "turn_id": "t1",
        "text": "<str>",
        "phone": "<str>",
    }
