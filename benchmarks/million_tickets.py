"""A desk with very many tickets, for benchmarks: contacts, messages, tickets, clocks.

Everything is made inside PostgreSQL out of `generate_series`, so that a million takes a minute or
two, and out of row numbers alone, so that the same number gives the same desk every time. Indexes
and foreign keys are made after the rows. Names, numbers and words are made up.

`fill(url, Desk(...))` fills an empty database that `Base.metadata.create_all` has prepared.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from sqlalchemy import Column, Table, create_engine
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from ticketing.db.base import Base
from ticketing.db.engine import with_driver

NOW = datetime(2026, 3, 10, 13, 0, tzinfo=UTC)
"""The present of the made-up desk: nothing is due yet, and everything was opened before."""

QUEUES = (
    ("n1_support", "Suporte", "N1"),
    ("n1_spanish", "Atención en español", "N1"),
    ("n2_technical", "Técnico", "N2"),
    ("n2_billing", "Financeiro", "N2"),
    ("n3_risk", "Risco", "N3"),
)
AGENTS = 200
RARE_EVERY = 10_000
"""Every so manieth ticket has a customer who writes a word that nobody else writes."""
RARE_WORD = "caldeirão"

_FIRST = (
    "Ana Beatriz Bruno Camila Carlos Cláudia Daniel Débora Eduardo Elisa Fábio Fernanda Gabriel "
    "Gustavo Helena Igor Isabela João José Juliana Karina Larissa Leandro Letícia Lucas Luísa "
    "Marcelo Márcia Marina Mateus Natália Otávio Patrícia Paulo Rafael Renata Ricardo Sandra "
    "Sérgio Simone Tânia Thiago Vanessa Vítor Yasmin"
)
_LAST = (
    "Almeida Alves Andrade Araújo Barbosa Barros Batista Cardoso Carvalho Castro Costa Dias "
    "Fernandes Ferreira Freitas Gomes Gonçalves Lima Lopes Machado Marques Martins Melo Mendes "
    "Monteiro Moreira Nascimento Nunes Oliveira Pereira Pinto Ramos Ribeiro Rocha Rodrigues "
    "Santos Silva Soares Souza Teixeira Vieira"
)
_MATTERS = (
    "Reembolso", "Segunda via do boleto", "Pedido atrasado", "Troca de produto", "Nota fiscal",
    "Cobrança em duplicidade", "Acesso à conta", "Cancelamento", "Endereço de entrega",
    "Produto com defeito", "Instalação", "Garantia", "Cupom recusado", "Fraude no cartão",
    "Internet lenta", "Troca de titular",
)  # fmt: skip
_OPENINGS = (
    "Olá, boa tarde.", "Oi, tudo bem?", "Bom dia!", "Preciso de ajuda.", "Boa noite,",
    "Por favor,", "Já é a terceira vez que escrevo.", "Olha,", "Gente,", "Então,",
)  # fmt: skip
_SENTENCES = (
    "o meu pedido ainda não chegou e o prazo era ontem",
    "fui cobrado duas vezes na fatura do cartão",
    "quero devolver o produto que veio quebrado",
    "não consigo entrar na minha conta desde cedo",
    "preciso da segunda via do boleto deste mês",
    "o técnico não apareceu no horário marcado",
    "a nota fiscal veio com o endereço errado",
    "o cupom de desconto não funciona no aplicativo",
    "quero cancelar a assinatura e receber o reembolso",
    "a geladeira faz um barulho estranho à noite",
    "o entregador deixou a caixa com o vizinho",
    "a internet cai sempre que começa a chover",
    "vocês podem trocar o titular do contrato",
    "a senha nova não chega no meu e-mail",
    "apareceu uma compra que eu não fiz",
    "o atendente disse que ligaria e não ligou",
    "queria saber quando a loja de Curitiba abre",
    "a garantia cobre a tela do celular",
)
_ANSWERS = (
    "Olá! Já estou vendo o seu pedido, um momento.",
    "Encontrei a cobrança e abri o estorno, cai em até cinco dias úteis.",
    "Pode me confirmar o número do pedido, por favor?",
    "A nova via foi enviada para o seu e-mail.",
    "O técnico passa amanhã entre oito e meio-dia.",
    "Fiz a troca do endereço, a entrega sai hoje.",
)


@dataclass(frozen=True, slots=True)
class Desk:
    """How much there is.

    Attributes:
        tickets: One conversation and contact each.
        open_share: How many of them are neither resolved nor closed, from 0 to 1.
        messages: Of each ticket.
        now: The present: nothing is due before it.
    """

    tickets: int = 1_000_000
    open_share: float = 1.0
    messages: int = 3
    now: datetime = NOW


def prepare(url: str) -> None:
    """All tables in an empty database."""
    engine = create_engine(with_driver(url))
    Base.metadata.create_all(engine)
    engine.dispose()


def fill(url: str, desk: Desk | None = None, *, say: Callable[[str], None] = print) -> None:
    """Fill the tables, make the indexes, let PostgreSQL count (VACUUM ANALYZE)."""
    desk = desk or Desk()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        connection.execute("SET maintenance_work_mem = '1GB'")
        connection.execute(_ID_FUNCTION)
        with _without_indexes(connection, _FILLED):
            for name, source, columns in _steps(desk):
                began = time.perf_counter()
                _insert(connection, name, source, columns)
                say(f"{name}: {time.perf_counter() - began:.0f} s")
            began = time.perf_counter()
        say(f"indexes and foreign keys: {time.perf_counter() - began:.0f} s")
        highest = 1000 + desk.tickets  # the first number is 1001
        connection.execute(f"ALTER TABLE tickets ALTER number RESTART WITH {highest + 1}".encode())
        connection.execute("VACUUM ANALYZE")


def ticket_id(number: int) -> str:
    """SQL of the id of the how-manieth ticket (from 1)."""
    return f"bench_id(4, {number})"


def make_due(
    connection: psycopg.Connection[Any], count: int, *, now: datetime, kind: str = "breach"
) -> int:
    """Let clocks of so many tickets pass their warning (`warning`) or due time (`breach`).

    Returns:
        How many clocks.
    """
    passed = {"warning": "warn_at = %(then)s", "breach": "warn_at = %(then)s, due_at = %(then)s"}
    statement = f"""
        UPDATE sla_clocks SET {passed[kind]}, next_check_at = %(then)s
        WHERE metric = 'resolution' AND state = 'running'
          AND ticket_id IN (
            SELECT ticket_id FROM sla_clocks WHERE metric = 'resolution' AND state = 'running'
            ORDER BY ticket_id LIMIT %(count)s)
    """  # noqa: S608 - our own words
    then = now - timedelta(seconds=30)
    return connection.execute(statement.encode(), {"then": then, "count": count}).rowcount


_ID_FUNCTION = """
CREATE OR REPLACE FUNCTION bench_id(kind int, number bigint) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT (lpad(to_hex(1767225600000 + number), 12, '0') || '7' || lpad(to_hex(kind), 3, '0')
          || '8' || lpad(to_hex(number), 15, '0'))::uuid
