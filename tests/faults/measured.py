"""What a scenario has measured, its rules, and the table of all of them. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.faults.ledger import Tally

BEGIN, END = "<!-- faults:begin -->", "<!-- faults:end -->"
_HEAD = (
    "| id | fault | pass | produced | delivered | dead letters | lost | doubled | s | verdict |\n"
    "|---|---|---|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that has to be true, with what was seen."""

    text: str
    passed: bool
    seen: str


@dataclass(slots=True)
class Measured:
    """The result of one run of a scenario."""

    id: str
    fault: str
    tally: Tally | None = None
    rules: list[Rule] = field(default_factory=list)
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
    skipped: str = ""

    def must(self, text: str, passed: bool, seen: object = "") -> None:
        """Note a rule."""
        self.rules.append(Rule(text, bool(passed), str(seen)))

    def judge(self, found: Tally, *, dup: int | None = 0) -> None:
        """The rules every scenario has: nothing lost, nothing invented, not too many twice."""
        self.tally = found
        names = f" ({len(found.open)} on their way; {', '.join(found.lost[:3])})"
        names = names if found.lost else ""
        self.must("lost 0", not found.lost, f"lost {len(found.lost)}{names}")
        self.must("nothing unasked", not found.unasked, f"{len(found.unasked)} unasked")
        causes = Counter(f"{one.channel}: {one.why or 'no cause'}" for one in found.doublings)
        if found.doublings:
            self.must("every doubling has its cause", not found.uncaused, dict(causes))
        if found.dead or found.inexplicable:
            strange = found.inexplicable[:3]
            self.must("every dead letter is borne out by the log", not strange, strange or "")
        if dup is not None:
            by = ", ".join(f"{name} {count}" for name, count in found.doubled_by_channel.items())
            self.must(f"doubled <= {dup}", found.dup <= dup, f"doubled {found.dup} ({by or '-'})")

    @property
    def passed(self) -> bool:
        return all(rule.passed for rule in self.rules)

    @property
    def broken(self) -> list[str]:
        """The rules that failed, in words."""
        return [f"{rule.text}: {rule.seen}" for rule in self.rules if not rule.passed]

    def line(self) -> str:
        """Its row of the table."""
        tally = self.tally
        counts = ["-"] * 5
        if tally is not None:
            numbers = (tally.produced, tally.delivered, tally.dead, len(tally.lost), tally.dup)
            counts = [str(number) for number in numbers]
        rules = "; ".join(
            rule.text + (f" ({rule.seen})" if rule.seen else "") for rule in self.rules
        )
        verdict = "PASS" if self.passed else "FAIL: " + "; ".join(self.broken)
        if self.skipped:
            verdict = f"not run: {self.skipped}"
        cells = [self.id, self.fault, rules, *counts, f"{self.seconds:.0f}", verdict]
        return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"


def worst(runs: Sequence[Measured]) -> Measured:
    """Of several runs the one to report: a failed one, else with the most lost or doubled."""

    def badness(run: Measured) -> tuple[int, int, int, float]:
        found = run.tally
        lost, dup = (len(found.lost), found.dup) if found else (0, 0)
        return len(run.broken), lost, dup, run.seconds

    return max(runs, key=badness)


def table(runs: Sequence[Measured]) -> str:
    """All of them."""
    return "\n".join([_HEAD, *(run.line() for run in runs)])


def put_into(document: str, text: str) -> str:
    """The document with `text` between its marks.

    Raises:
        ValueError: when it has no marks.
    """
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        message = f"expected the marks {BEGIN} and {END}"
        raise ValueError(message)
    return f"{before}{BEGIN}\n{text}\n{END}{after}"
