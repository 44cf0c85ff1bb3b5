"""`ponte handoff check`: is the policy file right, and can every rule win?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from handoff.lint import ERROR, WARNING, Finding, lint
from handoff.policy_file import PolicyError, load_policy
from ponte.cli.app import example, print_json
from ponte.cli.handoff import handoff
from ponte.holiday_dates import holiday_dates
from ponte.settings import ROOT


@handoff.command(epilog=example("ponte handoff check handoff.yml"))
def check(
    file: Annotated[
        Path, typer.Argument(metavar="[FILE]", help="The policy; the project's own by default.")
    ] = ROOT / "handoff.yml",
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Name every mistake with its line, rules that never win, and what nobody uses.

    Exit code 0: all right, perhaps with warnings; 1: mistakes or rules that never win.
    """
    version, findings = _look(file)
    errors = sum(finding.is_error for finding in findings)
    if json_output:
        print_json(
            {
                "file": str(file),
                "ok": not errors,
                "version": version,
                "findings": [_document(finding) for finding in findings],
            }
        )
    else:
        for finding in findings:
            print(finding.located(str(file)), file=sys.stderr)
        warnings = len(findings) - errors
        verdict = "ok" if not errors else "wrong"
        shown = f"version {version}" if version else "no policy"
        print(f"{file}: {verdict} ({shown}; {errors} {ERROR}s, {warnings} {WARNING}s)")
    raise typer.Exit(1 if errors else 0)


def _look(file: Path) -> tuple[str | None, list[Finding]]:
    try:
        policy = load_policy(file, holiday_dates=holiday_dates)
    except PolicyError as error:
        return None, [
            Finding(problem.line, problem.path, problem.text, ERROR) for problem in error.problems
        ]
    return policy.version, list(lint(policy))


def _document(finding: Finding) -> dict[str, Any]:
    return {
        "line": finding.line,
        "key": finding.path,
        "severity": finding.severity,
        "text": finding.text,
    }
