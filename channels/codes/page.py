"""`docs/provider-codes.md` out of the table: `python -m channels.codes.page`."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from itertools import groupby
from pathlib import Path

from channels.codes.rule import CodeRule, Provider
from channels.codes.table import TABLE

PAGE = Path("docs") / "provider-codes.md"

_TITLES = {
    Provider.WHATSAPP: "WhatsApp Cloud API",
    Provider.TWILIO: "Twilio (SMS)",
    Provider.FCM: "Firebase Cloud Messaging (push)",
    Provider.SMTP: "Mail servers (SMTP)",
}
_HEAD = """# Provider codes, for operators

Written by `python -m channels.codes.page` out of `channels/codes/`; do not edit it here.

*Kind* is what a code means for the notice, *effect* what it means for more than that. *Wait* is the
least time until the next attempt, *attempts* how many there are in all; where it is empty, the
presets of [notifications.md](notifications.md) hold. A code that is not here goes by the HTTP
status (5xx, 3xx, 407 and 408: again; 504 and 524: it may have been sent; 429: again and slower; 401
and a bare 403: the channel stops; any other 4xx: given up; in a status report: given up), is
counted in `ponte_provider_code_unknown_total` and
logged once as `provider_code.unknown`.
"""
_COLUMNS = (
    "| code | means | kind | effect | wait | attempts | action |\n|---|---|---|---|---|---|---|\n"
)


def page() -> str:
    """The page as it shall be."""
    return _HEAD + "".join(_section(provider, rules.values()) for provider, rules in TABLE.items())


def _section(provider: Provider, rules: Iterable[CodeRule]) -> str:
    listed = list(rules)
    # Codes of one line of the table stand next to each other and share all but the code.
    lines = [list(group) for _, group in groupby(listed, key=lambda rule: rule.meaning)]
    rows = "".join(_row(line) for line in lines)
    source = f"\nSource: {listed[0].source}. The actions are ours.\n\n"
    return f"\n## {_TITLES[provider]}\n{source}{_COLUMNS}{rows}"


def _row(line: list[CodeRule]) -> str:
    rule = line[0]
    cells = (
        _codes([one.code for one in line]),
        rule.meaning,
        rule.kind.value,
        rule.effect.value,
        _amount(rule.wait),
        "" if rule.attempts is None else str(rule.attempts),
        rule.action.value,
    )
    return f"| {' | '.join(cells)} |\n"


def _codes(codes: list[str]) -> str:
    """The codes; a run of more than ten numbers as its ends."""
    shown: list[str] = []
    runs = groupby(enumerate(codes), key=lambda pair: _place(pair[1], pair[0]))
    for _, run in runs:
        names = [code for _, code in run]
        many = len(names) > 10  # noqa: PLR2004 - a list of ten is still read
        shown += [f"`{names[0]}` to `{names[-1]}`"] if many else [f"`{name}`" for name in names]
    return ", ".join(shown)


def _place(code: str, index: int) -> object:
    """The same for numbers that follow one another."""
    return int(code) - index if code.isdigit() else code


def _amount(wait: timedelta | None) -> str:
    if wait is None:
        return ""
    seconds = int(wait.total_seconds())
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
