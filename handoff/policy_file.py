"""Reading `handoff.yml`: every mistake in it named with its line.

`python -m handoff.policy_file handoff.yml` prints "ok" or the mistakes (exit code 0 or 1).
The only module of `handoff` that reads a file.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from datetime import date
from pathlib import Path

from handoff.lint import lint
from handoff.policy import HandoffPolicy
from handoff.policy_calendars import HolidayDates
from handoff.policy_nodes import Problem, Reader
from handoff.policy_sections import read_policy
from handoff.policy_yaml import YAMLProblemError, read_tree

MAX_BYTES = 1_000_000
"""A policy of 100 rules has about 50,000; more is another file, or an attack on the parser."""

_BAD_USE = 2


class PolicyError(ValueError):
    """The policy file is wrong; the text lists every problem with its line.

    Attributes:
        problems: The same, as values, in line order.
        lines: "file:line: key: what is wrong", one for each problem.
    """

    def __init__(self, filename: str, problems: Sequence[Problem]) -> None:
        self.filename = filename
        self.problems = tuple(sorted(set(problems)))
        self.lines = tuple(item.located(filename) for item in self.problems)
        super().__init__("\n".join(self.lines))


def load_policy(
    path: str | Path,
    *,
    known_intents: Collection[str] | None = None,
    holiday_dates: HolidayDates | None = None,
) -> HandoffPolicy:
    """The policy in a file; see `parse_policy`.

    Raises:
        PolicyError: It cannot be read, or something in it is wrong.
    """
    return parse_policy(
        policy_text(path),
        filename=str(path),
        known_intents=known_intents,
        holiday_dates=holiday_dates,
    )


def policy_text(path: str | Path) -> str:
    """The text of a policy file.

    Raises:
        PolicyError: It cannot be read, or is no text, or is too long to be a policy.
    """
    file = Path(path)
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_BYTES + 1)
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as err:
        problem = Problem(1, "file", f"cannot be read ({err}); expected a UTF-8 text file")
        raise PolicyError(str(path), [problem]) from err
    _check_length(text, str(path))
    return text


def _check_length(text: str, filename: str) -> None:
    if len(text.encode(errors="replace")) > MAX_BYTES:
        problem = Problem(1, "file", f"is too long; expected at most {MAX_BYTES} bytes")
        raise PolicyError(filename, [problem])


def parse_policy(
    text: str,
    *,
    filename: str = "handoff.yml",
    known_intents: Collection[str] | None = None,
    holiday_dates: HolidayDates | None = None,
) -> HandoffPolicy:
    """The policy a YAML text describes.

    Args:
        text: The content of the file.
        filename: For the messages.
        known_intents: The intents of the assistant's domain; when given, the file must have
            titles for exactly these.
        holiday_dates: Source of public holidays (`ponte.holiday_dates.holiday_dates`); needed
            when a calendar names a country.

    Raises:
        PolicyError: Something is wrong; lists all of it.
    """
    _check_length(text, filename)
    reader = Reader()
    try:
        root = read_tree(text, reader)
    except YAMLProblemError as err:
        raise PolicyError(filename, [*reader.problems, err.problem]) from err
    policy = read_policy(
        root,
        reader,
        known_intents=known_intents,
        holiday_dates=holiday_dates,
    )
    if policy is None or reader.problems:
        raise PolicyError(filename, reader.problems)
    return policy


def _no_holidays(_country: str, _subdivision: str | None, _year: int) -> Collection[date]:
    """Stands in for the calendar library, which this module does not know."""
    return ()


def main(arguments: Sequence[str]) -> int:
    """Check the files named on the command line; 0: all right, 1: mistakes, 2: bad use."""
    if not arguments or arguments[0] in {"-h", "--help"}:
        print("usage: python -m handoff.policy_file FILE...   (example: handoff.yml)")
        return 0 if arguments else _BAD_USE
    results = [_check(name) for name in arguments]
    return 0 if all(results) else 1


def _check(name: str) -> bool:
    try:
        policy = load_policy(name, holiday_dates=_no_holidays)
    except PolicyError as err:
        print(err, file=sys.stderr)
        return False
    findings = lint(policy)
    for finding in findings:
        print(finding.located(name), file=sys.stderr)
    if any(finding.is_error for finding in findings):
        return False
    print(f"{name}: ok ({policy.name}, version {policy.version})")
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
