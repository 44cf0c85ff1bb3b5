"""The gate's comparison as lines that a designer reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from training.domain.gate import Comparison, Flip, Read, Score, chance, score, scores_by

_SHOWN = 40  # flips of one kind


def summary_lines(reads: Sequence[Read], *, out_of_scope: Iterable[str]) -> list[str]:
    """The figures of one reading: all and by language."""
    outside = frozenset(out_of_scope)
    groups = {
        "all": score(reads, out_of_scope=outside),
        **scores_by(reads, out_of_scope=outside)["language"],
    }
    return [f"  {name:5} {_shares(item)}" for name, item in groups.items()]


def comparison_lines(found: Comparison) -> list[str]:
    """What changed against the baseline, and whether it passes."""
    return list(_lines(found))


def _lines(found: Comparison) -> Iterator[str]:
    yield f"before {_shares(found.before)}"
    yield f"after  {_shares(found.after)}"
    if found.missing or found.added:
        yield f"the frozen set changed: {found.missing} sentences gone, {found.added} new"
    worse, better = len(found.worse), len(found.better)
    yield f"{worse} sentences worse, {better} better (chance {chance(worse, better):.3f})"
    for title, flips in (("worse", found.worse), ("better", found.better)):
        yield from _flips(title, flips)
    if found.confused:
        yield "newly confused:"
        for intent, taken, count in found.confused:
            yield f"  {intent} taken for {taken}: {count}"
    if found.passes:
        yield "passes: no regression beyond noise"
    else:
        yield "REFUSED:"
        yield from (f"  - {problem}" for problem in found.problems)


def _flips(title: str, flips: Sequence[Flip]) -> Iterator[str]:
    if not flips:
        return
    yield f"{title}:"
    for flip in flips[:_SHOWN]:
        change = f"{flip.before} -> {flip.after}"
        yield f"  {flip.language}  {flip.intent:20} {change:42} {flip.text}"
    if len(flips) > _SHOWN:
        yield f"  and {len(flips) - _SHOWN} more (--json has all)"


def _shares(item: Score) -> str:
    count = max(item.sentences, 1)
    return (
        f"{item.sentences:4} sentences: right {item.right / count:.1%}, "
        f"clarified {item.clarified / count:.1%}, wrong {item.wrong / count:.1%}"
    )
