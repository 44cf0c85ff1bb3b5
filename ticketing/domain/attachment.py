"""Which files may be put on a ticket, and what a file really is.

The answer comes from the content: an allow-list of types, each with a check of its own. What a
file calls itself (name, declared type) can only make it refused, never accepted.

A general detector answers "what could this be?", and a file made by an attacker could be several
things at once. Here every type asks "is it this, from its first byte?", and what is none of them
is refused.
"""

from __future__ import annotations

import re
import unicodedata
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO

MAX_NAME = 120  # characters; file systems take 255 bytes, and a character may need 2 of them
_UNKNOWN = frozenset({"", "application/octet-stream", "binary/octet-stream"})


class AttachmentRefusedError(ValueError):
    """The file may not be put on a ticket."""

    def __init__(self, problem: str, *, field: str, allowed: tuple[str, ...] = ()) -> None:
        self.field = field
        self.allowed = allowed
        super().__init__(f"{field}: {problem}")


@dataclass(frozen=True, slots=True)
class FileType:
    """A type that is allowed.

    Attributes:
        media_type: As it is stored and served.
        extensions: Of its names.
        is_it: Whether some bytes are such a file.
        also: Other declared types that mean it.
    """

    media_type: str
    extensions: tuple[str, ...]
    is_it: Callable[[bytes], bool]
    also: tuple[str, ...] = ()


def type_of(content: bytes, *, filename: str, declared: str = "") -> FileType:
    """The type that content, name and declared type agree on.

    Args:
        content: The whole file.
        filename: Checked, see `clean_name`.
        declared: Content-Type of the upload; empty or octet-stream says nothing.

    Raises:
        AttachmentRefusedError: when the file is empty, of no allowed type, or the three disagree.
    """
    if not content:
        problem = "the file is empty"
        raise AttachmentRefusedError(problem, field="body")
    extension = filename.rpartition(".")[2].lower()
    found = [known for known in ALLOWED if known.is_it(content)]
    if not found:
        problem = "its content is of no allowed type"
        raise AttachmentRefusedError(problem, field="body", allowed=MEDIA_TYPES)
    named = next((known for known in found if extension in known.extensions), None)
    if named is None:
        problem = f"the content is {found[0].media_type}, the name ends in .{extension}"
        fitting = tuple(ending for known in found for ending in known.extensions)
        raise AttachmentRefusedError(problem, field="filename", allowed=fitting)
    stated = declared.partition(";")[0].strip().lower()
    if stated not in _UNKNOWN and stated not in {named.media_type, *named.also}:
        problem = f"the content is {named.media_type}, the declared type is {stated}"
        raise AttachmentRefusedError(problem, field="Content-Type", allowed=(named.media_type,))
    return named


def clean_name(filename: str) -> str:
    """A file's name without its folders, safe to show and to save.

    Raises:
        AttachmentRefusedError: when nothing is left, it is too long, or it has no ending.
    """
    base = filename.replace("\\", "/").rpartition("/")[2]
    # Format characters go too: a right-to-left override shows "exe.pdf" for "fdp.exe".
    kept = "".join(item for item in base if unicodedata.category(item)[0] != "C")
    name = " ".join(unicodedata.normalize("NFC", kept).split()).strip(". ")
    if len(name) > MAX_NAME:
        problem = f"expected at most {MAX_NAME} characters"
        raise AttachmentRefusedError(problem, field="filename")
    stem, dot, ending = name.rpartition(".")
    if not (stem and dot and ending.isalnum() and ending.isascii()):
        problem = "expected a name with an ending, such as fatura.pdf"
        raise AttachmentRefusedError(problem, field="filename")
    return name


def _starts(*heads: bytes) -> Callable[[bytes], bool]:
    return lambda content: content.startswith(heads)


def _riff(form: bytes) -> Callable[[bytes], bool]:
    return lambda content: content[:4] == b"RIFF" and content[8:12] == form


# Frame headers of MPEG audio (ISO 11172-3) and ADTS (ISO 13818-7): 11 or 12 bits of sync first.
_MP3_FRAME = re.compile(rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb][\x10-\xef]", re.DOTALL)
_AAC_FRAME = re.compile(rb"\xff[\xf0\xf1\xf8\xf9]", re.DOTALL)


def _is_mp3(content: bytes) -> bool:
    return content.startswith(b"ID3") or _MP3_FRAME.match(content) is not None