$$
"""  # a UUID version 7 of 2026 whose order is the order of the numbers

_FILLED = (
    "contacts", "conversations", "tickets", "messages", "ticket_events", "handoffs", "sla_clocks",
)  # fmt: skip


def _steps(desk: Desk) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Table, FROM clause (with `n`, the row's number from 1) and SQL of each column."""
    now = f"'{desk.now.isoformat()}'::timestamptz"
    tickets = f"generate_series(1, {desk.tickets}) AS s(n)"
    # Opened over the last 20 days; later numbers are newer.
    opened = f"({now} - interval '20 days' * (1 - n::float8 / {desk.tickets}) - interval '1 hour')"
    facts = _ticket_facts(desk, opened)
    whole = f"(SELECT n, {facts}, {opened} AS opened FROM {tickets}) AS t"  # noqa: S608 - own words
    yield "queues", f"(VALUES {_queue_rows()}) AS q(n, key, name, level)", {
        "id": "bench_id(1, n)", "key": "key", "name": "name", "level": "level",
    }  # fmt: skip
    yield "agents", f"generate_series(1, {AGENTS}) AS s(n)", {
        "id": "bench_id(2, n)", "email": "'agente' || n || '@example.com'",
        "name": f"{_pick(_FIRST.split(), 'n')} || ' ' || {_pick(_LAST.split(), 'n * 7')}",
        "password_hash": "'!'", "role": "'agent'", "created_at": now, "active": "true",
        "on_duty": "false",
    }  # fmt: skip
    yield "contacts", tickets, {
        "id": "bench_id(3, n)",
        "name": f"{_pick(_FIRST.split(), 'n')} || ' ' || {_pick(_LAST.split(), 'n / 45')}",
        "phone": "'+55119' || lpad((n % 100000000)::text, 8, '0')",
        "vip": "n % 25 = 0", "created_at": opened,
    }  # fmt: skip
    yield "conversations", whole, {
        "id": "bench_id(5, n)", "contact_id": "bench_id(3, n)", "channel": "'whatsapp'",
        "account_id": "'106540352242922'",
        "address": "'+55119' || lpad((n % 100000000)::text, 8, '0')",
        "control": "CASE WHEN status = 'new' THEN 'queued' WHEN is_open THEN 'human' "
        "ELSE 'bot' END",
        "control_epoch": "1", "language": "'pt'", "last_customer_message_at": "opened",
        "last_message_at": "opened", "created_at": "opened",
    }  # fmt: skip
    yield "tickets", whole, _ticket_columns()
    messages = (
        f"(SELECT (t.n - 1) * {desk.messages} + m AS n, t.n AS ticket, m, t.opened "  # noqa: S608
        f"FROM {whole}, generate_series(1, {desk.messages}) AS m) AS t"
    )
    yield "messages", messages, _message_columns()
    yield "handoffs", whole, _handoff_columns()
    events = f"{whole} CROSS JOIN LATERAL ({_EVENTS}) AS e(place, kind, actor, data, at)"
    yield "ticket_events", events, {
        "id": "bench_id(7, t.n * 4 + e.place)", "ticket_id": "bench_id(4, t.n)", "kind": "e.kind",
        "actor": "e.actor",
        "reason": "CASE WHEN e.kind = 'opened' THEN 'customer_request' END",
        "data": "e.data", "at": "e.at", "correlation_id": "'bench'",
    }  # fmt: skip
    clocks = (
        f"{whole} CROSS JOIN LATERAL (VALUES (0, 'first_response'), (1, 'resolution')) "
        "AS c(place, metric)"
    )
    yield "sla_clocks", clocks, _clock_columns(now)


