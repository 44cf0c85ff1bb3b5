"""The numbers as a table, and as a file."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.measuring import Sample

_WORTH_SAYING = 0.2  # milliseconds; what a process that waits costs by living


@dataclass(frozen=True, slots=True)
class Result:
    """Everything a run measured; every load has a sample of each side.

    Attributes:
        loads: Name of the load -> (Ponte, plain Rasa).
        parts: Where an idle turn of Ponte spends its time: step -> median milliseconds.
        processor: Side and load -> process -> processor milliseconds a turn.
        problems: What was lost or answered twice; must be empty.
    """

    loads: Mapping[str, tuple[Sample, Sample]]
    parts: Mapping[str, float]
    processor: Mapping[str, Mapping[str, float]]
    problems: list[str]


def markdown(result: Result) -> str:
    """Tables for docs/performance.md."""
    lines = ["| load | measure | Ponte | plain Rasa | ratio |", "|---|---|---:|---:|---:|"]
    for name, (ponte, plain) in result.loads.items():
        if ponte.wall:
            lines.append(_row(name, "turns/s", ponte.rate, plain.rate))
        lines.append(_row(name, "p50 ms", ponte.percentile(0.5), plain.percentile(0.5)))
        lines.append(_row(name, "p95 ms", ponte.percentile(0.95), plain.percentile(0.95)))
    if result.parts:
        lines += ["", "| part of an idle turn of Ponte | median ms |", "|---|---:|"]
        lines += [f"| {step} | {milliseconds:.1f} |" for step, milliseconds in result.parts.items()]
    for name, used in result.processor.items():
        shares = [f"{part} {spent:.1f}" for part, spent in used.items() if spent >= _WORTH_SAYING]
        lines += ["", f"Processor ms a turn ({name}): {', '.join(shares)}."]
    return "\n".join(lines)


def write(path: Path, result: Result, *, now: datetime, command: str) -> None:
    """The same as JSON, with where and when."""
    document = {
        "date": now.isoformat(timespec="seconds"),
        "command": command,
        "cpus": os.cpu_count(),
        "machine": platform.platform(),
        "loads": {
            name: {"ponte": _numbers(ponte), "plain_rasa": _numbers(plain)}
            for name, (ponte, plain) in result.loads.items()
        },
        "parts_ms": dict(result.parts),
        "processor_ms": {name: dict(used) for name, used in result.processor.items()},
        "problems": result.problems,
    }
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _row(load: str, measure: str, ponte: float, plain: float) -> str:
    ratio = ponte / plain if plain else float("nan")
    return f"| {load} | {measure} | {ponte:.1f} | {plain:.1f} | {ratio:.2f} |"


def _numbers(sample: Sample) -> dict[str, Any]:
    return {
        "turns": len(sample.seconds),
        "turns_per_second": round(sample.rate, 2),
        "p50_ms": round(sample.percentile(0.5), 2),
        "p95_ms": round(sample.percentile(0.95), 2),
        "lost": len(sample.lost),
    }
