"""The log says what happened and where, never what someone wrote."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from bot.logs import SafeFormatter


def line(logger: str, message: str, *, serving: bool, **extra: Any) -> dict[str, Any]:
    formatter = SafeFormatter(json_lines=True)
    formatter.serving = serving
    record = logging.LogRecord(logger, logging.WARNING, "x.py", 12, message, None, None)
    record.__dict__.update(extra)
    parsed: dict[str, Any] = json.loads(formatter.format(record))
    return parsed


def test_a_library_shows_its_place_only_while_serving() -> None:
    printed = line("rasa.core.actions.action", "cpf 123", serving=True)
    assert printed["event"] == "library.message from=rasa.core.actions.action:12"


def test_a_library_may_explain_a_failed_start() -> None:
    assert line("rasa.core.agent", "no model", serving=False)["event"] == "no model"


def test_our_own_event_keeps_its_name_and_known_fields_only() -> None:
    printed = line("bot.turns", "turn.finished", serving=True, turn_id="m1", text="cpf 123")
    assert printed["event"] == "turn.finished"
    assert printed["turn_id"] == "m1"
    assert "text" not in printed


def test_a_logger_that_only_begins_like_ours_is_a_library() -> None:
    assert line("botocore", "secret", serving=True)["event"].startswith("library.message")


@pytest.mark.parametrize("serving", [True, False])
def test_an_exception_is_its_type_and_place(serving: bool) -> None:
    formatter = SafeFormatter(json_lines=True)
    formatter.serving = serving
    try:
        try:
            raise KeyError("cpf 123")  # noqa: EM101, TRY003, TRY301 - the text must not be printed
        except KeyError as error:
            message = "outer"
            raise ValueError(message) from error
    except ValueError as error:
        info = (type(error), error, error.__traceback__)
        record = logging.LogRecord("bot", logging.ERROR, "x.py", 1, "turn.failed", None, info)
    printed = json.loads(formatter.format(record))
    assert "builtins.ValueError" in printed["error_type"]
    assert "builtins.KeyError" in printed["error_type"]
    assert "test_an_exception_is_its_type_and_place" in printed["places"][-1]
    assert ("cpf 123" in json.dumps(printed)) is not serving