def _ticket_facts(desk: Desk, opened: str) -> str:
    """Columns that several tables are made of: queue, status, priority, holder."""
    spread = "((n * 2654435761) % 1000003)"  # Knuth's multiplicative hash: no visible pattern
    return f"""
        {spread} AS spread,
        {spread} % 1000 < {round(desk.open_share * 1000)} AS is_open,
        CASE WHEN {spread} % 1000 >= {round(desk.open_share * 1000)}
             THEN CASE WHEN n % 3 = 0 THEN 'closed' ELSE 'resolved' END
             WHEN n % 10 < 3 THEN 'new' ELSE 'open' END AS status,
        1 + {spread} % {len(QUEUES)} AS queue,
        (ARRAY['low','normal','normal','normal','normal','high','high','urgent'])
          [1 + n % 8] AS priority,
        CASE WHEN n % 10 >= 3 OR {spread} % 1000 >= {round(desk.open_share * 1000)}
             THEN bench_id(2, 1 + {spread} % {AGENTS}) END AS agent_id,
        {opened} + interval '20 minutes' AS answered
    """


def _ticket_columns() -> dict[str, str]:
    levels = "(ARRAY[" + ", ".join(f"'{level}'" for _, _, level in QUEUES) + "])"
    settled = "CASE WHEN is_open THEN NULL ELSE opened + interval '5 hours' END"
    return {
        "id": "bench_id(4, n)", "number": "1000 + n", "version": "1",
        "conversation_id": "bench_id(5, n)", "contact_id": "bench_id(3, n)",
        "queue_id": "bench_id(1, queue)", "agent_id": "agent_id", "channel": "'whatsapp'",
        "subject": _pick(_MATTERS, "spread"), "status": "status", "priority": "priority",
        "severity": "'S' || (1 + n % 4)", "level": f"{levels}[queue]", "language": "'pt'",
        "tags": "CASE WHEN n % 20 = 0 THEN ARRAY['reembolso'] ELSE '{}'::text[] END",
        "escalation_reason": "'customer_request'", "escalated_at": "opened",
        "sla_target_minutes": "240", "sla_expires_at": "opened + interval '30 days'",
        "opened_at": "opened",
        "first_response_at": "CASE WHEN status <> 'new' THEN answered END",
        "resolved_at": settled,
        "closed_at": "CASE WHEN status = 'closed' THEN opened + interval '6 hours' END",
        "last_message_at": "opened + interval '30 minutes'", "correlation_id": "'bench'",
        "updated_at": "CASE WHEN is_open THEN opened + interval '30 minutes' "
        "ELSE opened + interval '6 hours' END",
        "vip": "n % 25 = 0", "waiting_since": "opened", "routing_since": "opened",
        "routing_state": "CASE WHEN NOT is_open THEN 'done' WHEN status = 'new' THEN 'waiting' "
        "ELSE 'held' END",
        "sla_stale": "false", "sla_state": "CASE WHEN is_open THEN 'ok' ELSE 'met' END",
    }  # fmt: skip


