"""What the command, the API and the page do with dead letters: the services and the audit file."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog

from notifications.dlq_audit_file import AuditFile, AuditFileError
from notifications.services import dead_letter_views, dlq_actions
from notifications.services.dead_letter_filter import DeadLetterFilter
from notifications.services.dead_letter_views import (
    DeadLetterCounts,
    DeadLetterPage,
    DeadLetterStory,
)
from notifications.services.dlq_actions import ActionResult, ActionView
from notifications.services.reprocess import DeadLetterActions
from notifications.services.reprocess_plan import Options, Preview
from ticketing.domain.enums import DlqAction

log = structlog.get_logger()

CAUGHT_UP = timedelta(days=7)
"""Lines of actions that are younger are written when they are missing in the file."""

MOST_LINES = 1_000


@dataclass(frozen=True, slots=True)
class DeadLetterDesk:
    """Everything an operator can do. `file` None: there is no audit file."""

    actions: DeadLetterActions
    file: AuditFile | None = None

    async def preview(
        self, action: DlqAction, wanted: DeadLetterFilter, options: Options
    ) -> Preview:
        """See `DeadLetterActions.preview`."""
        return await self.actions.preview(action, wanted, options)

    async def run(
        self,
        action: DlqAction,
        wanted: DeadLetterFilter,
        options: Options,
        *,
        actor: str,
        correlation_id: str | None = None,
    ) -> ActionResult:
        """See `DeadLetterActions.run`; then the audit file. Its trouble is a warning, no error.

        Raises:
            MoreThanSeenError: when more match than `options.expected`.
        """
        result = await self.actions.run(
            action, wanted, options, actor=actor, correlation_id=correlation_id
        )
        try:
            await self._note(result.action_id)
        except AuditFileError as error:
            log.error("dlq.audit_file_failed", error_type=type(error).__name__)  # noqa: TRY400
            return replace(result, warnings=(*result.warnings, str(error)))
        return result

    async def catch_up(self) -> int:
        """Write the lines that are missing in the audit file; how many.

        Raises:
            AuditFileError: when it cannot be written.
        """
        if self.file is None:
            return 0
        since = self.actions.clock.now() - CAUGHT_UP
        async with self.actions.db.transaction() as session:
            views, _ = await dlq_actions.list_actions(session, limit=MOST_LINES, since=since)
        ended = [view.as_record() for view in reversed(views) if view.ended_at is not None]
        return await asyncio.to_thread(self.file.add, ended)

    async def list_entries(
        self,
        wanted: DeadLetterFilter,
        *,
        cursor: str | None = None,
        limit: int = dead_letter_views.DEFAULT,
    ) -> DeadLetterPage:
        """A page of entries; see `dead_letter_views.list_dead_letters`."""
        async with self.actions.db.transaction() as session:
            return await dead_letter_views.list_dead_letters(
                session,
                wanted,
                recipient_key=self.actions.recipient_key,
                cursor=cursor,
                limit=limit,
            )

    async def story(self, entry_id: uuid.UUID) -> DeadLetterStory:
        """One entry; see `dead_letter_views.tell_story`."""
        async with self.actions.db.transaction() as session:
            story = await dead_letter_views.tell_story(session, entry_id)
        # Asked outside the transaction: the breakers are in another store.
        stopped = await dead_letter_views.stopped_for(story.entry.job_name, self.actions.gate)
        return replace(story, stopped_seconds=stopped)

    async def counts(self) -> DeadLetterCounts:
        """Counts for the page."""
        async with self.actions.db.transaction() as session:
            return await dead_letter_views.count_dead_letters(session, now=self.actions.clock.now())

    async def list_actions(
        self, *, limit: int = 50, before: int | None = None
    ) -> tuple[tuple[ActionView, ...], int | None]:
        """What operators did; see `dlq_actions.list_actions`."""
        async with self.actions.db.transaction() as session:
            return await dlq_actions.list_actions(session, limit=limit, before=before)

    async def _note(self, action_id: uuid.UUID) -> None:
        if self.file is None:
            return
        async with self.actions.db.transaction() as session:
            views, _ = await dlq_actions.list_actions(session, action_id=action_id)
        await asyncio.to_thread(self.file.add, [view.as_record() for view in views])