def _is_aac(content: bytes) -> bool:
    return _AAC_FRAME.match(content) is not None


_AUDIO_BRANDS = (b"M4A ", b"M4B ")


def _is_mp4(content: bytes) -> bool:
    return content[4:8] == b"ftyp" and content[8:12] not in {*_AUDIO_BRANDS, b"heic", b"avif"}


def _is_m4a(content: bytes) -> bool:
    return content[4:8] == b"ftyp" and content[8:12] in _AUDIO_BRANDS


def _ooxml(folder: str) -> Callable[[bytes], bool]:
    """Word, Excel and PowerPoint since 2007: a zip with a known part, and without macros."""

    def is_it(content: bytes) -> bool:
        names = _zip_names(content)
        macros = any("vbaproject" in name.lower() for name in names)
        has_part = any(name.startswith(f"{folder}/") for name in names)
        return "[Content_Types].xml" in names and has_part and not macros

    return is_it


def _opendocument(media_type: str) -> Callable[[bytes], bool]:
    """The format keeps its type uncompressed in the first part, at a known place."""
    head = b"mimetype" + media_type.encode()

    def is_it(content: bytes) -> bool:
        rest = content[30 : 30 + len(head) + 1]
        scripts = any(name.startswith("Basic/") for name in _zip_names(content))
        return content.startswith(b"PK\x03\x04") and rest.startswith(head) and not scripts

    return is_it


def _zip_names(content: bytes) -> frozenset[str]:
    if not content.startswith(b"PK\x03\x04"):
        return frozenset()
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            return frozenset(archive.namelist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return frozenset()


_MARKUP = ("<!doctype", "<html", "<head", "<body", "<script", "<svg", "<?xml", "<?php", "#!")
"""How texts begin that a program would run instead of show."""


def _is_text(content: bytes) -> bool:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return False
    if any(unicodedata.category(item) == "Cc" and item not in "\t\n\r\f" for item in text):
        return False
    lowered = text.lstrip().lower()
    return bool(lowered) and not lowered.startswith(_MARKUP) and "<script" not in lowered


_WORD = "application/vnd.openxmlformats-officedocument"
_ODF = "application/vnd.oasis.opendocument"

ALLOWED: tuple[FileType, ...] = (
    FileType("image/jpeg", ("jpg", "jpeg"), _starts(b"\xff\xd8\xff"), ("image/jpg",)),
    FileType("image/png", ("png",), _starts(b"\x89PNG\r\n\x1a\n")),
    FileType("image/gif", ("gif",), _starts(b"GIF87a", b"GIF89a")),
    FileType("image/webp", ("webp",), _riff(b"WEBP")),
    FileType("application/pdf", ("pdf",), _starts(b"%PDF-")),
    FileType("audio/ogg", ("ogg", "oga", "opus"), _starts(b"OggS"), ("audio/opus",)),
    FileType("audio/mpeg", ("mp3",), _is_mp3, ("audio/mp3",)),
    FileType("audio/aac", ("aac",), _is_aac),
    FileType("audio/amr", ("amr",), _starts(b"#!AMR\n")),
    FileType("audio/wav", ("wav",), _riff(b"WAVE"), ("audio/x-wav", "audio/wave")),
    FileType("audio/mp4", ("m4a",), _is_m4a, ("audio/x-m4a", "audio/m4a")),
    FileType("video/mp4", ("mp4",), _is_mp4),
    FileType(f"{_WORD}.wordprocessingml.document", ("docx",), _ooxml("word")),
    FileType(f"{_WORD}.spreadsheetml.sheet", ("xlsx",), _ooxml("xl")),
    FileType(f"{_WORD}.presentationml.presentation", ("pptx",), _ooxml("ppt")),
    FileType(f"{_ODF}.text", ("odt",), _opendocument(f"{_ODF}.text")),
    FileType(f"{_ODF}.spreadsheet", ("ods",), _opendocument(f"{_ODF}.spreadsheet")),
    FileType("text/csv", ("csv",), _is_text, ("text/plain", "application/vnd.ms-excel")),
    FileType("text/plain", ("txt", "log"), _is_text),
)
"""Office files of before 2007 are not here: their macros cannot be told from their text cheaply."""

MEDIA_TYPES = tuple(known.media_type for known in ALLOWED)
EXTENSION_OF: Mapping[str, str] = {known.media_type: known.extensions[0] for known in ALLOWED}
