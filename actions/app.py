"""The action server: the SDK's executor behind a small Sanic app of our own.

The SDK's own server answers an unexpected error with the exception's text and the request's body;
this one logs the exception and answers with neither. It asks for the shared secret, too.
"""

from __future__ import annotations

import hmac
from typing import Any

import orjson
import structlog
from rasa_sdk import Action
from rasa_sdk.executor import ActionExecutor
from rasa_sdk.interfaces import ActionExecutionRejection, ActionNotFoundException
from sanic import Request, Sanic
from sanic.response import HTTPResponse, json

log = structlog.get_logger()


def create_app(
    actions: list[Action], *, secret: str, name: str = "ponte-actions"
) -> Sanic[Any, Any]:
    """An app with `POST /webhook` for Rasa and `GET /health`."""
    executor = ActionExecutor()
    for action in actions:
        executor.register_action(action)
    app: Sanic[Any, Any] = Sanic(name, configure_logging=False, loads=orjson.loads, dumps=_dumps)
    app.config.KEEP_ALIVE_TIMEOUT = 120  # Rasa keeps its connections; see rasa 3.6.15's changelog
    expected = f"Bearer {secret}".encode()

    @app.get("/health")
    async def health(_request: Request) -> HTTPResponse:
        return json({"status": "ok", "count": len(executor.actions)})

    @app.post("/webhook")
    async def webhook(request: Request) -> HTTPResponse:
        given = (request.headers.get("Authorization") or "").encode(errors="replace")
        if not hmac.compare_digest(given, expected):
            return json({"error": "the secret is missing or wrong"}, status=401)
        call = request.json
        if not isinstance(call, dict):
            return json({"error": "expected a JSON object"}, status=400)
        return await _run(executor, call)

    return app


def _dumps(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()


async def _run(executor: ActionExecutor, call: dict[str, Any]) -> HTTPResponse:
    wanted = call.get("next_action")
    tracker = call.get("tracker")
    tracker = tracker if isinstance(tracker, dict) else {}
    metadata = (tracker.get("latest_message") or {}).get("metadata") or {}
    with structlog.contextvars.bound_contextvars(
        action=wanted,
        correlation_id=metadata.get("correlation_id"),
        conversation_id=tracker.get("sender_id"),
    ):
        try:
            result = await executor.run(call)
        except ActionExecutionRejection as rejection:
            body = {"error": str(rejection), "action_name": rejection.action_name}
            return json(body, status=400)
        except ActionNotFoundException as missing:
            log.warning("action.not_found")
            return json({"error": str(missing), "action_name": missing.action_name}, status=404)
        except Exception:
            log.exception("action.failed")
            return json({"error": "the action failed", "action_name": wanted}, status=500)
    return json(result.model_dump() if result is not None else {})
