"""Where an idle turn of Ponte spends its time, read from the logs of its processes.

Every line of a turn carries its correlation id or its turn id, and the processes share a clock.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.customers import TurnTimes

_FILES = ("web", "actions", "bot")
# (process, event) -> the moment it marks, in the order in which a turn passes them.
_MOMENTS = {
    ("web", "webhook.stored"): "stored",
    ("actions", "handoff.decided"): "decided",
    ("bot", "turn.finished"): "bot answered",
    ("web", "turn.finished"): "finished",
}
_STEPS = (
    ("posted", "stored", "webhook: signature, parse, store, message and turn"),
    ("stored", "decided", "claim, language, Rasa's parse, rules"),
    ("decided", "bot answered", "rest of Rasa's turn: policies, further actions, tracker"),
    ("bot answered", "finished", "back in web: decision record, outbound row, commit"),
    ("finished", "answered", "send: build, POST, arrival"),
    ("posted", "answered", "whole turn"),
)


def parts(times: Sequence[TurnTimes], logs: Path) -> dict[str, float]:
    """Median milliseconds of each step; empty when the logs do not tell."""
    moments = _moments(logs, {one.correlation_id for one in times})
    found: dict[str, list[float]] = {label: [] for _, _, label in _STEPS}
    for one in times:
        of_turn = moments.get(one.correlation_id, {})
        of_turn |= {"posted": one.sent, "answered": one.answered}
        if all(start in of_turn and end in of_turn for start, end, _ in _STEPS):
            for start, end, label in _STEPS:
                found[label].append((of_turn[end] - of_turn[start]) * 1000)
    return {label: statistics.median(values) for label, values in found.items() if values}


def _moments(logs: Path, wanted: set[str]) -> dict[str, dict[str, float]]:
    """Correlation id -> moment -> epoch seconds."""
    lines = [(name, line) for name in _FILES for line in _lines(logs / f"{name}.log")]
    turns = {
        line["turn_id"]: line["correlation_id"]
        for _, line in lines
        if "turn_id" in line and "correlation_id" in line
    }
    found: dict[str, dict[str, float]] = {}
    for name, line in lines:
        moment = _MOMENTS.get((name, line.get("event", "")))
        correlation_id = line.get("correlation_id") or turns.get(line.get("turn_id", ""))
        if moment is not None and correlation_id in wanted:
            seconds = datetime.fromisoformat(line["timestamp"]).timestamp()
            found.setdefault(correlation_id, {})[moment] = seconds
    return found


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    texts: Iterable[str] = (
        path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else ()
    )
    for text in texts:
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict):
            yield line
