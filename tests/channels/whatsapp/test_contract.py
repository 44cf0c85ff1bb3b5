"""Bodies against Meta's own published OpenAPI description (facebook/openapi, v23.0)."""

from __future__ import annotations

import os
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
# Newer than the description: BSUID recipients (2026) and the callback value.
NOT_IN_V23 = ("biz_opaque_callback_data",)


@pytest.fixture(scope="module")
def validators() -> dict[str, Draft202012Validator]:
    with (Path(FOLDER) / FILE).open(encoding="utf-8") as file:
        spec = YAML(typ="safe", pure=False).load(file)
    schemas = spec["components"]["schemas"]
    return {
        kind: Draft202012Validator(_flat(_schema_of(kind, schemas), schemas))
        for kind in ("text", "interactive", "template")
    }


def _schema_of(kind: str, schemas: dict[str, Any]) -> dict[str, Any]:
    names = {"text": "Text", "interactive": "Interactive", "template": "Template"}
    found = [name for name in schemas if name.lower() == f"{names[kind].lower()}message"]
    found += [name for name in schemas if name.lower().endswith(f"{names[kind].lower()}message")]
    return dict(schemas[found[0]])
