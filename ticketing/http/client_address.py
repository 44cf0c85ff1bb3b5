"""Who sent a request, behind proxies we trust and no others."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address

Networks = Sequence[IPv4Network | IPv6Network]


def client_address(peer: str, forwarded_for: str | None, *, trusted: Networks) -> str:
    """The address that a limit should count.

    Args:
        peer: Who opened the connection.
        forwarded_for: The `X-Forwarded-For` header: client first, each proxy adds its own peer.
        trusted: Networks of our own proxies.

    Returns:
        The last address of the chain that is not one of our proxies. What stands further left was
        written by whoever sent the request and proves nothing.
    """
    chain = [part.strip() for part in (forwarded_for or "").split(",") if part.strip()]
    address = peer
    while chain and _is_trusted(address, trusted):
        address = chain.pop()
    return address


def _is_trusted(address: str, trusted: Networks) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in trusted)
