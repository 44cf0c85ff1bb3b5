"""SLA rules as JSON and back, calendars and all, so that a database can keep what once held."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import date, time, timedelta
from typing import Any

from handoff.business_hours import Calendar, Interval
from ticketing.domain.enums import SlaMetric, TicketStatus
from ticketing.domain.sla.rules import Match, SlaPolicy, SlaRules, Target

JSON = dict[str, Any]

_VERSION_LENGTH = 16


def rules_to_json(rules: SlaRules) -> JSON:
    """Everything that `evaluate` looks at."""
    return {
        "name": rules.name,
        "version": rules.version,
        "warning": rules.warning,
        "default_calendar": rules.default_calendar,
        "queue_calendars": dict(rules.queue_calendars),
        "calendars": {name: _calendar(found) for name, found in rules.calendars.items()},
        "policies": [_policy(policy) for policy in rules.policies],
    }


def rules_from_json(document: Mapping[str, Any]) -> SlaRules:
    """The rules that were stored."""
    return SlaRules(
        name=document["name"],
        version=document["version"],
        policies=tuple(_read_policy(item) for item in document["policies"]),
        calendars={
            name: _read_calendar(name, item) for name, item in document["calendars"].items()
        },
        queue_calendars=dict(document["queue_calendars"]),
        default_calendar=document["default_calendar"],
        warning=document["warning"],
    )


def content_version(rules: SlaRules) -> str:
    """Short hash of the rules and of every calendar: another one means another period."""
    content = json.dumps(rules_to_json(rules), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()[:_VERSION_LENGTH]


def _calendar(calendar: Calendar) -> JSON:
    return {
        "time_zone": calendar.time_zone,
        "weekly": {str(day): _spans(spans) for day, spans in sorted(calendar.weekly.items())},
        "holidays": sorted(day.isoformat() for day in calendar.holidays),
        "special_days": {
            day.isoformat(): _spans(spans) for day, spans in sorted(calendar.special_days.items())
        },
    }


def _read_calendar(name: str, document: Mapping[str, Any]) -> Calendar:
    return Calendar(
        name=name,
        time_zone=document["time_zone"],
        weekly={int(day): _read_spans(spans) for day, spans in document["weekly"].items()},
        holidays=frozenset(date.fromisoformat(day) for day in document["holidays"]),
        special_days={
            date.fromisoformat(day): _read_spans(spans)
            for day, spans in document["special_days"].items()
        },
    )


def _spans(spans: tuple[Interval, ...]) -> list[list[str]]:
    return [[opens.isoformat(), closes.isoformat()] for opens, closes in spans]


def _read_spans(spans: list[list[str]]) -> tuple[Interval, ...]:
    return tuple((time.fromisoformat(opens), time.fromisoformat(closes)) for opens, closes in spans)


def _policy(policy: SlaPolicy) -> JSON:
    return {
        "id": policy.id,
        "when": {
            "fields": {name: sorted(found) for name, found in sorted(policy.when.fields.items())},
            "vip": policy.when.vip,
            "tags": sorted(policy.when.tags),
        },
        "targets": {
            metric.value: {
                "seconds": {key: value.total_seconds() for key, value in target.durations.items()},
                "calendar": target.calendar,
                "pause_on": sorted(status.value for status in target.pause_on),
                "warning": target.warning,
            }
            for metric, target in policy.targets.items()
        },
    }


def _read_policy(document: Mapping[str, Any]) -> SlaPolicy:
    when = document["when"]
    return SlaPolicy(
        id=document["id"],
        when=Match(
            fields={name: frozenset(found) for name, found in when["fields"].items()},
            vip=when["vip"],
            tags=frozenset(when["tags"]),
        ),
        targets={
            SlaMetric(metric): Target(
                durations={
                    key: timedelta(seconds=value) for key, value in target["seconds"].items()
                },
                calendar=target["calendar"],
                pause_on=frozenset(TicketStatus(status) for status in target["pause_on"]),
                warning=target["warning"],
            )
            for metric, target in document["targets"].items()
        },
    )
