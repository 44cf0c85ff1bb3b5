"""The one Rasa release whose inner parts this package replaces.

Four modules swap a method of Rasa (`fast_action_results`, `fast_event_types`, `action_failures`,
`short_session_starts`). Each was written against the source of one release; on any other release
they step back, say so in the log, and leave Rasa as it came.
"""

from __future__ import annotations

import logging

import rasa

KNOWN_RELEASE = "3.6.21"

log = logging.getLogger(__name__)


def is_known_release(*, installed: str = rasa.__version__, wanted_by: str) -> bool:
    """Whether `installed` is the release the caller was written for; if not, warn.

    Args:
        installed: version of the imported Rasa.
        wanted_by: the module that asks, for the warning.
    """
    if installed == KNOWN_RELEASE:
        return True
    log.warning(
        "%s is written for Rasa %s and leaves Rasa %s unchanged; read its docstring before an "
        "upgrade",
        wanted_by,
        KNOWN_RELEASE,
        installed,
    )
    return False
