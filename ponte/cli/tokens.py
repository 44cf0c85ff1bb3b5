"""`ponte tokens add|list|revoke`."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, TypeVar

import typer
from sqlalchemy.ext.asyncio import AsyncSession

from kit.clock import SystemClock
from kit.ids import new_correlation_id
from ponte.cli.app import app, example, fail, print_json, running_settings, with_database
from ponte.settings import Process, Settings
from ticketing.db.engine import Database
from ticketing.domain.people import normal_email
from ticketing.domain.permissions import Permission
from ticketing.domain.ticket import SYSTEM
from ticketing.services.agents import AgentNotFoundError
from ticketing.services.api_tokens import (
    NewToken,
    TokenNotFoundError,
    TokenView,
    TooManyTokensError,
    create_token,
    list_tokens,
    revoke_token,
)
from ticketing.services.passwords import agent_id_of
from ticketing.services.people_acts import Act

tokens = typer.Typer(help="API tokens: programs that act for a person.", no_args_is_help=True)
app.add_typer(tokens, name="tokens")

Result = TypeVar("Result")
_JSON = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
_DEFAULT_DAYS = 90


@tokens.command(
    epilog=example(
        "ponte tokens add --email ana@example.com --name 'CRM reports' --scope tickets:read"
    )
)
def add(
    *,
    email: Annotated[str, typer.Option(help="For whom it acts.")],
    name: Annotated[str, typer.Option(help="What it is for.")],
    scope: Annotated[list[Permission], typer.Option(help="What it may; may be repeated.")],
    days: Annotated[int, typer.Option(min=1, max=366, help="How long.")] = _DEFAULT_DAYS,
    json_output: _JSON = False,
) -> None:
    """Make a token; it is printed this once."""
    settings = running_settings(Process.DATABASE_ONLY)
    act = _act(settings)

    async def work(session: AsyncSession) -> NewToken:
        agent_id = await agent_id_of(session, normal_email(email))
        if agent_id is None:
            raise AgentNotFoundError
        return await create_token(
            session,
            agent_id,
            name=name,
            scopes=[item.value for item in scope],
            expires_at=act.now + timedelta(days=days),
            act=act,
        )

    made = _in_transaction(settings, work)
    if json_output:
        print_json({"secret": made.secret, **asdict(made.token)})
    else:
        print(
            f"token {made.token.id} of {made.token.owner}, until {made.token.expires_at:%Y-%m-%d}"
        )
        print(made.secret)


@tokens.command("list", epilog=example("ponte tokens list --email ana@example.com"))
def list_(
    *,
    email: Annotated[str | None, typer.Option(help="Only this person's.")] = None,
    json_output: _JSON = False,
) -> None:
    """List tokens, the newest first; never their secrets."""
    settings = running_settings(Process.DATABASE_ONLY)
    act = _act(settings)

    async def work(session: AsyncSession) -> tuple[TokenView, ...]:
        agent_id = None
        if email is not None:
            agent_id = await agent_id_of(session, normal_email(email))
            if agent_id is None:
                raise AgentNotFoundError
        return await list_tokens(session, now=act.now, agent_id=agent_id)

    found = _in_transaction(settings, work)
    if json_output:
        print_json([asdict(token) for token in found])
        return
    for token in found:
        used = "never used" if token.last_used_at is None else f"used {token.last_used_at:%F %R}"
        scopes = " ".join(token.scopes)
        print(f"{token.id}\t{token.state}\t{token.owner}\t{token.name}\t{scopes}\t{used}")


@tokens.command(epilog=example("ponte tokens revoke 019f2c3a-7d10-7c11-8a53-0242ac120002"))
def revoke(
    token_id: Annotated[uuid.UUID, typer.Argument(help="Its id, of `ponte tokens list`.")],
    json_output: _JSON = False,
) -> None:
    """End a token at once; harmless to repeat."""
    settings = running_settings(Process.DATABASE_ONLY)
    act = _act(settings)

    async def work(session: AsyncSession) -> TokenView:
        return await revoke_token(session, token_id, act=act)

    ended = _in_transaction(settings, work)
    if json_output:
        print_json(asdict(ended))
    else:
        print(f"revoked {ended.id} ({ended.name})")


def _act(settings: Settings) -> Act:
    return Act(SystemClock(settings.clock_offset).now(), SYSTEM, new_correlation_id())


def _in_transaction(
    settings: Settings, work: Callable[[AsyncSession], Awaitable[Result]]
) -> Result:
    async def whole(database: Database) -> Result:
        async with database.transaction() as session:
            return await work(session)

    try:
        return with_database(settings, whole)
    except (ValueError, AgentNotFoundError, TokenNotFoundError, TooManyTokensError) as error:
        fail(str(error))
