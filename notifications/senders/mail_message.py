"""The bytes of an e-mail with text and HTML (RFC 5322, 2045, 2047).

The standard library's `EmailMessage` parses every header it is given and folds it again: 1.7 ms a
message, most of what sending one costs. What we send has one shape, so it is written down directly.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator, Sequence

_LONGEST_PLAIN = 60
"""Characters of a header that stands as it is; a longer one is folded as encoded words."""
_BYTES_A_WORD = 39
"""An encoded word may have 75 characters, its line 78: 52 of base64, 12 around them, the name."""


def mail_bytes(headers: Sequence[tuple[str, str]], *, text: str, html: str, boundary: str) -> bytes:
    """The whole message with CRLF.

    Args:
        headers: Name and value, ready for the wire: see `unstructured`.
        text: The plain part.
        html: The other one.
        boundary: Between the parts; begins with `=_`, which no quoted-printable text holds.

    Raises:
        ValueError: when a header is not ASCII, or could begin another one.
    """
    lines = [f"{name}: {_checked(value)}" for name, value in headers]
    lines.append("MIME-Version: 1.0")
    lines.append(f'Content-Type: multipart/alternative; boundary="{boundary}"')
    head = "\r\n".join(lines).encode("ascii")
    mark = f"--{boundary}".encode("ascii")
    parts = [
        b"\r\n".join((mark, _PART % kind, b"", _quoted_printable(words)))
        for kind, words in ((b"plain", text), (b"html", html))
    ]
    return b"\r\n".join((head, b"", *parts, mark + b"--", b""))


def unstructured(value: str) -> str:
    """A header of free words, such as a subject, ready for the wire.

    Everything that is not short ASCII becomes encoded words of UTF-8, each of whole characters.
    """
    is_plain = value.isascii() and value.isprintable() and len(value) <= _LONGEST_PLAIN
    # What looks like an encoded word would be read as one.
    if is_plain and "=?" not in value:
        return value
    return "\r\n ".join(
        f"=?utf-8?b?{binascii.b2a_base64(piece, newline=False).decode('ascii')}?="
        for piece in _pieces(value)
    )


_PART = b'Content-Type: text/%b; charset="utf-8"\r\nContent-Transfer-Encoding: quoted-printable'


def _pieces(value: str) -> Iterator[bytes]:
    piece = b""
    for character in value:
        coded = character.encode("utf-8", "replace")
        if len(piece) + len(coded) > _BYTES_A_WORD:
            yield piece
            piece = b""
        piece += coded
    if piece:
        yield piece


def _quoted_printable(words: str) -> bytes:
    data = words.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", "replace")
    return binascii.b2a_qp(data, istext=True).replace(b"\n", b"\r\n")


def _checked(value: str) -> str:
    """The value, when its line breaks are only those of a folded header."""
    unfolded = value.replace("\r\n ", "")
    if not unfolded.isascii() or not unfolded.isprintable():
        message = "header: expected printable ASCII on one line"
        raise ValueError(message)
    return value