def _message_columns() -> dict[str, str]:
    customer = (
        f"{_pick(_OPENINGS, 't.n')} || ' ' || {_pick(_SENTENCES, 't.n * 5 + t.ticket / 3')} || "
        f"', pedido ' || (4000000 + t.ticket) || "
        f"CASE WHEN t.ticket % {RARE_EVERY} = 0 AND m = 1 THEN ', é sobre um {RARE_WORD}.' "
        "ELSE '.' END"
    )
    inbound = "m % 2 = 1"
    return {
        "id": "bench_id(6, t.n)", "conversation_id": "bench_id(5, t.ticket)",
        "channel": "'whatsapp'", "ticket_id": "bench_id(4, t.ticket)", "kind": "'text'",
        "direction": f"CASE WHEN {inbound} THEN 'inbound' ELSE 'outbound' END",
        "author": f"CASE WHEN {inbound} THEN 'customer' ELSE 'agent' END",
        "text": f"CASE WHEN {inbound} THEN {customer} ELSE {_pick(_ANSWERS, 't.n')} END",
        "provider_id": "'wamid.' || t.n",
        "delivery": f"CASE WHEN {inbound} THEN NULL ELSE 'read' END",
        "sent_at": "t.opened + interval '10 minutes' * (m - 1)",
        "created_at": "t.opened + interval '10 minutes' * (m - 1)", "correlation_id": "'bench'",
    }  # fmt: skip


def _handoff_columns() -> dict[str, str]:
    return {
        "id": "bench_id(8, n)", "conversation_id": "bench_id(5, n)", "ticket_id": "bench_id(4, n)",
        "control_epoch": "1", "reason": "'customer_request'", "rule": "'asked_for_person@bench'",
        "to_level": "'N1'", "queue_id": "bench_id(1, queue)", "requested_at": "opened",
        "state": "CASE WHEN NOT is_open THEN 'ended' WHEN status = 'new' THEN 'queued' "
        "ELSE 'accepted' END",
        "queued_at": "opened",
        "accepted_at": "CASE WHEN status <> 'new' THEN answered END",
        "ended_at": "CASE WHEN is_open THEN NULL ELSE opened + interval '5 hours' END",
        "ended_as": "CASE WHEN is_open THEN NULL ELSE 'resolved' END",
    }  # fmt: skip


_EVENTS = """
    SELECT 0, 'opened', 'bot', jsonb_build_object('priority', t.priority), t.opened
    UNION ALL SELECT 1, 'replied', 'agent:' || t.agent_id, '{}'::jsonb, t.answered
              WHERE t.status <> 'new'
    UNION ALL SELECT 2, 'resolved', 'agent:' || t.agent_id, '{}'::jsonb,
              t.opened + interval '5 hours' WHERE NOT t.is_open
"""


