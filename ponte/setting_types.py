"""The kinds of settings: how each is read from text, checked, and named in an error."""

from __future__ import annotations

import json
import re
from email.utils import parseaddr
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic.fields import FieldInfo

_PROJECT = Path(__file__).resolve().parent.parent
_MIN_SECRET = 16
_MAX_SECRETS = 2
_MIN_KEY = 32  # characters: 192 bits as base64
_E164 = re.compile(r"\+?[1-9]\d{9,14}")
_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
_SECRET = {"secret": True}


def is_secret(field: FieldInfo) -> bool:
    """Whether a value of this field must never be shown (passwords hide in URLs too)."""
    return isinstance(field.json_schema_extra, dict) and bool(field.json_schema_extra.get("secret"))


def _refuse(reason: str) -> ValueError:
    return ValueError(reason)


def _http_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        reason = "not an http address"
        raise _refuse(reason)
    _ = parts.port  # raises ValueError when it is no number from 0 to 65535
    return value


def _postgres_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"postgresql", "postgres"} or not parts.path.strip("/"):
        reason = "not a postgresql address with a database name"
        raise _refuse(reason)
    return value


def _redis_url(value: str) -> str:
    parts = urlsplit(value)
    named = bool(parts.hostname) or (parts.scheme == "unix" and bool(parts.path))
    if parts.scheme not in {"redis", "rediss", "unix"} or not named:
        reason = "not a redis address"
        raise _refuse(reason)
    return value


def _host(value: str) -> str:
    try:
        ip_address(value)
    except ValueError:
        if not _HOST_NAME.fullmatch(value):
            raise
    return value


def _phone(value: str) -> str:
    digits = re.sub(r"[\s().-]", "", value)
    if not _E164.fullmatch(digits):
        reason = "not E.164"
        raise _refuse(reason)
    return "+" + digits.lstrip("+")


def _mailbox(value: str) -> str:
    _, address = parseaddr(value)
    local, at, domain = address.rpartition("@")
    if not (at and local and "." in domain.strip(".")) and domain != "localhost":
        reason = "not an e-mail address"
        raise _refuse(reason)
    if "\n" in value or "\r" in value:
        reason = "more than one line"
        raise _refuse(reason)
    return value


def _in_project(value: Path) -> Path:
    return _PROJECT / value


def _split_secrets(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    parts = [part.strip() for part in value.split(",")]
    if not all(parts) or len(parts) > _MAX_SECRETS:
        reason = "one or two, comma separated"
        raise _refuse(reason)
    return tuple(SecretStr(part) for part in parts)


def _split_keys(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    parts = [part.strip() for part in value.split(",")]
    if not all(len(part) >= _MIN_KEY for part in parts):
        reason = "too short"
        raise _refuse(reason)
    return tuple(SecretStr(part) for part in parts)


def _split_networks(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return tuple(ip_network(part.strip()) for part in value.split(",") if part.strip())


def _service_account(value: SecretStr) -> SecretStr:
    """The JSON itself, or the path of a file that holds it."""
    text = value.get_secret_value()
    if not text.lstrip().startswith("{"):
        text = Path(text).read_text(encoding="utf-8") if Path(text).is_file() else ""
    document = json.loads(text) if text else {}
    if not isinstance(document, dict) or not {"client_email", "private_key"} <= document.keys():
        reason = "not a service account"
        raise _refuse(reason)
    return SecretStr(text)


HttpUrl = Annotated[
    str,
    AfterValidator(_http_url),
    Field(description="an address such as https://example.com"),
]
PostgresUrl = Annotated[
    str,
    AfterValidator(_postgres_url),
    Field(
        description="an address such as postgresql://user:password@host:5432/name",
        repr=False,
        json_schema_extra=_SECRET,
    ),
]
RedisUrl = Annotated[
    str,
    AfterValidator(_redis_url),
    Field(
        description="an address such as redis://:password@host:6379/0 or unix:///path?db=0",
        repr=False,
        json_schema_extra=_SECRET,
    ),
]
Host = Annotated[
    str, AfterValidator(_host), Field(description="an IP address or a host name to listen on")
]
Port = Annotated[
    int, Field(description="a port number from 0 (any free one) to 65535", ge=0, le=65535)
]
Minutes = Annotated[
    float, Field(description="minutes, from 0 to 1380, fractions allowed", ge=0, le=1380)
]
"""1380: an hour less than WhatsApp's window of 24 hours, after which nothing could be said."""
Hours = Annotated[float, Field(description="hours, more than 0 and at most 24", gt=0, le=24)]
PositiveSeconds = Annotated[float, Field(description="seconds, from 0.1 to 600", ge=0.1, le=600)]
Milliseconds = Annotated[
    int, Field(description="milliseconds, from 1000 to 86400000", ge=1000, le=86_400_000)
]
Cooldown = Annotated[
    int, Field(description="milliseconds, from 0 (none) to 86400000", ge=0, le=86_400_000)
]
Batch = Annotated[int, Field(description="a whole number from 1 to 5000", ge=1, le=5000)]
"""5000: one transaction holds so many rows locked, and agents wait for it."""
Count = Annotated[int, Field(description="a whole number, at least 1", ge=1)]
Networks = Annotated[
    tuple[IPv4Network | IPv6Network, ...],
    BeforeValidator(_split_networks),
    Field(description="addresses or networks, comma separated, such as 10.0.0.0/8,192.168.1.7"),
]
Secret = Annotated[
    SecretStr,
    Field(
        min_length=_MIN_SECRET,
        description=f"a random secret of at least {_MIN_SECRET} characters",
        json_schema_extra=_SECRET,
    ),
]
PlainSecret = Annotated[SecretStr, Field(description="a secret", json_schema_extra=_SECRET)]
"""A secret somebody else gives out: its length is theirs to choose."""
Keys = Annotated[
    tuple[SecretStr, ...],
    BeforeValidator(_split_keys),
    Field(
        description="a key of at least 32 characters; older ones behind it, comma separated",
        json_schema_extra=_SECRET,
    ),
]
OneOrTwoSecrets = Annotated[
    tuple[SecretStr, ...],
    BeforeValidator(_split_secrets),
    Field(
        description="one app secret, or two comma separated while rotating",
        json_schema_extra=_SECRET,
    ),
]
Digits = Annotated[str, Field(description="an id of digits only", pattern=r"^\d{1,30}$")]
TemplateName = Annotated[
    str | None,
    Field(
        description="the name of an approved template: small letters, digits and _",
        pattern=r"^[a-z0-9_]{1,512}$",
    ),
]
ProjectFile = Annotated[
    Path, AfterValidator(_in_project), Field(description="a file's path, from the project's folder")
]
GraphVersion = Annotated[
    str, Field(description="a Graph API version such as v25.0", pattern=r"^v\d{1,3}\.\d{1,2}$")
]
Mailbox = Annotated[
    str,
    AfterValidator(_mailbox),
    Field(description='an e-mail address, also as "Name <address>"'),
]
Phone = Annotated[
    str,
    AfterValidator(_phone),
    Field(description="a phone number in E.164 with 10 to 15 digits, such as +5511987654321"),
]
TwilioAccount = Annotated[
    str,
    Field(
        description="an account SID: AC and 32 hexadecimal digits", pattern=r"^AC[0-9a-fA-F]{32}$"
    ),
]
ServiceAccount = Annotated[
    SecretStr,
    AfterValidator(_service_account),
    Field(
        description="a service account's JSON, or the path of the file with it",
        json_schema_extra=_SECRET,
    ),
]
