"""Pages that notifications add to the console; the web process plugs them in."""

from __future__ import annotations

from notifications.api import preference_pages
from notifications.api.dead_letter_pages import DeadLetterPages
from notifications.api.dead_letter_routes import DeskOf, plain_desk
from ticketing.console.app import Page

Pages = tuple[tuple[str, str, str, Page], ...]
"""Method, path, name and page."""


def notification_pages(dead_letters: DeskOf = plain_desk) -> Pages:
    """Every page of this package.

    Args:
        dead_letters: Gives the dead letters' services their settings.
    """
    return (*preference_pages.PAGES, *DeadLetterPages(dead_letters).all())
