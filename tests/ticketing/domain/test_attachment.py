from __future__ import annotations

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketing.domain.attachment import (
    ALLOWED,
    MEDIA_TYPES,
    AttachmentRefusedError,
    clean_name,
    type_of,
)


def archive(*names: str, first: tuple[str, bytes] | None = None) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as opened:
        # With one date for all: the bytes are in the names of tests, which are to stay the same.
        if first is not None:
            opened.writestr(zipfile.ZipInfo(first[0]), first[1])
        for name in names:
            opened.writestr(zipfile.ZipInfo(name), b"<xml/>")
    return target.getvalue()


ODT = "application/vnd.oasis.opendocument.text"
OOXML = "application/vnd.openxmlformats-officedocument"
PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 20
PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"
DOCX = archive("[Content_Types].xml", "word/document.xml")
EXE = b"MZ\x90\x00" + b"\x00" * 60


@pytest.mark.parametrize(
    ("content", "name", "media_type"),
    [
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "foto.JPG", "image/jpeg"),
        (PNG, "tela.png", "image/png"),
        (b"GIF89a....", "a.gif", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "fig.webp", "image/webp"),
        (PDF, "fatura.pdf", "application/pdf"),
        (b"OggS\x00\x02", "voz.ogg", "audio/ogg"),
        (b"OggS\x00\x02", "voz.opus", "audio/ogg"),
        (b"ID3\x03\x00", "m.mp3", "audio/mpeg"),
        (b"\xff\xfb\x90\x64", "m.mp3", "audio/mpeg"),
        (b"\xff\xf1\x50\x80\x00\x00\x00\x00", "m.aac", "audio/aac"),
        (b"#!AMR\n\x3c", "m.amr", "audio/amr"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "m.wav", "audio/wav"),
        (b"\x00\x00\x00\x18ftypM4A \x00", "m.m4a", "audio/mp4"),
        (b"\x00\x00\x00\x18ftypisom\x00", "v.mp4", "video/mp4"),
        (DOCX, "carta.docx", f"{OOXML}.wordprocessingml.document"),
        (
            archive("[Content_Types].xml", "xl/workbook.xml"),
            "contas.xlsx",
            f"{OOXML}.spreadsheetml.sheet",
        ),
        (archive("content.xml", first=("mimetype", ODT.encode())), "carta.odt", ODT),
        ("Olá, ação!\n".encode(), "nota.txt", "text/plain"),
        ("\ufeffnome;valor\nAção;1\n".encode(), "lista.csv", "text/csv"),
    ],
)
def test_a_file_is_what_its_content_is(content: bytes, name: str, media_type: str) -> None:
    assert type_of(content, filename=name).media_type == media_type


@pytest.mark.parametrize(
    ("content", "name", "declared", "field"),
    [
        (b"", "nada.txt", "", "body"),
        (EXE, "fatura.pdf", "application/pdf", "body"),
        (EXE, "setup.exe", "", "body"),
        (b"\x7fELF\x02\x01", "a.txt", "", "body"),
        (b"#!/bin/sh\nrm -rf /\n", "a.txt", "", "body"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "logo.svg", "image/svg+xml", "body"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "logo.txt", "", "body"),
        (b"  <!DOCTYPE html><html></html>", "p.html", "text/html", "body"),
        (b"  <!DOCTYPE html><html></html>", "p.txt", "text/plain", "body"),
        (b"oi <SCRIPT>alert(1)</SCRIPT>", "p.txt", "", "body"),
        (b"a\x00b", "p.txt", "", "body"),
        (b"\xff\xfe\xfd", "p.txt", "", "body"),
        (PDF, "foto.png", "", "filename"),
        (PNG, "foto.pdf", "", "filename"),
        (PNG, "foto.png", "application/pdf", "Content-Type"),
        (PNG, "foto.png", "text/html", "Content-Type"),
        (archive("evil.exe"), "a.zip", "application/zip", "body"),
        (archive("[Content_Types].xml", "word/document.xml", "word/vbaProject.bin"),
         "a.docx", "", "body"),
        (DOCX[:40], "a.docx", "", "body"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a.doc", "application/msword", "body"),
    ],
)  # fmt: skip
def test_what_is_not_what_it_says_or_could_be_run_is_refused(
    content: bytes, name: str, declared: str, field: str
) -> None:
    with pytest.raises(AttachmentRefusedError) as caught:
        type_of(content, filename=name, declared=declared)
    assert caught.value.field == field


@given(content=st.binary(max_size=300), name=st.sampled_from(["a.png", "a.txt", "a.docx"]))
def test_any_bytes_are_a_type_of_the_list_or_refused(content: bytes, name: str) -> None:
    try:
        found = type_of(content, filename=name)
    except AttachmentRefusedError:
        return
    assert found in ALLOWED
    assert found.media_type in MEDIA_TYPES


@pytest.mark.parametrize(
    ("given_name", "clean"),
    [
        ("fatura.pdf", "fatura.pdf"),
        ("C:\\Users\\ana\\fatura.pdf", "fatura.pdf"),
        ("../../etc/passwd.txt", "passwd.txt"),
        ("a\r\nSet-Cookie: x.txt", "aSet-Cookie: x.txt"),
        ("fatura\u202efdp.exe", "faturafdp.exe"),
        ("  ação   de  graças.pdf ", "ação de graças.pdf"),
    ],
)
def test_a_name_loses_its_folders_and_what_nobody_sees(given_name: str, clean: str) -> None:
    assert clean_name(given_name) == clean


@pytest.mark.parametrize("name", ["", "semfim", ".bashrc", "a.", "x." + "y" * 130, "a.b c", "..."])
def test_a_name_without_an_ending_is_refused(name: str) -> None:
    with pytest.raises(AttachmentRefusedError) as caught:
        clean_name(name)
    assert caught.value.field == "filename"
