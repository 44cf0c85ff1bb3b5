"""`ponte sla check`: are the SLA rules right, and what do they promise?"""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from handoff.policy_file import PolicyError
from ponte.cli.app import example, print_json
from ponte.cli.sla import sla
from ponte.processes.sla_watch import SlaFiles
from ponte.settings import ROOT, Settings, read_environment
from ticketing.domain.sla.rules import SlaPolicy, SlaRules

_ONE_MINUTE = timedelta(minutes=1)


@sla.command(epilog=example("ponte sla check sla.yml"))
def check(
    file: Annotated[
        Path, typer.Argument(metavar="[FILE]", help="The rules; the project's own by default.")
    ] = ROOT / "sla.yml",
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Name every mistake with its line; without one, show what is promised.

    The file names queues and calendars of `handoff.yml`, which is read with it. Exit code 0: all
    right; 1: mistakes.
    """
    try:
        rules = SlaFiles(sla=file).read(warning=_warning())
    except PolicyError as error:
        _refuse(file, error, json_output=json_output)
    if json_output:
        print_json({"file": str(file), "ok": True, **_document(rules), "findings": []})
        return
    print(f"{file}: ok (version {rules.version}; warning at {rules.warning:.0%})")
    for policy in rules.policies:
        for line in _lines(policy):
            print(line)
    if not rules.policies[-1].when.fits_all:
        print("note: tickets that none of these policies fits have no clocks")


def _warning() -> float:
    """SLA_WARNING_THRESHOLD; no other setting is needed for looking at a file."""
    found = {key: value for key, value in read_environment().items() if key.startswith("SLA_")}
    return Settings.from_environment(environment=found).sla_warning_threshold


def _refuse(file: Path, error: PolicyError, *, json_output: bool) -> None:
    if json_output:
        findings = [
            {"line": problem.line, "key": problem.path, "severity": "error", "text": problem.text}
            for problem in error.problems
        ]
        print_json({"file": str(file), "ok": False, "version": None, "findings": findings})
    else:
        for line in error.lines:
            print(line, file=sys.stderr)
        print(f"{file}: wrong ({len(error.problems)} errors)")
    raise typer.Exit(1)


def _lines(policy: SlaPolicy) -> list[str]:
    lines = [f"{policy.id}:"]
    for metric, target in policy.targets.items():
        minutes = ", ".join(
            f"{key} {duration // _ONE_MINUTE} min" for key, duration in target.durations.items()
        )
        pauses = ", ".join(sorted(status.value for status in target.pause_on)) or "nothing"
        calendar = target.calendar or "the queue's"
        lines.append(f"  {metric.value}: {minutes}; calendar {calendar}; pauses on {pauses}")
    return lines


def _document(rules: SlaRules) -> dict[str, Any]:
    return {
        "version": rules.version,
        "warning": rules.warning,
        "policies": [
            {
                "id": policy.id,
                "targets": {
                    metric.value: {
                        "minutes": {
                            key: duration // _ONE_MINUTE
                            for key, duration in target.durations.items()
                        },
                        "calendar": target.calendar or "queue",
                        "pause_on": sorted(status.value for status in target.pause_on),
                        "warning": target.warning or rules.warning,
                    }
                    for metric, target in policy.targets.items()
                },
            }
            for policy in rules.policies
        ],
    }
