"""What each role may do, named as the scopes of API tokens are.

A route of the API wants one permission; a person has those of their role, an API token some of its
owner's. What a person may do to one ticket is a further question: `ticketing.domain.ticket`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from ticketing.domain.enums import Role


class Permission(StrEnum):
    """One kind of act; the member is also the scope's name."""

    ACCOUNT_OWN = "account:own"
    """One's own login, presence and notices; everybody has it."""
    TICKETS_READ = "tickets:read"
    TICKETS_WRITE = "tickets:write"
    TICKETS_SUPERVISE = "tickets:supervise"
    CONTACTS_READ = "contacts:read"
    CONTACTS_MANAGE = "contacts:manage"
    """Export and erasure of a person's data, VIP marks, merging."""
    QUEUES_READ = "queues:read"
    DECISIONS_READ = "decisions:read"
    RUNBOOKS_READ = "runbooks:read"
    RUNBOOKS_MANAGE = "runbooks:manage"
    QUALITY_READ = "quality:read"
    """The feedback on one's own work."""
    QUALITY_REVIEW = "quality:review"
    TRAINING_MANAGE = "training:manage"
    REPORTS_READ = "reports:read"
    SLA_READ = "sla:read"
    SLA_MANAGE = "sla:manage"
    PEOPLE_READ = "people:read"
    PEOPLE_MANAGE = "people:manage"
    NOTIFICATIONS_MANAGE = "notifications:manage"
    """Dead letters: look, reprocess, discard."""
    AUDIT_READ = "audit:read"


_AGENT = frozenset(
    {
        Permission.ACCOUNT_OWN,
        Permission.TICKETS_READ,
        Permission.TICKETS_WRITE,
        Permission.CONTACTS_READ,
        Permission.QUEUES_READ,
        Permission.DECISIONS_READ,
        Permission.RUNBOOKS_READ,
        Permission.QUALITY_READ,
        Permission.SLA_READ,
    }
)
_SUPERVISOR = _AGENT | {
    Permission.TICKETS_SUPERVISE,
    Permission.RUNBOOKS_MANAGE,
    Permission.QUALITY_REVIEW,
    Permission.TRAINING_MANAGE,
    Permission.REPORTS_READ,
    Permission.PEOPLE_READ,
}
_DESIGNER = frozenset(
    {
        Permission.ACCOUNT_OWN,
        Permission.QUEUES_READ,
        Permission.RUNBOOKS_READ,
        Permission.RUNBOOKS_MANAGE,
        Permission.TRAINING_MANAGE,
        Permission.REPORTS_READ,
        Permission.SLA_READ,
    }
)
"""Trains the bot on sentences without personal data; reads no customer's conversation."""
_OPERATOR = frozenset(
    {
        Permission.ACCOUNT_OWN,
        Permission.QUEUES_READ,
        Permission.REPORTS_READ,
        Permission.SLA_READ,
        Permission.SLA_MANAGE,
        Permission.PEOPLE_READ,
        Permission.NOTIFICATIONS_MANAGE,
        Permission.AUDIT_READ,
    }
)
"""Keeps the service running; reads no customer's conversation."""

PERMISSIONS_OF: Mapping[Role, frozenset[Permission]] = {
    Role.AGENT: _AGENT,
    Role.SUPERVISOR: _SUPERVISOR,
    Role.DESIGNER: _DESIGNER,
    Role.OPERATOR: _OPERATOR,
    Role.ADMIN: frozenset(Permission),
}


def roles_with(permission: Permission) -> tuple[Role, ...]:
    """The roles that have a permission, in the order of `Role`."""
    return tuple(role for role in Role if permission in PERMISSIONS_OF[role])
