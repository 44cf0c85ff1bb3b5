"""Structured logs: one line an event, ids as fields, never a person's words, name or number.

Fields pass an allowlist: a field that is not known to be safe is replaced by its type, so that a
careless call cannot print a customer's text. Add a name to `ALLOWED_FIELDS` when it holds an id, a
count, a duration or an enum.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

ALLOWED_FIELDS = frozenset(
    """
    accepted action actor_kind agent_id attempt attempts backlog channel code command
    confidence control conversation_id correlation_id count database decision_id duplicates
    epoch error error_type event event_id exc_info exception exit_code expected field handoff
    handoff_id hint hits host hours http_status intent job_name kind language leader level
    level_from level_to lifecycle logger message_id method metric milliseconds model name
    notification_id outbox_id outcome path pid policy port priority problems process
    provider_id queue queue_key reason replayed retry_in_seconds role route rule seconds
    setting severity signal state status stored threshold ticket_id ticket_number timestamp topic
    turn_id url version worker
    """.split()  # noqa: SIM905 - a list of words reads better than a hundred quotes
)


def configure_logging(*, process: str, json_lines: bool, level: str = "INFO") -> None:
    """Send structlog and the standard library's loggers through one formatter to standard error."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if json_lines
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=28)
    )
    structlog.configure(
        processors=[
            *shared,
            keep_allowed_fields,
            structlog.processors.format_exc_info,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # httpx logs whole URLs and sanic.access whole paths at INFO; both may hold a phone number.
    for noisy in ("httpx", "httpcore", "sanic.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # urllib3 shows paths in warnings too, and those of Twilio's lists hold the number.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    structlog.contextvars.bind_contextvars(process=process)


def keep_allowed_fields(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replace the value of every unknown field by the name of its type."""
    return {
        key: value if key in ALLOWED_FIELDS else f"<{type(value).__name__}>"
        for key, value in event.items()
    }
