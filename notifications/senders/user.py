"""The sender of notify-user: it writes the notices that other senders send."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy.exc import SQLAlchemyError

from notifications.domain.failure import Failure, FailureKind, SendFailedError
from notifications.domain.jobs import Channel
from notifications.domain.policies import Policies
from notifications.services.notify_user import expand
from notifications.services.ports import Accepted, Outgoing
from notifications.services.recipients import AdminContact
from ticketing.db.engine import Database

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class UserSender:
    """Tells one user on every channel that reaches them.

    Attributes:
        db: Where users and notices are.
        policies: Which channels an event has.
        admin: Who "admin" is.
        channels: Those that this installation has a sender for.
    """

    db: Database
    policies: Policies
    admin: AdminContact
    channels: Collection[Channel]

    async def send(self, outgoing: Outgoing, *, now: datetime) -> Accepted:
        """Write the notices; a second time, those that are not there yet.

        Raises:
            SendFailedError: permanent when nobody can be told (see `expand`), transient when the
                database is away: nothing was written then, or it was and the repeat finds it.
        """
        try:
            async with self.db.transaction() as session:
                count = await expand(
                    session,
                    outgoing,
                    policies=self.policies,
                    admin=self.admin,
                    channels=self.channels,
                    now=now,
                )
        except SQLAlchemyError as error:
            detail = f"the notices could not be written ({type(error).__name__})"
            failure = Failure(FailureKind.TRANSIENT, "database", detail=detail)
            raise SendFailedError(failure) from error
        log.info(
            "notification.expanded",
            notification_id=str(outgoing.notification_id),
            count=count,
            correlation_id=outgoing.correlation_id,
        )
        return Accepted(None)
