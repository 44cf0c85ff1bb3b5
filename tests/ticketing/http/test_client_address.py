from __future__ import annotations

from ipaddress import ip_network

import pytest

from ticketing.http.client_address import client_address

PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("peer", "header", "expected"),
    [
        ("203.0.113.9", None, "203.0.113.9"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.1, 10.2.3.4", "198.51.100.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "garbage", "garbage"),
        ("fd00::1", "2001:db8::7", "2001:db8::7"),
    ],
)
def test_only_our_own_proxies_are_believed(peer: str, header: str | None, expected: str) -> None:
    assert client_address(peer, header, trusted=PROXIES) == expected


def test_without_proxies_the_peer_counts() -> None:
    assert client_address("10.0.0.1", "1.2.3.4", trusted=()) == "10.0.0.1"
