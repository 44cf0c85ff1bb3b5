"""The backtest's counts as a document, and the document as a page of text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from handoff.backtest import DOUBT_UNITS, LOADS, Cell, Tally
from handoff.backtest_cost import Costs, estimate, needed_share, point_cost
from handoff.backtest_sweep import SweepTally, best_of
from handoff.policy import HANDOFF, OUTCOMES, HandoffPolicy

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
NO_VALUE = "(none)"

LIMITS = (
    "Exact for every turn on its own: the stored snapshot holds all that a rule may know.",
    (
        "Not known is how a conversation would have gone on: after its first changed turn the "
        "counts of failures and questions are those of the policy that was in force. Turns after "
        "it are shown as 'later' and left out of the cost."
    ),
    (
        "Wrong answers are expected from the confidence (a believed answer with 0.80 counts 0.20), "
        "which is right only as far as the confidence is calibrated."
    ),
)

_MOST_CHANGES = 20
_MAX_NAME = 34

Row = dict[str, Any]


def report(
    tally: Tally,
    policy: HandoffPolicy,
    costs: Costs,
    *,
    period: Mapping[str, str | None],
    filters: Mapping[str, str | None],
    tickets: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """The whole comparison in JSON types.

    Args:
        tally: The counts.
        policy: The new policy.
        costs: Prices.
        period: What was asked for: "since" and "until".
        filters: "language" and "channel", None where not given.
        tickets: Turn to the number of the ticket that it opened.
    """
    turns = sum(counts[0] for counts in tally.cells.values())
    later = sum(counts[2] for counts in tally.cells.values())
    return {
        "policy": {"name": policy.name, "version": policy.version},
        "period": {**period, "first": tally.first or None, "last": tally.last or None},
        "filters": dict(filters),
        "turns": turns,
        "conversations": tally.conversations,
        "unreadable": {"turns": tally.unreadable, "some": tally.unreadable_turns},
        "versions": _counted(tally, lambda cell: cell.version),
        "outcomes": _sides(tally, turns),
        "conversations_with_a_handoff": {
            "before": tally.handed_before,
            "after": tally.handed_after,
        },
        "handoffs": _handoffs(tally),
        "changes": _changes(tally),
        "flips": {
            "conversations": tally.flipped,
            "turns": _changed(tally),
            "later_turns": later,
            "listed": [
                {**asdict(flip), "ticket": (tickets or {}).get(flip.turn_id)}
                for flip in tally.flips
            ],
        },
        "cost": {
            "formula": costs.formula,
            "turns": turns - later,
            **{side: asdict(found) for side, found in estimate(tally, costs).items()},
        },
        "reviews": _reviews(tally),
        "sweep": None if tally.sweep is None else sweep_report(tally.sweep, costs),
        "limits": list(LIMITS),
    }


def _sides(tally: Tally, turns: int) -> dict[str, dict[str, Row]]:
    before: Counter[str] = Counter()
    after: Counter[str] = Counter()
    for cell, counts in tally.cells.items():
        before[cell.before.outcome] += counts[0]
        after[cell.after.outcome] += counts[0]
    return {
        side: {
            name: {"turns": found[name], "share": _share(found[name], turns)} for name in OUTCOMES
        }
        for side, found in (("before", before), ("after", after))
    }


def _handoffs(tally: Tally) -> dict[str, list[Row]]:
    """Handoffs before and after by what the reader may want to see them by."""
    return {
        "by_reason": _by(tally, lambda cell: (cell.before.reason, cell.after.reason)),
        "by_level": _by(tally, lambda cell: (cell.before.level, cell.after.level), by_name=True),
        "by_queue": _by(tally, lambda cell: (cell.before.queue, cell.after.queue)),
        "by_language": _by(tally, lambda cell: (cell.language, cell.language)),
        "by_hour": _by(tally, lambda cell: (f"{cell.hour:02d}", f"{cell.hour:02d}"), by_name=True),
        "by_weekday": _by(tally, _weekday, order=WEEKDAYS),
        "by_agents_available": _by(
            tally, lambda cell: (cell.load_before, cell.load_after), order=LOADS
        ),
    }


def _weekday(cell: Cell) -> tuple[str, str]:
    return WEEKDAYS[cell.weekday], WEEKDAYS[cell.weekday]


def _by(
    tally: Tally,
    names: Callable[[Cell], tuple[str | None, str | None]],
    *,
    by_name: bool = False,
    order: Sequence[str] = (),
) -> list[Row]:
    before: Counter[str] = Counter()
    after: Counter[str] = Counter()
    for cell, counts in tally.cells.items():
        name_before, name_after = names(cell)
        if cell.before.outcome == HANDOFF:
            before[name_before or NO_VALUE] += counts[0]
        if cell.after.outcome == HANDOFF:
            after[name_after or NO_VALUE] += counts[0]
    found = before.keys() | after.keys()
    if order:
        ordered = [name for name in order if name in found] + sorted(found - set(order))
    elif by_name:
        ordered = sorted(found)
    else:
        ordered = sorted(found, key=lambda name: (-max(before[name], after[name]), name))
    return [
        {
            "name": name,
            "before": before[name],
            "after": after[name],
            "change": after[name] - before[name],
        }
        for name in ordered
    ]


def _counted(tally: Tally, name: Callable[[Cell], str]) -> dict[str, int]:
    """Most frequent first; equal ones by name, so that two runs print the same."""
    found: Counter[str] = Counter()
    for cell, counts in tally.cells.items():
        found[name(cell)] += counts[0]
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _is_change(cell: Cell) -> bool:
    before, after = cell.before, cell.after
    return (before.outcome, before.queue) != (after.outcome, after.queue)


def _changed(tally: Tally) -> int:
    return sum(counts[0] for cell, counts in tally.cells.items() if _is_change(cell))


def _changes(tally: Tally) -> list[Row]:
    """What becomes what, the most frequent first."""
    found: Counter[tuple[str, str, str, str]] = Counter()
    for cell, counts in tally.cells.items():
        if _is_change(cell):
            before, after = cell.before, cell.after
            found[before.outcome, before.rule, after.outcome, after.rule] += counts[0]
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return [
        {
            "before": before,
            "rule_before": rule_before,
            "after": after,
            "rule_after": rule_after,
            "turns": turns,
        }
        for (before, rule_before, after, rule_after), turns in ordered[:_MOST_CHANGES]
    ]


def _reviews(tally: Tally) -> dict[str, Any] | None:
    if not tally.reviewed:
        return None
    return {
        "turns": sum(tally.reviewed.values()),
        "needed_share_of_left_out_handoffs": round(needed_share(tally), 4),
        "by": [
            {"verdict": verdict, "before": before, "after": after, "turns": turns}
            for (verdict, before, after), turns in sorted(tally.reviewed.items())
        ],
    }


def sweep_report(tally: SweepTally, costs: Costs) -> dict[str, Any]:
    """The points of a sweep in JSON types, with their cost."""
    found = [point_cost(point, costs) for point in tally.points]
    rows = []
    for point, cost in zip(tally.points, found, strict=True):
        turns = sum(point.outcomes.values())
        wrong = point.doubt / DOUBT_UNITS
        rows.append(
            {
                "value": point.value,
                **{name: point.outcomes[name] for name in OUTCOMES},
                "handoff_share": _share(point.outcomes[HANDOFF], turns),
                "clarify_share": _share(point.outcomes["clarify"], turns),
                "wrong_answers": round(wrong, 2),
                "wrong_share": _share(wrong, turns),
                "conversations_with_a_handoff": point.conversations,
                "cost": cost,
            }
        )
    return {
        "name": tally.sweep.label,
        "present": tally.sweep.present,
        "lowest_cost": tally.points[best_of(found)].value if found else None,
        "points": rows,
    }


def _share(part: float, whole: float) -> float:
    return round(part / whole, 6) if whole else 0.0


# -- as text ------------------------------------------------------------------------------------


def text_report(document: Mapping[str, Any]) -> str:
    """The page for a terminal."""
    return "\n".join(_lines(document))


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    policy, period = document["policy"], document["period"]
    yield f"Backtest of {policy['name']} (version {policy['version']})"
    given = ", ".join(f"{name} {value}" for name, value in document["filters"].items() if value)
    only = f"; only {given}" if given else ""
    yield f"Stored turns from {period['first']} to {period['last']}{only}"
    versions = ", ".join(f"{name} ({turns:,})" for name, turns in document["versions"].items())
    yield f"{document['turns']:,} turns of {document['conversations']:,} conversations"
    yield f"Decided by policy version {versions}"
    if document["unreadable"]["turns"]:
        some, left_out = document["unreadable"]["some"], document["unreadable"]["turns"]
        yield f"{left_out:,} records could not be read and are left out: {', '.join(some)}"
    yield ""
    yield from _outcome_lines(document)
    for title, key in _TABLES:
        yield from _table(title, document["handoffs"][key])
    yield from _flip_lines(document)
    yield from _cost_lines(document)
    if document["sweep"] is not None:
        yield from sweep_lines(document["sweep"])
    yield "Read with this in mind:"
    yield from (f"  - {line}" for line in document["limits"])


_TABLES = (
    ("Handoffs by reason", "by_reason"),
    ("by level", "by_level"),
    ("by queue", "by_queue"),
    ("by language", "by_language"),
    ("by hour of the day (time zone of the default queue)", "by_hour"),
    ("by weekday", "by_weekday"),
    ("by people available for the queue", "by_agents_available"),
)


def _outcome_lines(document: Mapping[str, Any]) -> Iterator[str]:
    yield f"{'':<34} {'before':>17} {'after':>17} {'change':>9}"
    before, after = document["outcomes"]["before"], document["outcomes"]["after"]
    for name in OUTCOMES:
        old, new = before[name], after[name]
        cells = [f"{one['turns']:>9,} {one['share']:>6.1%}" for one in (old, new)]
        yield f"{name:<34} {cells[0]:>17} {cells[1]:>17} {new['turns'] - old['turns']:>+9,}"
    handed = document["conversations_with_a_handoff"]
    cells = [
        f"{handed[side]:>9,} {_share(handed[side], document['conversations']):>6.1%}"
        for side in ("before", "after")
    ]
    change = handed["after"] - handed["before"]
    yield f"{'conversations with a handoff':<34} {cells[0]:>17} {cells[1]:>17} {change:>+9,}"
    yield ""


def _table(title: str, rows: Sequence[Row]) -> Iterator[str]:
    if not rows:
        return
    yield title
    for row in rows:
        yield (
            f"  {row['name'][:_MAX_NAME]:<32} {row['before']:>17,} {row['after']:>17,} "
            f"{row['change']:>+9,}"
        )
    yield ""


def _flip_lines(document: Mapping[str, Any]) -> Iterator[str]:
    flips = document["flips"]
    yield (
        f"{flips['conversations']:,} conversations flip; {flips['turns']:,} turns are decided "
        f"differently; {flips['later_turns']:,} turns come later in conversations that flipped"
    )
    for row in document["changes"]:
        yield (
            f"  {row['turns']:>9,}  {row['before']} ({row['rule_before']}) -> "
            f"{row['after']} ({row['rule_after']})"
        )
    if flips["listed"]:
        yield f"First changed turn of the first {len(flips['listed'])} of them:"
    for flip in flips["listed"]:
        ticket = "" if flip["ticket"] is None else f", ticket {flip['ticket']}"
        yield (
            f"  {flip['at'][:16]}  {flip['conversation_id']}  turn {flip['turn_id']}: "
            f"{_decided(flip, 'before')} -> {_decided(flip, 'after')}, {flip['intent']}{ticket}"
        )
    yield ""


def _decided(flip: Mapping[str, Any], side: str) -> str:
    queue = flip[f"queue_{side}"]
    return f"{flip[side]}{f' to {queue}' if queue else ''} ({flip[f'rule_{side}']})"


def _cost_lines(document: Mapping[str, Any]) -> Iterator[str]:
    cost = document["cost"]
    yield f"Estimated cost over {cost['turns']:,} turns: {cost['formula']}"
    for name in ("handoffs", "clarifications", "wrong_answers", "missed", "total"):
        old, new = cost["before"][name], cost["after"][name]
        yield f"  {name.replace('_', ' '):<32} {old:>17,.0f} {new:>17,.0f} {new - old:>+9,.0f}"
    reviews = document["reviews"]
    if reviews is None:
        yield "  No reviews by agents in the period: needed handoffs left out are not counted."
    else:
        yield f"  {reviews['turns']:,} of the turns were reviewed by agents:"
        for row in reviews["by"]:
            yield f"  {row['turns']:>9,}  {row['verdict']}: {row['before']} -> {row['after']}"
    yield ""


def sweep_lines(sweep: Mapping[str, Any]) -> Iterator[str]:
    """The table of a sweep."""
    yield f"Sweep of {sweep['name']} (* present value, $ lowest cost)"
    yield (
        f"  {'value':>7}   {'stay':>10} {'clarify':>10} {'':>6} {'handoff':>10} {'':>6} "
        f"{'conv. handed':>12} {'wrong':>9} {'cost':>13}"
    )
    for point in sweep["points"]:
        marks = ("*" if point["value"] == sweep["present"] else " ") + (
            "$" if point["value"] == sweep["lowest_cost"] else " "
        )
        yield (
            f"  {point['value']:>7.3f} {marks}{point['stay']:>10,} {point['clarify']:>10,} "
            f"{point['clarify_share']:>6.1%} {point['handoff']:>10,} "
            f"{point['handoff_share']:>6.1%} {point['conversations_with_a_handoff']:>12,} "
            f"{point['wrong_answers']:>9,.0f} {point['cost']:>13,.0f}"
        )
    yield ""
