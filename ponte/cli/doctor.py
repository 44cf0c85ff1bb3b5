"""`ponte doctor`: is everything configured, and does every part answer?"""

from __future__ import annotations

from typing import Annotated

import typer

from ponte.cli.app import (
    app,
    example,
    print_json,
    running_environment,
)
from ponte.settings import read_environment


@app.command(epilog=example("ponte doctor --json"))
def doctor(
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Check the configuration and reach every part; names what is wrong and what to do."""
    from ponte.diagnosis import State, examine  # noqa: PLC0415 - slow to import

    checks = examine(running_environment(read_environment()))
    failed = [check for check in checks if check.state is State.FAILED]
    if json_output:
        print_json({"ok": not failed, "checks": [check.to_json() for check in checks]})
    else:
        width = max(len(check.name) for check in checks)
        for check in checks:
            print(f"{check.state.value:<8} {check.name:<{width}}  {check.detail}")
            if check.hint:
                print(f"{'':<8} {'':<{width}}  -> {check.hint}")
        print(f"{len(failed)} of {len(checks)} checks failed" if failed else "all is well")
    raise typer.Exit(1 if failed else 0)
