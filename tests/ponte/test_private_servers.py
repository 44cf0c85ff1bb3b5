"""The action server is as private as the bot."""

from __future__ import annotations

import pytest

from ponte.processes import actions
from ponte.settings import Process, Settings


def settings_with(url: str) -> Settings:
    return Settings.from_environment(
        Process.ACTIONS,
        environment={
            "PONTE_DATABASE_URL": "postgresql://u@127.0.0.1:1/db",
            "PONTE_REDIS_URL": "redis://127.0.0.1:1/0",
            "PONTE_BOT_SECRET": "s" * 32,
            "PONTE_ACTIONS_URL": url,
        },
    )


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "8.8.8.8"])  # noqa: S104 - they are refused
def test_a_public_address_is_refused_before_anything_listens(
    host: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert actions.run(settings_with(f"http://{host}:5055/webhook")) == 2
    said = capsys.readouterr().err
    assert "PONTE_ACTIONS_URL" in said
    assert "PONTE_ALLOW_PUBLIC_BIND" in said
