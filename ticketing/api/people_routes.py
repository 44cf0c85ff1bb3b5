"""Routes about people: agents, teams, skills, sessions, passwords, API tokens."""

from __future__ import annotations

from ticketing.api import people_handlers as handlers
from ticketing.api.calls import Route
from ticketing.api.handlers import Login
from ticketing.domain.permissions import Permission
from ticketing.http import people_schemas as schemas
from ticketing.http.schemas import NoBody
from ticketing.services.agents import AgentView
from ticketing.services.api_tokens import TokenView
from ticketing.services.teams import TeamView

_OWN = Permission.ACCOUNT_OWN
_MANAGE = Permission.PEOPLE_MANAGE
_AGENT_CODES = ("agent_not_found", "own_account", "beyond_own_rights")
_CODE = "p3mIvW0oQf0cC0bK5yq4Jw6xkq1m2n3o4p5q6r7s8t9"

SESSION_ROUTES: tuple[Route, ...] = (
    Route(
        "POST", "/me/password", "change_password", "Session",
        "Change your own password; all your sessions end and a new one starts",
        _OWN, handlers.change_password, Login, body=schemas.ChangePasswordBody,
        codes=("password_refused",), session_only=True, secret=True,
        example={
            "present_password": "nove gatos no telhado", "new_password": "dez patos na lagoa azul",
        },
    ),
    Route(
        "GET", "/me/sessions", "list_sessions", "Session", "Your own logins",
        _OWN, handlers.list_sessions, handlers.Sessions, session_only=True,
    ),
    Route(
        "POST", "/me/sessions/{session_id}/end", "end_session", "Session",
        "End one of your own logins",
        _OWN, handlers.end_session, handlers.SessionsEnded, body=NoBody,
        codes=("session_not_found",), session_only=True,
    ),
    Route(
        "POST", "/me/sessions/end-others", "end_other_sessions", "Session",
        "End all your logins except this one",
        _OWN, handlers.end_other_sessions, handlers.SessionsEnded, body=NoBody,
        session_only=True,
    ),
    Route(
        "POST", "/password-reset", "finish_reset", "Session",
        "Choose a new password with the one-time code of an admin",
        None, handlers.finish_reset, handlers.PasswordSet, body=schemas.FinishResetBody,
        codes=("reset_refused",), secret=True,
        example={"code": _CODE, "password": "dez patos na lagoa azul"},
    ),
)  # fmt: skip

TOKEN_ROUTES: tuple[Route, ...] = (
    Route(
        "GET", "/tokens", "list_tokens", "API tokens",
        "Your own API tokens; admins also list others'",
        _OWN, handlers.list_tokens, handlers.Tokens, query=schemas.TokenQuery,
    ),
    Route(
        "POST", "/tokens", "create_token", "API tokens",
        "Make an API token with some of your permissions; the secret is shown this once",
        _OWN, handlers.create_token, handlers.TokenCreated, body=schemas.NewTokenBody, status=201,
        codes=("token_not_found", "too_many_tokens"), session_only=True, secret=True,
        example={
            "name": "Painel do CRM", "scopes": ["tickets:read"],
            "expires_at": "2026-12-31T23:59:59Z",
        },
    ),
    Route(
        "POST", "/tokens/{token_id}/revoke", "revoke_token", "API tokens",
        "End an API token at once: your own, or as an admin anybody's; harmless to repeat",
        _OWN, handlers.revoke_token, TokenView, body=NoBody, codes=("token_not_found",),
        repeatable=True,
    ),
)  # fmt: skip

AGENT_ROUTES: tuple[Route, ...] = (
    Route(
        "GET", "/agents", "list_agents", "Agents", "The people of the support team",
        Permission.PEOPLE_READ, handlers.list_agents, handlers.Agents, query=schemas.AgentQuery,
    ),
    Route(
        "GET", "/agents/{agent_id}", "get_agent", "Agents", "One person",
        Permission.PEOPLE_READ, handlers.get_agent, AgentView, codes=("agent_not_found",),
    ),
    Route(
        "POST", "/agents", "create_agent", "Agents", "Add a person",
        _MANAGE, handlers.create_agent, AgentView, body=schemas.NewAgentBody,
        status=201, codes=("agent_exists", "beyond_own_rights"), secret=True,
        example={
            "email": "bia@example.com", "name": "Bia Souza", "password": "nove gatos no telhado",
            "role": "agent", "queues": ["n1_support"], "skills": ["billing"],
            "languages": ["pt", "es"],
        },
    ),
    Route(
        "POST", "/agents/{agent_id}", "edit_agent", "Agents",
        "Change a person; other rights end their sessions",
        _MANAGE, handlers.edit_agent, handlers.AgentEdited, body=schemas.EditAgentBody,
        codes=(*_AGENT_CODES, "last_admin"), repeatable=True,
        example={"skills": ["billing", "risk"], "levels": ["N1", "N2"], "capacity": 5},
    ),
    Route(
        "POST", "/agents/{agent_id}/disable", "disable_agent", "Agents",
        "Shut a person out at once; their tickets go back to the queues",
        _MANAGE, handlers.disable_agent, handlers.Disabled, body=NoBody,
        codes=(*_AGENT_CODES, "last_admin"), repeatable=True,
    ),
    Route(
        "POST", "/agents/{agent_id}/enable", "enable_agent", "Agents",
        "Let a person in again, with the password they had",
        _MANAGE, handlers.enable_agent, AgentView, body=NoBody,
        codes=("agent_not_found", "beyond_own_rights"), repeatable=True,
    ),
    Route(
        "POST", "/agents/{agent_id}/password-reset", "reset_password", "Agents",
        "Void a person's password, sessions and tokens; answers with a one-time code for them",
        _MANAGE, handlers.reset_password, handlers.Reset, body=NoBody,
        codes=_AGENT_CODES, secret=True,
    ),
    Route(
        "GET", "/skills", "list_skills", "Agents",
        "Skills that people have or the handoff policy asks for",
        Permission.PEOPLE_READ, handlers.list_skills, handlers.Skills,
    ),
)  # fmt: skip

TEAM_ROUTES: tuple[Route, ...] = (
    Route(
        "GET", "/teams", "list_teams", "Teams", "The teams with their queues",
        Permission.PEOPLE_READ, handlers.list_teams, handlers.Teams,
    ),
    Route(
        "POST", "/teams", "create_team", "Teams", "Add a team",
        _MANAGE, handlers.create_team, TeamView, body=schemas.NewTeamBody, status=201,
        codes=("team_exists",), example={"name": "Financeiro", "queues": ["n2_billing"]},
    ),
    Route(
        "POST", "/teams/{team_id}", "edit_team", "Teams",
        "Rename a team or give it other queues; their open tickets follow",
        _MANAGE, handlers.edit_team, TeamView, body=schemas.EditTeamBody,
        codes=("team_not_found", "team_exists"), repeatable=True,
        example={"queues": ["n2_billing", "n2_technical"]},
    ),
    Route(
        "POST", "/teams/{team_id}/delete", "delete_team", "Teams",
        "Remove a team that nothing refers to",
        _MANAGE, handlers.delete_team, handlers.TeamDeleted, body=NoBody,
        codes=("team_not_found", "team_in_use"),
    ),
)  # fmt: skip

PEOPLE_ROUTES = (*SESSION_ROUTES, *TOKEN_ROUTES, *AGENT_ROUTES, *TEAM_ROUTES)
