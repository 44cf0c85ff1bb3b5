"""Bodies against Meta's own published OpenAPI description (facebook/openapi, v23.0)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from channels.message import Button, OutboundMessage, OutboundTemplate
from channels.whatsapp.payloads import build_message

FILE = "business-messaging-api_v23.0.yaml"
FOLDER = os.environ.get("PONTE_SPECS_DIR", "")  # noqa: TID251 - where a developer keeps the file
TO = "+5511987654321"

pytestmark = pytest.mark.skipif(
    not (FOLDER and (Path(FOLDER) / FILE).is_file()),
    reason=f"PONTE_SPECS_DIR names no folder with Meta's {FILE}",
)


@pytest.fixture(scope="module")
def validators() -> dict[str, Draft202012Validator]:
    with (Path(FOLDER) / FILE).open(encoding="utf-8") as file:
        spec = YAML(typ="safe").load(file)
    schemas = spec["components"]["schemas"]
    mapping = schemas["Message"]["discriminator"]["mapping"]
    return {
        kind: Draft202012Validator(flat({"$ref": mapping[kind]}, schemas))
        for kind in ("text", "interactive", "template")
    }


def flat(schema: Any, schemas: dict[str, Any], seen: tuple[str, ...] = ()) -> Any:
    """References resolved, `allOf` merged (its parts forbid each other's fields) and `oneOf`
    relaxed to `anyOf` (its alternatives overlap)."""
    if isinstance(schema, list):
        return [flat(item, schemas, seen) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return {} if name in seen else flat(schemas[name], schemas, (*seen, name))
    result = {
        {"oneOf": "anyOf"}.get(key, key): flat(value, schemas, seen)
        for key, value in schema.items()
        if key not in {"allOf", "example", "discriminator"}
        # The pattern of a template button's index is a slip: it allows one of "2" to "6".
        and value != "^[2-6, 11-14]$"
    }
    for part in schema.get("allOf", []):
        merged = flat(part, schemas, seen)
        properties = {**result.get("properties", {}), **merged.pop("properties", {})}
        required = [*result.get("required", []), *merged.pop("required", [])]
        result |= merged | {"properties": properties, "required": required}
    return result


def options(count: int) -> tuple[Button, ...]:
    return tuple(Button(f"/o{n}", f"Opção {n}", "descrição" * 20) for n in range(count))


GOOD = [
    OutboundMessage("Olá, tudo bem? 😀", reply_to="wamid.1"),
    OutboundMessage("Escolha", options(3)),
    OutboundMessage("x" * 1024, (Button("/longo", "título comprido demais"),)),
    OutboundMessage("Escolha", options(10), list_button="Ver opções com um rótulo longo"),
    OutboundTemplate("retomar", "pt_BR"),
    OutboundTemplate("retomar", "pt_BR", ("Ana", "123"), ("continue",)),
]


@pytest.mark.parametrize("message", GOOD, ids=lambda message: type(message).__name__)
def test_a_body_of_ours_keeps_metas_description(
    validators: dict[str, Draft202012Validator], message: OutboundMessage | OutboundTemplate
) -> None:
    payload = build_message(message, phone=TO)

    errors = [error.message for error in validators[payload["type"]].iter_errors(payload)]

    assert errors == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda body: body["interactive"]["action"]["buttons"].append(
            {"type": "reply", "reply": {"id": "4", "title": "quatro"}}
        ),
        lambda body: body["interactive"]["action"]["buttons"][0]["reply"].update(title="x" * 21),
        lambda body: body["interactive"]["body"].update(text="x" * 1025),
        lambda body: body["interactive"].pop("action"),
        lambda body: body.update(extra=1),
    ],
)
def test_the_check_itself_refuses_a_bad_body(
    validators: dict[str, Draft202012Validator], spoil: Callable[[dict[str, Any]], object]
) -> None:
    payload = build_message(OutboundMessage("Escolha", options(3)), phone=TO)

    spoil(payload)

    assert not validators["interactive"].is_valid(payload)
