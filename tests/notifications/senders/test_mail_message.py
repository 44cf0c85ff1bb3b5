from __future__ import annotations

from email import message_from_bytes
from email.policy import SMTP, default

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifications.senders.mail_message import mail_bytes, unstructured

WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=300)
LINES = st.lists(WORDS, max_size=20).map("\n".join)


def parsed(subject: str = "x", text: str = "", html: str = "") -> object:
    raw = mail_bytes(
        [("From", "a@b.example"), ("Subject", unstructured(subject))],
        text=text, html=html, boundary="=_0123",
    )  # fmt: skip
    assert all(len(line) <= 98 for line in raw.split(b"\r\n"))
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert raw.isascii()
    return message_from_bytes(raw, policy=default)


@given(LINES, LINES)
def test_both_parts_are_read_as_they_were_written(text: str, html: str) -> None:
    mail = parsed(text=text, html=html)

    for kind, written in (("plain", text), ("html", html)):
        part = mail.get_body((kind,))  # type: ignore[attr-defined]
        assert part.get_payload(decode=True).decode().replace("\r\n", "\n") == written


@given(WORDS)
def test_a_subject_is_read_as_it_was_written(subject: str) -> None:
    subject = " ".join(subject.split())

    assert parsed(subject)["Subject"] == subject  # type: ignore[index]


@pytest.mark.parametrize("value", ["a\r\nBcc: x@y", "a\nb", "a\rb", "ã", "a\x00b", "a\r\n\r\nb"])
def test_a_header_that_could_begin_another_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="header: expected printable ASCII"):
        mail_bytes([("X", value)], text="", html="", boundary="=_0")


def test_the_standard_library_reads_it_without_defects() -> None:
    raw = mail_bytes([("From", "a@b.example")], text="é\n.\n", html="<p>é</p>", boundary="=_0")
    mail = message_from_bytes(raw, policy=SMTP)

    assert [part.defects for part in mail.walk()] == [[], [], []]
