"""The command `ponte`. Exit codes: 0 well, 1 something is wrong, 2 wrong use or settings."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ponte.cli.app import app
from ponte.settings import SettingsError

# Importing a module registers its commands.
from ponte.cli import (  # isort: skip  # noqa: F401
    agents,
    audit,
    backtest,
    contacts,
    dlq,
    doctor,
    handoff,
    handoff_check,
    nlu,
    notifications,
    processes,
    quality,
    replay,
    tickets,
    retention,
    routing,
    runbooks,
    sla,
    sla_check,
    tokens,
    training,
    training_gate,
)

__all__ = ["main"]

_WRONG_USE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code."""
    try:
        app(args=None if arguments is None else list(arguments), prog_name="ponte")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except SettingsError as error:
        print(f"ponte: {error}", file=sys.stderr)
        return _WRONG_USE
    except KeyboardInterrupt:
        return 130  # what a shell reports for Ctrl-C
    return 0
