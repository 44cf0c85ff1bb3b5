from __future__ import annotations

from types import SimpleNamespace

import pytest

from ticketing.http.entity_tags import (
    NEVER,
    read_already,
    tag_of_command,
    tag_of_read,
    wanted_version,
)
from ticketing.http.problems import ProblemError

TICKET = SimpleNamespace(ticket=SimpleNamespace(version=7))
OTHER = SimpleNamespace(queues=())


def test_the_tag_of_a_ticket_begins_with_its_version_and_ends_with_its_content() -> None:
    assert tag_of_command(TICKET) == '"7"'
    assert tag_of_command(OTHER) is None
    first, second = tag_of_read(TICKET, b"a"), tag_of_read(TICKET, b"b")
    assert first != second
    assert first.startswith('"7.')
    assert wanted_version(first) == wanted_version(second) == wanted_version('"7"') == 7


@pytest.mark.parametrize(
    ("header", "known"),
    [
        (None, False),
        ("*", True),
        ('"x"', True),
        ('W/"x"', True),
        ('"a", W/"x" , "b"', True),
        ('"a"', False),
        ("x", False),
        ('"x', False),
        ("", False),
    ],
)
def test_an_answer_that_the_reader_has_is_known(header: str | None, known: bool) -> None:
    assert read_already(header, '"x"') is known


@pytest.mark.parametrize(
    ("header", "version"),
    [
        (None, None),
        ("*", None),
        ('"3"', 3),
        (' "3.0123456789abcdef" ', 3),
        ('W/"3"', NEVER),
        ('"abc"', NEVER),
        ('""', NEVER),
        ('"99999999999"', NEVER),
    ],
)
def test_if_match_wants_a_version(header: str | None, version: int | None) -> None:
    assert wanted_version(header) == version


@pytest.mark.parametrize("header", ["3", '"3', '"3", "4"', "", '"3"x'])
def test_an_if_match_that_is_no_single_tag_is_refused(header: str) -> None:
    with pytest.raises(ProblemError) as caught:
        wanted_version(header)
    assert caught.value.problem.field == "If-Match"