def _clock_columns(now: str) -> dict[str, str]:
    # Running ones are due from one day to a month ahead.
    running = "(t.is_open AND (c.metric = 'resolution' OR t.status = 'new'))"
    due = f"({now} + interval '1 day' + interval '30 days' * (t.spread % 1000) / 1000)"
    warn = f"({now} + interval '12 hours' + interval '30 days' * (t.spread % 1000) / 1000)"
    met = "CASE WHEN c.metric = 'resolution' THEN t.opened + interval '5 hours' ELSE t.answered END"
    return {
        "id": "bench_id(9, t.n * 2 + c.place)", "ticket_id": "bench_id(4, t.n)",
        "metric": "c.metric", "cycle": "1", "policy": "'standard@bench'",
        "calendar": "'business@bench'",
        "state": f"CASE WHEN {running} THEN 'running' ELSE 'met' END",
        "target_seconds": "14400", "consumed_seconds": "600", "started_at": "t.opened",
        "due_at": f"CASE WHEN {running} THEN {due} ELSE t.opened + interval '4 hours' END",
        "warn_at": f"CASE WHEN {running} THEN {warn} END",
        "met_at": f"CASE WHEN {running} THEN NULL ELSE {met} END",
        "ended_at": f"CASE WHEN {running} THEN NULL ELSE {met} END",
        "next_check_at": f"CASE WHEN {running} THEN {warn} END",
        "segments": "'[]'::jsonb", "updated_at": "t.opened",
    }  # fmt: skip


def _queue_rows() -> str:
    return ", ".join(
        f"({number}, '{key}', '{name}', '{level}')"
        for number, (key, name, level) in enumerate(QUEUES, start=1)
    )


def _pick(options: tuple[str, ...] | list[str], by: str) -> str:
    quoted = ", ".join("'" + option.replace("'", "''") + "'" for option in options)
    return f"(ARRAY[{quoted}])[1 + (({by}) % {len(options)})::int]"


def _insert(
    connection: psycopg.Connection[Any], name: str, source: str, columns: Mapping[str, str]
) -> None:
    """INSERT ... SELECT; what the columns leave out gets the table's own defaults."""
    table = Base.metadata.tables[name]
    present = set(table.columns.keys())
    values = {key: value for key, value in columns.items() if key in present}
    values |= dict(_defaults(table, without=values))
    names, made = ", ".join(values), ", ".join(values.values())
    overriding = "OVERRIDING SYSTEM VALUE"  # a ticket's number is an identity
    statement = f"INSERT INTO {name} ({names}) {overriding} SELECT {made} FROM {source}"  # noqa: S608
    connection.execute(statement.encode())


def _defaults(table: Table, *, without: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """SQL of the defaults that only SQLAlchemy would put in."""
    for column in table.columns:
        if column.name in without or column.nullable or column.server_default is not None:
            continue
        if column.identity is None and column.computed is None:
            yield column.name, _default(column)


def _default(column: Column[Any]) -> str:
    value = getattr(column.default, "arg", None)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str):
        return f"'{value}'"
    if isinstance(column.type, ARRAY):
        return "'{}'"
    if isinstance(column.type, JSONB):
        return "'{}'::jsonb"
    message = f"{column.table.name}.{column.name}: has no default; add it to million_tickets.py"
    raise LookupError(message)


@contextmanager
def _without_indexes(
    connection: psycopg.Connection[Any], tables: tuple[str, ...]
) -> Iterator[None]:
    """Take foreign keys and plain indexes away, and make them again at the end: much faster."""
    keys = connection.execute(
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE contype = 'f' AND conrelid = ANY(%s::regclass[])",
        (list(tables),),
    ).fetchall()
    indexes = connection.execute(
        "SELECT i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) FROM pg_index i "
        "WHERE i.indrelid = ANY(%s::regclass[]) AND NOT EXISTS "
        "(SELECT 1 FROM pg_constraint c WHERE c.conindid = i.indexrelid)",
        (list(tables),),
    ).fetchall()
    for table, name, _ in keys:
        connection.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"'.encode())
    for name, _ in indexes:
        connection.execute(f"DROP INDEX {name}".encode())
    yield
    for _, definition in indexes:
        connection.execute(definition.encode())
    for table, name, definition in keys:
        connection.execute(f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {definition}'.encode())
