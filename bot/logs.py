"""Logs of the Rasa process: what happened and where, never what someone wrote.

Rasa 3.6.21 builds its messages with f-strings: texts of customers, slot values and bodies of
failed requests are in them, at every level (structlog prints even its debug lines unless someone
configures it). A list of "bad" messages would never be complete, so the rule is by origin: records
of `bot.*` are printed as they are, with a fixed list of fields; of everything else only the level,
the module and the line are printed once the server has started. The release of Rasa is pinned, so
the line says which message it was. Exceptions are printed as types and places, without their text.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections.abc import MutableMapping
from datetime import datetime, timezone
from typing import Any, Optional, TextIO

import structlog

# Ids, counts, durations, enums. Names as in kit.logging.
_FIELDS = (
    "conversation_id",
    "turn_id",
    "milliseconds",
    "intent",
    "outcome",
    "count",
    "replayed",
    "code",
    "actions",
    "model",
    "seconds",
    "host",
    "port",
)

_FRAMES = 12
_CAUSES = 5


class SafeFormatter(logging.Formatter):
    """One line a record, as JSON or as text."""

    def __init__(self, *, json_lines: bool) -> None:
        super().__init__()
        self._json_lines = json_lines
        self.serving = False

    def format(self, record: logging.LogRecord) -> str:
        """The line for one record."""
        line = self._line(record)
        if self._json_lines:
            return json.dumps(line, ensure_ascii=False, default=str)
        moment, level = line.pop("timestamp"), line.pop("level")
        event = line.pop("event")
        rest = " ".join(f"{name}={value}" for name, value in line.items())
        return f"{moment} [{level:<7}] {event:<24} {rest}".rstrip()

    def _line(self, record: logging.LogRecord) -> dict[str, Any]:
        moment = datetime.fromtimestamp(record.created, tz=timezone.utc)
        line: dict[str, Any] = {
            "timestamp": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "event": self._event(record),
            "process": "bot",
        }
        line.update({name: record.__dict__[name] for name in _FIELDS if name in record.__dict__})
        if record.exc_info and record.exc_info[1] is not None:
            line.update(_exception(record.exc_info[1], with_text=not self.serving))
        return line

    def _event(self, record: logging.LogRecord) -> str:
        if not self.serving or _is_ours(record.name):
            return record.getMessage()
        return f"library.message from={record.name}:{record.lineno}"


def _is_ours(logger_name: str) -> bool:
    return logger_name == "bot" or logger_name.startswith("bot.")


def _exception(error: BaseException, *, with_text: bool) -> dict[str, Any]:
    """Types of the exception and its causes, outermost first, and the places it went through."""
    names: list[str] = []
    cause: Optional[BaseException] = error
    while cause is not None and len(names) < _CAUSES:
        name = f"{type(cause).__module__}.{type(cause).__qualname__}"
        names.append(f"{name}: {cause}" if with_text else name)
        trace = cause.__traceback__
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    # The innermost cause went through the place where the trouble is.
    frames = traceback.extract_tb(trace)[-_FRAMES:]
    places = [f"{_short(frame.filename)}:{frame.lineno}:{frame.name}" for frame in frames]
    return {"error_type": " <- ".join(names), "places": places}


def _short(filename: str) -> str:
    """The path without the machine's own part."""
    for marker in ("/site-packages/", "/lib/python3.10/"):
        if marker in filename:
            return filename.rpartition(marker)[2]
    return "/".join(filename.split("/")[-2:])


def configure_logs(*, json_lines: bool, stream: TextIO = sys.stderr) -> SafeFormatter:
    """Send everything through one formatter: `bot.*` from INFO on, libraries from WARNING on.

    Returns:
        The formatter; set its `serving` once the server answers, and no library speaks any more.
    """
    formatter = SafeFormatter(json_lines=json_lines)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    # On our own logger, not on the root: numpy.distutils sets the root to WARNING when imported.
    logging.getLogger("bot").setLevel(logging.INFO)
    for name in ("rasa", "sanic", "sanic.root", "sanic.error", "sanic.access"):
        logger = logging.getLogger(name)
        logger.handlers[:] = []
        logger.propagate = True
    # Warnings are for the people who train a model (the training script prints them); here they
    # repeat deprecations at each start, and some of Rasa's repeat what the customer wrote.
    logging.captureWarnings(capture=True)
    logging.getLogger("py.warnings").setLevel(logging.ERROR)
    _configure_structlog()
    return formatter


def _configure_structlog() -> None:
    """Rasa's structlog lines: their event name only, to the standard loggers, from WARNING on."""
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, _event_name_only],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        cache_logger_on_first_use=True,
    )


def _event_name_only(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> tuple[tuple[str, str], dict[str, Any]]:
    # Rasa's structlog event names are fixed words; everything beside them may be someone's text.
    name = str(event.get("event"))
    return ("%s", name), {"extra": {"code": name}}
