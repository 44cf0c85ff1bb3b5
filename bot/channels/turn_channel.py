"""The only way into the Rasa process: one authenticated route for one turn.

Rasa's REST channel has no authentication even when a token is set, hides what the parser saw, and
runs a repeated message again. This channel asks for a secret, validates every field, answers with
the replies, the parse and the outcome together, and runs each message once (`bot.turns`).

    credentials.yml
        bot.channels.turn_channel.TurnChannel:
          secret: ${PONTE_BOT_SECRET}

    GET  /webhooks/ponte/      200 when a model is loaded, 503 before
    POST /webhooks/ponte/turn  header X-Ponte-Secret
"""

from __future__ import annotations

import hmac
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Optional

from rasa.core.agent import Agent
from rasa.core.channels.channel import InputChannel, UserMessage
from rasa.shared.exceptions import RasaException
from sanic import Blueprint, Sanic
from sanic.request import Request
from sanic.response import HTTPResponse
from sanic.response import json as json_response

from bot.turn_request import TurnRequest, TurnRequestError, parse_turn_request
from bot.turns import CHANNEL_NAME, TurnFailedError, TurnResult, TurnRunner

log = logging.getLogger(__name__)

SECRET_HEADER = "X-Ponte-Secret"  # noqa: S105 - the name of the header
_OPEN_PATHS = frozenset({"/", "/version"})
_OWN_PREFIX = f"/webhooks/{CHANNEL_NAME}/"

# Long enough that guessing is hopeless; `openssl rand -hex 32` gives 64.
_MIN_SECRET_CHARACTERS = 16
# Below the gateway's own time limit, above a slow action server.
_DEFAULT_TIMEOUT_SECONDS = 20.0


class TurnChannelConfigError(RasaException):
    """credentials.yml does not configure the channel; the text says what is missing."""


