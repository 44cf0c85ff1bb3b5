from __future__ import annotations

import pytest

from channels.whatsapp.signature import sign, verify

BODY = b'{"text":"a\\u00e7\\u00e3o"}'
GOOD = sign(BODY, "secret")


def test_the_signature_is_the_one_of_metas_documentation() -> None:
    # echo -n hello | openssl dgst -sha256 -hmac secret
    expected = "88aab3ede8d3adf94d26ab90d3bafd4a2083070c3bcce9c014ee04a443847c0b"

    assert sign(b"hello", "secret") == f"sha256={expected}"


@pytest.mark.parametrize(
    ("header", "secrets", "expected"),
    [
        (GOOD, ["secret"], True),
        (GOOD, ["new", "secret"], True),
        (GOOD, ["secret", "new"], True),
        (GOOD, [" secret "], True),
        (GOOD.upper().replace("SHA256", "sha256"), ["secret"], True),
        (GOOD, ["other"], False),
        (GOOD, [], False),
        (GOOD, ["", "  "], False),
        (sign(BODY, ""), [""], False),
        (None, ["secret"], False),
        ("", ["secret"], False),
        (GOOD.removeprefix("sha256="), ["secret"], False),
        (GOOD[:-1], ["secret"], False),
        (GOOD + "0", ["secret"], False),
        ("sha1=" + GOOD[7:], ["secret"], False),
        ("sha256=ção", ["secret"], False),
        ("sha256=" + "\ud800" * 64, ["secret"], False),
    ],
)
def test_only_the_right_secret_over_the_same_bytes_verifies(
    header: str | None, secrets: list[str], *, expected: bool
) -> None:
    assert verify(BODY, header, secrets) is expected


def test_the_same_json_written_otherwise_does_not_verify() -> None:
    assert not verify('{"text":"ação"}'.encode(), GOOD, ["secret"])
