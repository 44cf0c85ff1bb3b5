"""Who may read /metrics."""

from __future__ import annotations

import pytest
from sanic import Sanic

from kit.metrics import counter
from ticketing.api.metrics import create_blueprint

TOKEN = "a token of this test"
SEEN = counter("ponte_test_seen_total", "Seen by a test.")


def make_app(token: str, name: str) -> Sanic:
    app: Sanic = Sanic(name, configure_logging=False)
    app.blueprint(create_blueprint(token))
    return app


async def test_the_token_opens_it() -> None:
    SEEN.inc()
    _, response = await make_app(TOKEN, "metrics-open").asgi_client.get(
        "/metrics", headers={"Authorization": f"Bearer {TOKEN}"}
    )

    assert response.status == 200
    assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert "# TYPE ponte_test_seen_total counter" in response.text


@pytest.mark.parametrize(
    ("token", "header"),
    [
        (TOKEN, ""),
        (TOKEN, "Bearer"),
        (TOKEN, "Bearer another"),
        (TOKEN, f"Basic {TOKEN}"),
        (TOKEN, f"Bearer {TOKEN}é"),
        ("", "Bearer "),
        ("", ""),
    ],
)
async def test_everybody_else_gets_401(token: str, header: str, request: object) -> None:
    name = f"metrics-{abs(hash((token, header)))}"
    headers = {"Authorization": header.encode("utf-8")} if header else {}
    _, response = await make_app(token, name).asgi_client.get("/metrics", headers=headers)

    assert response.status == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert "ponte_" not in response.text
