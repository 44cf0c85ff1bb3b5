"""Private servers listen where the internet cannot reach them."""

from __future__ import annotations

import pytest

from bot import private_address


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.9.9.9",
        "::1",
        "10.1.2.3",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.1.1",
        "fd00::1",
        "fe80::1",
        "::ffff:10.0.0.1",
    ],
)
def test_private_addresses_are_allowed(address: str) -> None:
    assert private_address.is_private(address)
    assert private_address.problem(address) is None


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",  # noqa: S104 - it is refused
        "::",
        "8.8.8.8",
        "172.32.0.1",
        "192.169.0.1",
        "100.128.0.1",
        "203.0.113.5",
        "2001:4860:4860::8888",
        "::ffff:8.8.8.8",
        "224.0.0.1",
        "::ffff:0.0.0.0",
    ],
)
def test_public_addresses_and_all_addresses_at_once_are_refused(address: str) -> None:
    assert not private_address.is_private(address)
    said = private_address.problem(address)
    assert said is not None
    assert "PONTE_ALLOW_PUBLIC_BIND" in said


def test_a_name_is_judged_by_what_it_stands_for() -> None:
    assert private_address.problem("localhost") is None


@pytest.mark.parametrize("host", ["no.such.host.invalid", "x" * 300, "a..b"])
def test_a_name_that_stands_for_nothing_is_left_to_the_listener(host: str) -> None:
    assert private_address.problem(host) is None


@pytest.mark.parametrize(
    ("value", "allowed"),
    [(None, False), ("", False), ("no", False), ("0", False), ("yes", True), ("TRUE ", True)],
)
def test_only_a_clear_yes_allows_it(value: str | None, allowed: bool) -> None:
    assert private_address.is_allowed(value) is allowed
