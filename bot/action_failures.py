"""Notice when a custom action did not run, so that the turn is not taken for a good one.

Rasa 3.6.21 goes on when the action server is down: `MessageProcessor._run_action` and
`ActionExtractSlots._run_custom_action` log the exception and continue without the action's events.
For this assistant that would mean a turn without its handoff rules, or a handoff that was promised
and never opened, saved as if all were well. `RemoteAction.run` is wrapped: a failure still travels
as before, and the names of the failed actions are also kept for whoever called `watch`.

An action that *rejects* (HTTP 400 of the SDK, `ActionExecutionRejection`) has run; that is how
forms say "not my message", and it is no failure.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
from collections.abc import Iterator
from typing import Any, Optional

import rasa
from rasa.core.actions.action import ActionExecutionRejection, RemoteAction

from bot.rasa_version import is_known_release

_failed: contextvars.ContextVar[Optional[list[str]]] = contextvars.ContextVar(
    "failed_actions", default=None
)


@contextlib.contextmanager
def watch() -> Iterator[list[str]]:
    """Collect, in order, the names of the actions that fail inside the block."""
    names: list[str] = []
    token = _failed.set(names)
    try:
        yield names
    finally:
        _failed.reset(token)


def apply(*, installed: str = rasa.__version__) -> bool:
    """Wrap `RemoteAction.run`; a second call changes nothing.

    Returns:
        False when Rasa is not the release this was written for (a warning says so).
    """
    if not is_known_release(installed=installed, wanted_by=__name__):
        return False
    original = RemoteAction.run
    if getattr(original, "notes_failures", False):
        return True

    @functools.wraps(original)
    async def run(action: RemoteAction, *args: Any, **kwargs: Any) -> Any:
        try:
            return await original(action, *args, **kwargs)
        except ActionExecutionRejection:
            raise
        except Exception:
            names = _failed.get()
            if names is not None:
                names.append(action.name())
            raise

    run.notes_failures = True  # type: ignore[attr-defined]  # a mark on our own function
    RemoteAction.run = run
    return True


apply()
