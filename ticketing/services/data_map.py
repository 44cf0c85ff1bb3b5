"""Where personal data lies: every table says how it is found, exported and erased.

A table that is not in `TABLES` fails a test, so nobody can add one without deciding. The rules are
SQL fragments over one person (`parameters`); an erasure empties columns rather than deleting rows
where the rows are counted in statistics: numbers, times and levels stay, words go.
"""

# ruff: noqa: S608 - the fragments are ours; every value of a person is a parameter

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ticketing.domain.privacy import Person

ERASED = "[erased]"
"""Stands where a text was that may not be empty."""

_WORDS_OF_PEOPLE = "(actor LIKE 'agent:%' OR actor LIKE 'token:%')"
_OWN_TICKETS = "ticket_id = ANY(:tickets)"
_OWN_CONVERSATIONS = "conversation_id = ANY(:conversations)"
_OWN_MESSAGES = "(SELECT id FROM messages WHERE conversation_id = ANY(:conversations))"


@dataclass(frozen=True, slots=True)
class TableRule:
    """One table.

    Attributes:
        table: Its name.
        holds: What of a person it holds, or why nothing.
        rows: Condition for the person's rows; None: the table holds nothing of contacts.
        empty: Column -> what it becomes. A row that has all of it already is not touched.
        delete: The rows go as a whole.
        export: Columns of the export, in order; empty: not exported (`holds` says why).
        once: Condition for rows that are worth deleting or emptying now.
        before: `SET LOCAL` settings needed to be allowed to.
    """

    table: str
    holds: str
    rows: str | None = None
    empty: Mapping[str, str] = field(default_factory=dict)
    delete: bool = False
    export: tuple[str, ...] = ()
    once: str = "true"
    before: tuple[str, ...] = ()

    @property
    def erases(self) -> bool:
        """Whether an erasure changes anything here."""
        return self.rows is not None and (self.delete or bool(self.empty))

    @property
    def _stale(self) -> str:
        if self.delete:
            return f"({self.rows}) AND ({self.once})"
        differs = " OR ".join(
            f"{column} IS DISTINCT FROM ({value})" for column, value in self.empty.items()
        )
        return f"({self.rows}) AND ({self.once}) AND ({differs})"

    @property
    def count_sql(self) -> str:
        """How many rows an erasure would change."""
        return f"SELECT count(*) FROM {self.table} WHERE {self._stale}"

    @property
    def erase_sql(self) -> str:
        """The erasure; again, it finds nothing."""
        if self.delete:
            return f"DELETE FROM {self.table} WHERE {self._stale}"
        changes = ", ".join(f"{column} = ({value})" for column, value in self.empty.items())
        return f"UPDATE {self.table} SET {changes} WHERE {self._stale}"

    @property
    def export_sql(self) -> str:
        """The person's rows, as JSON objects."""
        columns = ", ".join(self.export)
        return (
            f"SELECT row_to_json(part) FROM (SELECT {columns} FROM {self.table} "
            f"WHERE {self.rows} ORDER BY 1, 2) AS part"
        )


def parameters(person: Person, *, cutoff: datetime) -> dict[str, Any]:
    """What the fragments of the rules name."""
    return {
        "contact": person.contact_id,
        "conversations": list(person.conversation_ids),
        "tickets": list(person.ticket_ids),
        "addresses": list(person.addresses),
        "cutoff": cutoff,
    }


_RASA_HINT = "Rasa's trackers are a store of their own"