class TurnChannel(InputChannel):
    """Rasa's input channel for the gateway.

    Args:
        secret: shared with the gateway.
        turn_timeout_seconds: longest time of one turn.

    Raises:
        TurnChannelConfigError: no secret, a short one, or a time that is not positive.
    """

    def __init__(
        self, secret: Optional[str], *, turn_timeout_seconds: float = _DEFAULT_TIMEOUT_SECONDS
    ) -> None:
        if not secret or not str(secret).strip():
            message = (
                "credentials.yml: bot.channels.turn_channel.TurnChannel has no secret. Set the "
                "environment variable PONTE_BOT_SECRET to the value the gateway sends."
            )
            raise TurnChannelConfigError(message)
        if len(str(secret)) < _MIN_SECRET_CHARACTERS:
            message = (
                f"PONTE_BOT_SECRET is too short: expected at least {_MIN_SECRET_CHARACTERS} "
                f"characters."
            )
            raise TurnChannelConfigError(message)
        if turn_timeout_seconds <= 0:
            message = "credentials.yml: turn_timeout_seconds must be greater than 0."
            raise TurnChannelConfigError(message)
        self._secret = str(secret).encode()
        self._timeout = turn_timeout_seconds

    @classmethod
    def name(cls) -> str:
        """Part of the path: /webhooks/ponte/."""
        return CHANNEL_NAME

    @classmethod
    def from_credentials(cls, credentials: Optional[dict[str, Any]]) -> TurnChannel:
        """The channel from its section of credentials.yml.

        Raises:
            TurnChannelConfigError: the section is empty or wrong.
        """
        section = credentials or {}
        try:
            timeout = float(section.get("turn_timeout_seconds", _DEFAULT_TIMEOUT_SECONDS))
        except (TypeError, ValueError):
            message = "credentials.yml: turn_timeout_seconds must be a number of seconds."
            raise TurnChannelConfigError(message) from None
        return cls(section.get("secret"), turn_timeout_seconds=timeout)

    def blueprint(self, on_new_message: Callable[[UserMessage], Awaitable[Any]]) -> Blueprint:
        """The two routes, and the guard over the whole server.

        `on_new_message` is not used: it returns nothing, and takes the lock only after the moment
        at which a repeated message has to be recognised.
        """
        del on_new_message
        routes = Blueprint("ponte_turns")

        @routes.listener("before_server_start")
        async def install_guard(app: Sanic, _loop: Any) -> None:
            app.register_middleware(self._guard, "request")

        @routes.route("/", methods=["GET"])
        async def health(request: Request) -> HTTPResponse:
            return _health(request.app)

        @routes.route("/turn", methods=["POST"])
        async def turn(request: Request) -> HTTPResponse:
            return await self._turn(request)

        return routes

    def _knows_secret(self, request: Request) -> bool:
        given = request.headers.get(SECRET_HEADER, "")
        return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), self._secret)

    async def _guard(self, request: Request) -> Optional[HTTPResponse]:
        """Refuse what is not ours, also if someone turns on Rasa's API or adds a channel."""
        path = request.path
        if path in _OPEN_PATHS or path.startswith(_OWN_PREFIX) or self._knows_secret(request):
            return None
        return _error(401, "the secret is missing or wrong")

    async def _turn(self, request: Request) -> HTTPResponse:
        if not self._knows_secret(request):
            return _error(401, "the secret is missing or wrong")
        agent = _ready_agent(request.app)
        if agent is None:
            return _error(503, "the model is not loaded")
        try:
            wanted = parse_turn_request(_decoded(request), intents=agent.domain.intents)
        except TurnRequestError as error:
            return json_response(
                {"error": str(error), "field": error.field, "expected": error.expected}, status=422
            )
        # The actions keep the model's id with the decision.
        wanted = replace(wanted, metadata={**wanted.metadata, "model": agent.model_id})
        return await self._answer(self._runner(request.app, agent), agent, wanted)

    def _runner(self, app: Sanic, agent: Agent) -> TurnRunner:
        runner: Optional[TurnRunner] = getattr(app.ctx, "turn_runner", None)
        if runner is None:
            runner = app.ctx.turn_runner = TurnRunner(agent, timeout_seconds=self._timeout)
        return runner

    async def _answer(self, runner: TurnRunner, agent: Agent, wanted: TurnRequest) -> HTTPResponse:
        facts = {"conversation_id": wanted.conversation_id, "turn_id": wanted.message_id}
        try:
            result = await runner.run(wanted)
        except TurnFailedError as error:
            log.warning(
                "turn.failed", extra={**facts, "code": error.code, "actions": list(error.actions)}
            )
            return _error(500, "the turn failed and was not stored", code=error.code)
        except Exception:
            # Anything may come out of a model or a database; the caller gets no internals, and the
            # log formatter prints places, not values.
            log.exception("turn.failed", extra={**facts, "code": "turn_failed"})
            return _error(500, "the turn failed and was not stored", code="turn_failed")
        log.info("turn.finished", extra={**facts, **_facts(result)})
        return _json({**_identity(wanted), **_body(result), "model": _model(agent)})


def _decoded(request: Request) -> Any:
    try:
        return json.loads(request.body)
    except (ValueError, RecursionError):
        raise TurnRequestError(field="body", expected="expected JSON") from None


def _ready_agent(app: Sanic) -> Optional[Agent]:
    agent: Optional[Agent] = getattr(app.ctx, "agent", None)
    return agent if agent is not None and agent.is_ready() else None


def _health(app: Sanic) -> HTTPResponse:
    agent = _ready_agent(app)
    if agent is None:
        return json_response({"status": "starting"}, status=503)
    return json_response({"status": "ok", "model": _model(agent)})


def _model(agent: Agent) -> dict[str, Any]:
    # The fingerprint of an agent is random at each start; model_id is written in the model file.
    return {"id": agent.model_id, "name": agent.model_name}


def _identity(wanted: TurnRequest) -> dict[str, Any]:
    return {"conversation_id": wanted.conversation_id, "message_id": wanted.message_id}


def _body(result: TurnResult) -> dict[str, Any]:
    return {
        "replies": result.replies,
        "parse": result.parse,
        "slots": result.slots,
        "active_loop": result.active_loop,
        "replayed": result.replayed,
    }


def _facts(result: TurnResult) -> dict[str, Any]:
    return {
        "intent": result.parse["intent"]["name"],
        "outcome": result.slots.get("handoff_outcome"),
        "count": len(result.replies),
        "replayed": result.replayed,
    }


def _json(body: dict[str, Any]) -> HTTPResponse:
    # The standard encoder escapes lone surrogates; Sanic's would fail on them.
    return HTTPResponse(
        json.dumps(body, default=float), status=200, content_type="application/json"
    )


def _error(status: int, text: str, **more: str) -> HTTPResponse:
    return json_response({"error": text, **more}, status=status)
