"""Which addresses a private server may listen on: this machine and private networks, no others.

Rasa's own protections end at the network: whoever reaches the process and knows the secret can
speak for any customer. So `bot.serve` takes no address that the internet could reach, unless
`PONTE_ALLOW_PUBLIC_BIND` says that something else keeps it private (a container's own network, a
firewall). Standard library only; the action server has the same rule in `ponte.processes`.
"""

from __future__ import annotations

import ipaddress
import socket

ALLOW_VARIABLE = "PONTE_ALLOW_PUBLIC_BIND"
_YES = frozenset({"1", "true", "yes", "on"})


def is_allowed(value: str | None) -> bool:
    """Whether the variable's value is a yes."""
    return (value or "").strip().lower() in _YES


def problem(host: str) -> str | None:
    """Why a server must not listen on `host`; None when it may.

    A name is looked up: every address behind it has to be private. One that cannot be looked up is
    no matter of privacy; taking the port says what is wrong with it.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return None
    for entry in found:
        address = str(entry[4][0]).split("%", 1)[0]
        if not is_private(address):
            return (
                f"{host} is not a private address: whoever reaches this port can try to speak for "
                f"any customer. Listen on 127.0.0.1 or an address of a private network; where "
                f"something else keeps the port private, set {ALLOW_VARIABLE}=yes"
            )
    return None


def is_private(address: str) -> bool:
    """Whether an IP address is loopback, link-local or of a private network.

    "0.0.0.0" and "::" stand for every address of the machine, so they are not.
    """
    ip = ipaddress.ip_address(address)
    mapped = getattr(ip, "ipv4_mapped", None)
    if mapped is not None:
        ip = mapped
    if ip.is_loopback or ip.is_link_local:
        return True
    # "::" and "0.0.0.0" are in none of these networks.
    return any(ip in network for network in _PRIVATE if network.version == ip.version)


# RFC 1918 and RFC 4193, and the shared space of RFC 6598 that container networks use. Python's own
# `is_private` also holds documentation and benchmark networks.
_PRIVATE = tuple(
    ipaddress.ip_network(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)
