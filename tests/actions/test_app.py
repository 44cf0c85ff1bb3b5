from __future__ import annotations

from typing import Any

import pytest
from rasa_sdk import Action, Tracker
from rasa_sdk.executor import CollectingDispatcher
from sanic import Sanic

from actions.app import create_app


class Echo(Action):  # type: ignore[misc]  # the SDK has no types
    def name(self) -> str:
        return "action_echo"

    async def run(
        self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]
    ) -> list[dict[str, Any]]:
        if tracker.sender_id == "bad":
            message = "secret: the customer's words"
            raise RuntimeError(message)
        dispatcher.utter_message(text="hello")
        return []


def call(sender: str = "c1", action: str = "action_echo") -> dict[str, Any]:
    return {
        "next_action": action,
        "sender_id": sender,
        "tracker": {
            "sender_id": sender,
            "slots": {},
            "latest_message": {"text": "oi", "metadata": {}},
            "events": [],
            "paused": False,
            "active_loop": {},
            "latest_action_name": "action_listen",
        },
        "domain": {},
    }


@pytest.fixture
def app() -> Sanic[Any, Any]:
    return create_app([Echo()], secret="s3cret", name=f"actions-{id(object())}")


async def post(app: Sanic[Any, Any], body: dict[str, Any], *, secret: str = "s3cret") -> Any:
    _, response = await app.asgi_client.post(
        "/webhook", json=body, headers={"Authorization": f"Bearer {secret}"}
    )
    return response


async def test_runs_an_action(app: Sanic[Any, Any]) -> None:
    response = await post(app, call())

    assert response.status == 200
    assert response.json["responses"][0]["text"] == "hello"


@pytest.mark.parametrize("secret", ["", "wrong", "s3cret "])
async def test_asks_for_the_secret(app: Sanic[Any, Any], secret: str) -> None:
    assert (await post(app, call(), secret=secret)).status == 401


async def test_an_error_shows_nothing_of_itself(app: Sanic[Any, Any]) -> None:
    response = await post(app, call("bad"))

    assert response.status == 500
    assert "customer" not in response.text


async def test_an_unknown_action_is_not_found(app: Sanic[Any, Any]) -> None:
    assert (await post(app, call(action="action_unknown"))).status == 404
