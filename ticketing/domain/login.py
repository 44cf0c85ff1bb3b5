"""How many failed logins are borne, and what a password must be."""

from __future__ import annotations

from datetime import timedelta

FREE_FAILURES = 5
"""Failed logins in a row before an account waits (OWASP ASVS 6.3.1)."""

FIRST_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(hours=1)

MIN_PASSWORD = 12
"""Characters. ASVS 6.2.1 asks for at least 8 and advises 15."""
MAX_PASSWORD = 128
"""Characters; longer ones would only make hashing a way to keep the server busy."""
_MIN_DIFFERENT = 5


class WeakPasswordError(ValueError):
    """The password is too easy to guess; says what is wanted."""


def lock_time(failures: int) -> timedelta | None:
    """How long the account waits after this many failures in a row; None: it does not.

    It doubles from one minute to one hour.

    >>> lock_time(4) is None, lock_time(5), lock_time(7)
    (True, datetime.timedelta(seconds=60), datetime.timedelta(seconds=240))
    """
    if failures < FREE_FAILURES:
        return None
    doublings = min(failures - FREE_FAILURES, 10)  # 2**10 minutes are beyond the cap already
    return min(FIRST_WAIT * (1 << doublings), LONGEST_WAIT)


def check_password(password: str, *, email: str, name: str) -> None:
    """Refuse a password that is short, uniform, or the person's own name or address.

    Raises:
        WeakPasswordError: saying what is wanted.
    """
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        message = f"password: expected {MIN_PASSWORD} to {MAX_PASSWORD} characters"
        raise WeakPasswordError(message)
    if len(set(password)) < _MIN_DIFFERENT:
        message = f"password: expected at least {_MIN_DIFFERENT} different characters"
        raise WeakPasswordError(message)
    plain = password.casefold()
    known = [email.casefold(), email.partition("@")[0].casefold(), name.casefold()]
    for word in known:
        # What is left besides the known word must be a password's worth of its own.
        if word and word in plain and len(plain) - len(word) < MIN_PASSWORD // 2:
            message = "password: expected one that is not made of the name or the e-mail address"
            raise WeakPasswordError(message)
