"""Reading `quality.yml`: which tickets are reviewed, and by which criteria. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from handoff.policy_nodes import Node, Problem, Reader
from handoff.policy_yaml import YAMLProblemError, read_tree
from ticketing.domain.quality_estimates import DEFAULT_LEAST
from ticketing.domain.quality_sampling import Stratum
from ticketing.domain.quality_score import Criterion, CriterionKind, Scorecard
from ticketing.domain.runbook import LANGUAGES

MAX_STRATA = 20
MAX_CRITERIA = 30
MAX_TAKE = 1_000
"""Reviews a week and stratum; nobody reads more."""

_KEY = re.compile(r"[a-z][a-z0-9_]{0,59}")
_VERSION_LENGTH = 12
_MAX_TEXT = 300
_SECTIONS = ("quality", "time_zone", "strata", "scorecard")
_OPTIONAL = ("second_review_share", "least_scored", "confidence_level")
_CONDITIONS = (
    "confidence_below",
    "sla_missed",
    "reopened",
    "after_hours",
    "satisfaction_at_most",
)


class QualityPlanError(ValueError):
    """The file is wrong; the text lists every problem with its line."""

    def __init__(self, filename: str, problems: Sequence[Problem]) -> None:
        self.lines = tuple(problem.located(filename) for problem in sorted(set(problems)))
        super().__init__("\n".join(self.lines))


@dataclass(frozen=True, slots=True)
class QualityPlan:
    """How quality is watched.

    Attributes:
        name: Its name.
        version: Hash of the file.
        time_zone: In which weeks begin, on Monday at 0:00.
        strata: In the order in which they are tried; the last takes the rest.
        second_share: Share of the sample that gets a second reviewer.
        least: Scored tickets below which no average is given.
        confidence_level: Of the intervals.
        scorecard: The questions.
    """

    name: str
    version: str
    time_zone: str
    strata: tuple[Stratum, ...]
    second_share: float
    least: int
    confidence_level: float
    scorecard: Scorecard


def parse_plan(text: str, *, filename: str = "quality.yml") -> QualityPlan:
    """The plan that a YAML text describes.

    Raises:
        QualityPlanError: something is wrong; lists all of it.
    """
    reader = Reader()
    try:
        root = read_tree(text, reader)
    except YAMLProblemError as error:
        raise QualityPlanError(filename, [*reader.problems, error.problem]) from error
    version = hashlib.sha256(text.encode()).hexdigest()[:_VERSION_LENGTH]
    plan = _read(root, reader, version=version)
    if plan is None or reader.problems:
        raise QualityPlanError(filename, reader.problems)
    return plan


def _read(root: Node, reader: Reader, *, version: str) -> QualityPlan | None:
    section = reader.section(root, required=_SECTIONS, optional=_OPTIONAL)
    if not set(_SECTIONS) <= set(section):
        return None

    def number(key: str, usual: float, *, low: float, high: float) -> float:
        return reader.number(section[key], low=low, high=high) if key in section else usual

    least = DEFAULT_LEAST
    if "least_scored" in section:
        least = reader.whole(section["least_scored"], low=2, high=100)
    return QualityPlan(
        name=reader.text(section["quality"]),
        version=version,
        time_zone=_zone(section["time_zone"], reader),
        strata=_strata(section["strata"], reader),
        second_share=number("second_review_share", 0.1, low=0, high=1),
        least=least,
        confidence_level=number("confidence_level", 0.95, low=0.5, high=0.999),
        scorecard=Scorecard(version, _criteria(section["scorecard"], reader)),
    )


def _zone(node: Node, reader: Reader) -> str:
    name = reader.text(node)
    try:
        ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        reader.wrong(node, f"unknown time zone {name!r}; expected one such as America/Sao_Paulo")
    return name


def _strata(node: Node, reader: Reader) -> tuple[Stratum, ...]:
    nodes = reader.items(node)
    strata: list[Stratum] = []
    if len(nodes) > MAX_STRATA:
        reader.wrong(node, f"has {len(nodes)} strata; expected at most {MAX_STRATA}")
    for item in nodes:
        section = reader.section(item, required=("stratum",), optional=("when", "take", "share"))
        if "stratum" not in section:
            continue
        key = _key(section["stratum"], reader, taken=[stratum.key for stratum in strata])
        take = reader.whole(section["take"], low=0, high=MAX_TAKE) if "take" in section else 0
        share = reader.number(section["share"], low=0, high=1) if "share" in section else 0.0
        if not take and not share:
            # Tickets that cannot be drawn would be missing from every average without a word.
            reader.wrong(item, "draws nothing; expected take or share above 0")
        strata.append(_with_conditions(key, take, share, section.get("when"), reader))
    for place, (stratum, item) in enumerate(zip(strata, nodes, strict=False)):
        is_last = place == len(nodes) - 1
        if stratum.takes_the_rest and not is_last:
            reader.wrong(item, "has no condition, so those below never get a ticket")
        if is_last and not stratum.takes_the_rest:
            what = "is the last and has a condition; expected one without, for the rest"
            reader.wrong(item, what)
    if not nodes:
        reader.wrong(node, "is empty; expected at least one stratum")
    return tuple(strata)


def _with_conditions(
    key: str, take: int, share: float, node: Node | None, reader: Reader
) -> Stratum:
    if node is None:
        return Stratum(key, take, share)
    section = reader.section(node, required=(), optional=_CONDITIONS)
    if not section:
        reader.wrong(node, "is empty; expected a condition, or no `when`")
    below = at_most = None
    if "confidence_below" in section:
        below = reader.number(section["confidence_below"], low=0, high=1)
    if "satisfaction_at_most" in section:
        at_most = reader.whole(section["satisfaction_at_most"], low=1, high=5)
    flags = {
        name: reader.flag(section[name])
        for name in ("sla_missed", "reopened", "after_hours")
        if name in section
    }
    for name, value in flags.items():
        if not value:
            reader.wrong(section[name], "is false; expected true, or no such key")
    return Stratum(key, take, share, confidence_below=below, satisfaction_at_most=at_most, **flags)


def _criteria(node: Node, reader: Reader) -> tuple[Criterion, ...]:
    nodes = reader.items(node)
    criteria: list[Criterion] = []
    if not 1 <= len(nodes) <= MAX_CRITERIA:
        reader.wrong(node, f"has {len(nodes)} criteria; expected 1 to {MAX_CRITERIA}")
    for item in nodes:
        section = reader.section(
            item, required=("criterion", "texts", "answers"), optional=("weight", "critical")
        )
        if not {"criterion", "texts", "answers"} <= set(section):
            continue
        key = _key(section["criterion"], reader, taken=[one.key for one in criteria])
        texts = reader.by_language(section["texts"], LANGUAGES, longest=_MAX_TEXT)
        kind = reader.one_of(section["answers"], [one.value for one in CriterionKind])
        weight = 1.0
        if "weight" in section:
            weight = reader.number(section["weight"], low=0.01, high=100)
        critical = "critical" in section and reader.flag(section["critical"])
        if critical and kind != CriterionKind.YES_NO:
            reader.wrong(section["critical"], "is true; expected answers: yes_no with it")
        criteria.append(Criterion(key, texts, CriterionKind(kind), weight, critical))
    return tuple(criteria)


def _key(node: Node, reader: Reader, *, taken: Sequence[str]) -> str:
    key = reader.text(node)
    if key and _KEY.fullmatch(key) is None:
        reader.wrong(node, f"got {key!r}; expected lower case letters, digits and _")
    if key in taken:
        reader.wrong(node, f"{key!r} is given twice; expected each name once")
    return key
