"""Answers of FCM as its documentation shows them, and a service account that needs no network."""

from __future__ import annotations

from functools import cache
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.fakes.vendor_server import Reply

PROJECT = "ponte-test"
PATH = f"/v1/projects/{PROJECT}/messages:send"
TOKEN_PATH = "/token"
NAME = f"projects/{PROJECT}/messages/0:1500415314455276%31bd1c9631bd1c96"
ACCEPTED = Reply(200, {"name": NAME})
ACCESS = Reply(200, {"access_token": "fake", "expires_in": 3600, "token_type": "Bearer"})


@cache
def _private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def service_account(url: str) -> dict[str, Any]:
    """A service account whose access tokens come from `url`."""
    return {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": "1",
        "private_key": _private_key(),
        "client_email": f"ponte@{PROJECT}.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": f"{url}{TOKEN_PATH}",
    }


def refused(
    http_status: int,
    status: str,
    *,
    code: str | None = None,
    fields: tuple[str, ...] = (),
    **headers: str,
) -> Reply:
    details: list[dict[str, Any]] = []
    if code is not None:
        kind = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
        details.append({"@type": kind, "errorCode": code})
    if fields:
        kind = "type.googleapis.com/google.rpc.BadRequest"
        violations = [{"field": name, "description": "wrong"} for name in fields]
        details.append({"@type": kind, "fieldViolations": violations})
    error = {"code": http_status, "message": "no", "status": status, "details": details}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(http_status, {"error": error}, named)
