"""${message[:1].upper()}${message[1:]}.

Revision: ${up_revision}
Before it: ${down_revision or "nothing"}

Runs in one transaction with `lock_timeout` 5 s (migrations/env.py): a migration that cannot get its
lock fails and can be tried again, instead of holding up every customer behind it.
"""
# ruff: noqa: E501 - conditions stand on one line, as they were made

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}

revision: str = ${repr(up_revision)}
down_revision: str | None = ${repr(down_revision)}
branch_labels: str | Sequence[str] | None = ${repr(branch_labels)}
depends_on: str | Sequence[str] | None = ${repr(depends_on)}
<%
    def body(text):
        lines = [line for line in (text or "pass").splitlines() if not line.strip().startswith("# ###")]
        return "\n".join(lines).strip()
%>

def upgrade() -> None:
    ${body(upgrades)}


def downgrade() -> None:
    ${body(downgrades)}
