from __future__ import annotations

from datetime import timedelta

import pytest

from ticketing.domain.login import LONGEST_WAIT, WeakPasswordError, check_password, lock_time


@pytest.mark.parametrize(
    ("failures", "minutes"), [(0, None), (4, None), (5, 1), (6, 2), (7, 4), (11, 60), (500, 60)]
)
def test_the_wait_doubles_from_a_minute_to_an_hour(failures: int, minutes: int | None) -> None:
    assert lock_time(failures) == (None if minutes is None else timedelta(minutes=minutes))


def test_the_wait_never_passes_its_cap() -> None:
    assert all((lock_time(count) or timedelta()) <= LONGEST_WAIT for count in range(100))


@pytest.mark.parametrize(
    ("password", "expected"),
    [
        ("short", "12 to 128"),
        ("x" * 129, "12 to 128"),
        ("abababababab", "different"),
        ("ana@example.com", "made of"),
        ("AnaSilva12345", "made of"),
    ],
)
def test_a_password_that_is_easily_guessed_is_refused(password: str, expected: str) -> None:
    with pytest.raises(WeakPasswordError, match=expected):
        check_password(password, email="ana@example.com", name="anasilva")


@pytest.mark.parametrize("password", ["nove gatos no telhado", "ana e mais onze palavras"])
def test_a_sentence_is_a_good_password(password: str) -> None:
    check_password(password, email="ana@example.com", name="Ana")
