"""What notifications add to the API and the console; the web process plugs it in."""

from __future__ import annotations

from notifications.api.dead_letter_routes import DeskOf, dead_letter_routes, plain_desk
from notifications.api.notification_routes import Production, notice_routes
from notifications.api.preference_routes import preference_routes
from ticketing.api.calls import Route


def notification_routes(
    dead_letters: DeskOf = plain_desk, production: Production | None = None
) -> tuple[Route, ...]:
    """Every route of this package, under `/api/v1`.

    Args:
        dead_letters: Gives the dead letters' services their settings.
        production: What jobs of producers are taken by; None: the project's policies, every
            channel.

    Raises:
        PoliciesError: when `production` is None and `policies.yml` is not usable.
    """
    return (
        *notice_routes(production),
        *preference_routes(),
        *dead_letter_routes(dead_letters),
    )
