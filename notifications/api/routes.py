"""What notifications add to the API and the console; the web process plugs it in."""

from __future__ import annotations

from notifications.api.dead_letter_routes import DeskOf, dead_letter_routes, plain_desk
from notifications.api.preference_routes import preference_routes
from ticketing.api.calls import Route


def notification_routes(dead_letters: DeskOf = plain_desk) -> tuple[Route, ...]:
    """Every route of this package, under `/api/v1`.

    Args:
        dead_letters: Gives the dead letters' services their settings.
    """
    return (*preference_routes(), *dead_letter_routes(dead_letters))
