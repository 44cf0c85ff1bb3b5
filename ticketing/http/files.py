"""A file as an answer that no browser runs: saved, never shown as a page of this site."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from ticketing.services.attachments import StoredFile


@dataclass(frozen=True, slots=True)
class ServedFile:
    """The parts of an answer that is a file."""

    content: bytes
    media_type: str
    headers: Mapping[str, str]


def served(file: StoredFile) -> ServedFile:
    """What is sent for a stored file."""
    view = file.view
    is_text = view.media_type.startswith("text/")
    return ServedFile(
        file.content,
        f"{view.media_type}; charset=utf-8" if is_text else view.media_type,
        {
            # RFC 6266 and 8187: the plain name for old programs, the real one for the others.
            "Content-Disposition": (
                f'attachment; filename="{_plain(view.filename)}"; '
                f"filename*=UTF-8''{quote(view.filename, safe='')}"
            ),
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "sandbox; default-src 'none'",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cache-Control": "private, max-age=3600, immutable",
        },
    )


def _plain(filename: str) -> str:
    return "".join(
        item if item.isascii() and item.isprintable() and item not in '"\\%' else "_"
        for item in filename
    )