TABLES: tuple[TableRule, ...] = (
    # -- what points to others goes first ---------------------------------------------------------
    TableRule(
        "training_sightings", "that a turn was looked at for training",
        f"turn_id IN {_OWN_MESSAGES}", delete=True,
    ),
    TableRule(
        "training_candidates",
        "a sentence of the customer, scrubbed; accepted ones stand in data/nlu without personal "
        "data",
        _OWN_CONVERSATIONS, delete=True,
        export=("created_at", "language", "text", "state", "intent"),
    ),
    TableRule("training_watermarks", "nothing: times of collecting"),
    TableRule(
        "handoff_reviews", "agents' remarks on a turn; verdicts say nothing of the customer",
        _OWN_CONVERSATIONS, {"note": "NULL"}, export=("at", "verdict", "true_intent", "note"),
    ),
    TableRule(
        "ticket_search", "the words of tickets, made of other rows",
        "contact_id = :contact OR ticket_id = ANY(:tickets)", delete=True,
    ),
    TableRule(
        "idempotency_keys", "answers to requests, for a day; not exported: copies",
        "subject_id = ANY(:tickets) OR subject_id = ANY(:conversations) OR subject_id = :contact "
        "OR EXISTS (SELECT 1 FROM unnest(CAST(:addresses AS text[])) AS a "
        "WHERE strpos(body, a) > 0) OR strpos(body, CAST(:contact AS text)) > 0",
        delete=True, once="created_at <= :cutoff",
    ),
    TableRule(
        "notifications",
        "what agents were told about the person's tickets; not exported: addressed to agents, "
        "made of the ticket",
        "ticket_id = ANY(:tickets) OR recipient = ANY(:addresses)",
        {
            "context": "jsonb_strip_nulls(jsonb_build_object('urgent', context->'urgent'))",
            "recipient": f"CASE WHEN recipient = ANY(:addresses) THEN '{ERASED}' ELSE recipient "
            "END",
            "error": "CASE WHEN error IS NULL THEN NULL ELSE jsonb_strip_nulls(jsonb_build_object("
            "'code', error->'code', 'kind', error->'kind', 'http_status', error->'http_status'))"
            " END",
            "provider_id": "NULL",
            "digest_key": "NULL",
            "state": "CASE WHEN state IN ('pending', 'sending', 'unknown') THEN 'dropped' "
            "ELSE state END",
            "finished_at": "coalesce(finished_at, :cutoff)",
        },
    ),
    TableRule(
        "dead_letters",
        "what could not be told to agents about the person's tickets; not exported: copies, and "
        "recipients only as keyed hashes",
        _OWN_TICKETS, {"payload": "'{}'"},
    ),
    TableRule(
        "recipient_addresses",
        "that a number or address of the person said no, or cannot be reached",
        "address = ANY(:addresses)", delete=True,
        export=("since", "channel", "state", "code", "last_inbound_at"),
    ),
    TableRule(
        "outbox_events", "reasons in the words of people; the rest are ids; not exported: copies",
        "payload->>'ticket_id' IN (SELECT unnest(CAST(:tickets AS uuid[]))::text) OR "
        "payload->>'conversation_id' IN (SELECT unnest(CAST(:conversations AS uuid[]))::text) OR "
        "payload->>'contact_id' = CAST(:contact AS text)",
        {
            "payload": "CASE WHEN payload ? 'reason_text' "
            "THEN payload || '{\"reason_text\": null}' ELSE payload END"
        },
    ),
    TableRule(
        "webhook_items",
        "messages and statuses as the provider sent them; not exported: the messages are",
        "item->'sender'->>'phone' = ANY(:addresses) OR item->'sender'->>'user_id' = ANY(:addresses)"
        " OR item->'recipient'->>'phone' = ANY(:addresses)"
        " OR item->'recipient'->>'user_id' = ANY(:addresses)"
        f" OR dedup_key IN (SELECT provider_id FROM messages WHERE id IN {_OWN_MESSAGES})"
        " OR (kind = 'notice' AND EXISTS (SELECT 1 FROM unnest(CAST(:addresses AS text[])) AS a"
        " WHERE strpos(raw::text, a) > 0))",
        delete=True, once="received_at <= :cutoff",
    ),
    # -- tickets ----------------------------------------------------------------------------------
    TableRule(
        "attachment_contents", "the files themselves",
        "attachment_id IN (SELECT id FROM attachments WHERE ticket_id = ANY(:tickets))",
        delete=True,
    ),
    TableRule(
        "attachments", "names and types of files",
        _OWN_TICKETS, delete=True, export=("created_at", "filename", "media_type", "size"),
    ),
    TableRule(
        "runbook_marks", "ticks and agents' notes on them",
        _OWN_TICKETS,
        {"note": f"CASE WHEN note IS NULL THEN NULL ELSE '{ERASED}' END"},
        export=("at", "runbook", "step", "kind", "note"),
    ),
    TableRule("ticket_runbooks", "nothing: which runbook a ticket is worked by"),
    TableRule("runbook_versions", "nothing: texts of runbooks"),
    TableRule(
        "quality_reviews",
        "remarks about an agent's work, which may name the customer; not exported: about the agent",
        "sample_id IN (SELECT id FROM quality_samples WHERE ticket_id = ANY(:tickets))",
        {"comment": "NULL"},
    ),
    TableRule(
        "ticket_satisfaction", "the customer's mark of a ticket, and their words", _OWN_TICKETS,
        {"comment": f"CASE WHEN comment IS NULL THEN NULL ELSE '{ERASED}' END"},
        export=("recorded_at", "score", "comment"),
    ),
    TableRule(
        "quality_samples", "words of agents and reviewers; not exported: about the agent",
        _OWN_TICKETS,
        {
            "dispute": f"CASE WHEN dispute IS NULL THEN NULL ELSE '{ERASED}' END",
            "settlement": f"CASE WHEN settlement IS NULL THEN NULL ELSE '{ERASED}' END",
        },
    ),
    TableRule("quality_periods", "nothing: weeks and plans"),
    TableRule("sla_clocks", "nothing: times of a ticket"),
    TableRule("sla_alerts", "nothing: times of a ticket"),
    TableRule("sla_rule_periods", "nothing: rules"),
    TableRule("routing_decisions", "nothing: ids of agents and reasons of the router"),
    TableRule("routing_exclusions", "nothing: ids"),
    TableRule("escalation_firings", "nothing: ids and rules"),
    TableRule(
        "ticket_events", "agents' reasons in their own words",
        _OWN_TICKETS,
        {
            "reason": f"CASE WHEN reason IS NOT NULL AND {_WORDS_OF_PEOPLE} THEN '{ERASED}' "
            "ELSE reason END"
        },
        export=("at", "kind", "split_part(actor, ':', 1) AS actor", "reason"),
        before=("ponte.erasing",),
    ),
    TableRule(
        "tickets", "the subject, the reason of an escalation",
        "id = ANY(:tickets)",
        {
            "subject": f"'{ERASED}'",
            "escalation_reason": "CASE WHEN escalation_reason IS NOT NULL AND EXISTS (SELECT 1 "
            "FROM ticket_events e WHERE e.ticket_id = tickets.id AND e.kind = 'escalated' AND "
            f"e.reason = '{ERASED}') THEN '{ERASED}' ELSE escalation_reason END",
        },
        export=(
            "opened_at", "number", "subject", "status", "priority", "severity", "level", "tags",
            "language", "escalation_reason", "escalated_at", "sla_expires_at",
            "first_response_at", "resolved_at", "closed_at",
        ),
    ),
    TableRule(
        "handoffs", "what the decision was made of",
        _OWN_CONVERSATIONS, {"evidence": "'{}'"},
        export=("requested_at", "reason", "rule", "from_level", "to_level", "accepted_at",
                "ended_at", "ended_as", "evidence"),
    ),
    # -- conversations ----------------------------------------------------------------------------
    TableRule(
        "decisions",
        "what was recognised in a message: values such as an order's number; intents and scores "
        "stay for statistics",
        _OWN_CONVERSATIONS,
        {
            "snapshot": "snapshot || '{\"entities\": {}, \"contact_segment\": null}'",
            "decision": "decision || '{\"evaluations\": []}'",
        },
        export=("created_at", "outcome", "reason", "rule", "level", "queue", "priority",
                "snapshot->'top_intent' AS intent", "snapshot->'ranking' AS ranking",
                "snapshot->'entities' AS entities"),
    ),
    TableRule(
        "turns", "the state after a message; not exported: technical",
        _OWN_CONVERSATIONS,
        {
            "after": "NULL",
            "state": "'done'",
            "finished_at": "coalesce(finished_at, :cutoff)",
            "outcome": "coalesce(outcome, 'ignored')",
        },
    ),
    TableRule(
        "messages", "the words, files and places, notes about the person, ids holding the number",
        _OWN_CONVERSATIONS,
        {
            "text": "NULL",
            "data": "'{}'",
            "provider_id": "NULL",
            "delivery_error": "NULL",
            "delivery": "CASE WHEN delivery IN ('pending', 'sending', 'unknown') THEN 'dropped' "
            "ELSE delivery END",
        },
        export=("sent_at", "id", "direction", "author", "kind", "text", "data", "delivery"),
    ),
    TableRule(
        "conversations", "the number, what the customer was asked and what was held back",
        "id = ANY(:conversations)",
        {
            "address": f"'{ERASED}'",
            "language_state": "'{}'",
            "clarification": "NULL",
            "understanding": "'{}'",
            "waiting": "NULL",
            "silence_due_at": "NULL",
        },
        export=("created_at", "id", "channel", "lifecycle", "language", "closed_at",
                "last_customer_message_at"),
    ),
    # -- the person -------------------------------------------------------------------------------
    TableRule(
        "contact_identities", "numbers and ids by which the person is known",
        "contact_id = :contact", delete=True,
        export=("created_at", "channel", "kind", "value", "address"),
    ),
    TableRule(
        "privacy_exports", "earlier exports; not exported again",
        "contact_id = :contact", delete=True,
    ),
    TableRule(
        "contacts", "name, number, address, picture",
        "id = :contact",
        {
            "name": "NULL", "phone": "NULL", "email": "NULL", "photo_url": "NULL",
            "segment": "NULL", "company_id": "NULL", "vip": "false",
            "legal_hold_reason": "NULL",
        },
        export=("created_at", "name", "phone", "email", "photo_url", "vip", "segment"),
    ),
    TableRule(
        "privacy_jobs",
        "while it runs, an erasure knows the person; it empties itself at its end",
        export=(),
    ),
    TableRule("erased_identities", "keyed hashes that cannot be read, for recognising late copies"),
    # -- not of customers -------------------------------------------------------------------------
    TableRule("companies", "nothing of a person: names of companies"),
    TableRule("policy_versions", "nothing: texts of handoff.yml"),
    TableRule("queues", "nothing: configuration"),
    TableRule("teams", "nothing: configuration"),
    TableRule("leases", "nothing: processes"),
    TableRule("webhook_reception", "nothing: times"),
    TableRule("audit_log", "ids only, by rule and by filter; kept as proof"),
    TableRule("audit_waiting", "ids"),
    TableRule("audit_seals", "hashes"),
    TableRule("audit_cuts", "hashes"),
    TableRule("retention_runs", "counts"),
    TableRule("dlq_reprocess_audit", "ids, counts and filters with keyed hashes; kept as proof"),
    TableRule("dlq_webhook_calls", "counts and ids, sent to the operator's own address"),
    TableRule("operation_alerts", "nothing: alerts about the system"),
    *(
        TableRule(name, "of agents, who are not contacts: docs/privacy.md")
        for name in (
            "agents", "agent_queues", "agent_teams", "agent_sessions", "api_tokens",
            "password_resets", "agent_presence", "agent_shifts", "notification_preferences",
            "push_devices",
        )
    ),
)  # fmt: skip

BY_NAME: Mapping[str, TableRule] = {rule.table: rule for rule in TABLES}
