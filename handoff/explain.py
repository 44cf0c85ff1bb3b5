"""A decision in words, for the person who asks why: an agent, a designer, an auditor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from handoff.decision import ConditionResult, Decision, RuleEvaluation
from handoff.policy import HandoffPolicy
from handoff.snapshot import ConversationSnapshot
from handoff.what_if import WhatIf, what_if

_RUNNERS_UP = 3  # of the ranking; the whole of it is in the record


@dataclass(frozen=True, slots=True)
class _Words:
    """The fixed parts of an explanation in one language."""

    outcomes: Mapping[str, str]
    head: str
    because: str
    destination: str
    target: str
    needed: str
    options: str
    seen: str
    ranking: str
    nothing: str
    state: str
    hours_open: str
    hours_closed: str
    opens: str
    condition: str
    always: str
    others: str
    rejected: str
    alternative: str
    suppressed: str
    versions: str
    changes: str
    change: str


_WORDS: Mapping[str, _Words] = {
    "en": _Words(
        outcomes={
            "stay": "The bot answers",
            "clarify": "The bot asks back",
            "handoff": "A person takes over",
        },
        head="{outcome}: rule {rule}, reason {reason}.",
        because="Because {conditions}.",
        destination="To {queue} ({level}), priority {priority}, severity {severity}{skills}.",
        target="First answer by a person within {minutes} minutes.",
        needed="The person was asked for by rule {rule}.",
        options="Offered: {options}.",
        seen="Seen: {what}",
        ranking="{intents}; lead {margin:.2f}; understood as {understanding}.",
        nothing="no intent; understood as {understanding}.",
        state=(
            "Language {language} ({confidence:.2f}); not understood in a row before: {failures}; "
            "questions asked in a row: {asked}."
        ),
        hours_open="The team was open.",
        hours_closed="The team was closed.",
        opens="The team was closed; it opens {opening}.",
        condition="{fact} was {seen} (wanted: {wanted})",
        always="no other rule matched",
        others="Why not the rules before it, the nearest first:",
        rejected="  {rule}: {conditions}",
        alternative="; nor ",
        suppressed="Matched too, but lower in the order: {rules}.",
        versions="Policy {policy} version {version}; calendar {calendar}; message time {clock}.",
        changes="What would have changed it:",
        change="  {fact} {value}: {outcome}{queue} (rule {rule})",
    ),
    "pt": _Words(
        outcomes={
            "stay": "O bot responde",
            "clarify": "O bot pergunta de volta",
            "handoff": "Uma pessoa assume",
        },
        head="{outcome}: regra {rule}, motivo {reason}.",
        because="Porque {conditions}.",
        destination="Para {queue} ({level}), prioridade {priority}, severidade {severity}{skills}.",
        target="Primeira resposta de uma pessoa em até {minutes} minutos.",
        needed="Quem pediu uma pessoa foi a regra {rule}.",
        options="Opções oferecidas: {options}.",
        seen="Visto: {what}",
        ranking="{intents}; vantagem {margin:.2f}; entendido como {understanding}.",
        nothing="nenhuma intenção; entendido como {understanding}.",
        state=(
            "Idioma {language} ({confidence:.2f}); não entendidas em seguida antes: {failures}; "
            "perguntas feitas em seguida: {asked}."
        ),
        hours_open="A equipe estava atendendo.",
        hours_closed="A equipe estava fechada.",
        opens="A equipe estava fechada; abre em {opening}.",
        condition="{fact} era {seen} (esperado: {wanted})",
        always="nenhuma outra regra se aplicou",
        others="Por que não as regras anteriores, a mais próxima primeiro:",
        rejected="  {rule}: {conditions}",
        alternative="; nem ",
        suppressed="Também se aplicavam, mas vêm depois na ordem: {rules}.",
        versions="Política {policy} versão {version}; calendário {calendar}; "
        "hora da mensagem {clock}.",
        changes="O que teria mudado o resultado:",
        change="  {fact} {value}: {outcome}{queue} (regra {rule})",
    ),
    "es": _Words(
        outcomes={
            "stay": "El bot responde",
            "clarify": "El bot pregunta de vuelta",
            "handoff": "Una persona toma el caso",
        },
        head="{outcome}: regla {rule}, motivo {reason}.",
        because="Porque {conditions}.",
        destination="A {queue} ({level}), prioridad {priority}, severidad {severity}{skills}.",
        target="Primera respuesta de una persona en {minutes} minutos como máximo.",
        needed="La regla que pidió una persona fue {rule}.",
        options="Opciones ofrecidas: {options}.",
        seen="Visto: {what}",
        ranking="{intents}; ventaja {margin:.2f}; entendido como {understanding}.",
        nothing="ninguna intención; entendido como {understanding}.",
        state=(
            "Idioma {language} ({confidence:.2f}); no entendidas seguidas antes: {failures}; "
            "preguntas hechas seguidas: {asked}."
        ),
        hours_open="El equipo estaba atendiendo.",
        hours_closed="El equipo estaba cerrado.",
        opens="El equipo estaba cerrado; abre el {opening}.",
        condition="{fact} era {seen} (se esperaba: {wanted})",
        always="ninguna otra regla se cumplió",
        others="Por qué no las reglas anteriores, la más cercana primero:",
        rejected="  {rule}: {conditions}",
        alternative="; ni ",
        suppressed="También se cumplían, pero van después en el orden: {rules}.",
        versions="Política {policy} versión {version}; calendario {calendar}; "
        "hora del mensaje {clock}.",
        changes="Qué habría cambiado el resultado:",
        change="  {fact} {value}: {outcome}{queue} (regla {rule})",
    ),
}


def explain(
    decision: Decision,
    snapshot: ConversationSnapshot,
    language: str = "en",
    *,
    policy: HandoffPolicy | None = None,
) -> str:
    """Why this outcome, why no other rule, and with which versions and clock.

    Args:
        decision: What was decided.
        snapshot: What it was decided on.
        language: "en", "pt" or "es"; another one reads English.
        policy: What it was decided by, to say what would have changed the outcome; None, or one of
            another version: that is left out.
    """
    spoken = _WORDS.get(language, _WORDS["en"])
    return "\n".join(
        [
            *_outcome_lines(decision, spoken),
            *_evidence_lines(decision, snapshot, spoken),
            *_other_lines(decision, spoken),
            *_change_lines(changes(decision, snapshot, policy), spoken),
            spoken.versions.format(
                policy=decision.policy,
                version=decision.policy_version,
                calendar=decision.calendar,
                clock=decision.decided_at.isoformat(),
            ),
        ],
    )


def _outcome_lines(decision: Decision, spoken: _Words) -> Iterator[str]:
    yield spoken.head.format(
        outcome=spoken.outcomes.get(decision.outcome, decision.outcome),
        rule=decision.rule,
        reason=decision.reason,
    )
    winner = next((item for item in decision.evaluations if item.rule == decision.rule), None)
    if winner is not None:
        yield spoken.because.format(conditions=_met(winner, spoken) or spoken.always)
    if decision.is_handoff:
        yield spoken.destination.format(
            queue=decision.queue,
            level=decision.level,
            priority=decision.priority,
            severity=decision.severity,
            skills=f", {', '.join(decision.skills)}" if decision.skills else "",
        )
        if decision.sla_target_minutes is not None:
            yield spoken.target.format(minutes=decision.sla_target_minutes)
        if decision.needed_by is not None:
            yield spoken.needed.format(rule=decision.needed_by)
    if decision.options:
        yield spoken.options.format(options=", ".join(decision.options))


def _evidence_lines(
    decision: Decision,
    snapshot: ConversationSnapshot,
    spoken: _Words,
) -> Iterator[str]:
    if snapshot.top_intent is None:
        what = spoken.nothing.format(understanding=decision.understanding)
    else:
        others = [pair for pair in snapshot.ranking if pair[0] != snapshot.top_intent]
        shown = [(snapshot.top_intent, snapshot.confidence), *others[: _RUNNERS_UP - 1]]
        what = spoken.ranking.format(
            intents=", ".join(f"{intent} {score:.2f}" for intent, score in shown),
            margin=snapshot.margin,
            understanding=decision.understanding,
        )
    yield spoken.seen.format(what=what)
    yield spoken.state.format(
        language=snapshot.language,
        confidence=snapshot.language_confidence,
        failures=snapshot.failures,
        asked=snapshot.clarifications_asked,
    )
    if decision.hours_open:
        yield spoken.hours_open
    elif decision.expected_opening is None:
        yield spoken.hours_closed
    else:
        yield spoken.opens.format(opening=decision.expected_opening.isoformat())


def _other_lines(decision: Decision, spoken: _Words) -> Iterator[str]:
    rules = [item.rule for item in decision.evaluations]
    position = rules.index(decision.rule) if decision.rule in rules else len(rules)
    rejected = decision.evaluations[:position]
    if rejected:
        yield spoken.others
    for item in sorted(rejected, key=missing):
        yield spoken.rejected.format(rule=item.rule, conditions=_unmet(item, spoken))
    if decision.suppressed:
        yield spoken.suppressed.format(rules=", ".join(decision.suppressed))


def missing(evaluation: RuleEvaluation) -> int:
    """How many conditions a rule lacked to match, in the alternative that lacked the fewest."""
    return min(
        (sum(not one.met for one in conditions) for conditions in _alternatives(evaluation)),
        default=0,
    )


def changes(
    decision: Decision, snapshot: ConversationSnapshot, policy: HandoffPolicy | None
) -> tuple[WhatIf, ...]:
    """What would have changed the outcome; nothing without the policy that decided."""
    if policy is None or policy.version != decision.policy_version:
        return ()
    return what_if(snapshot, policy)


def _change_lines(found: Sequence[WhatIf], spoken: _Words) -> Iterator[str]:
    if found:
        yield spoken.changes
    for item in found:
        yield spoken.change.format(
            fact=item.fact,
            value=item.value,
            outcome=spoken.outcomes.get(item.outcome, item.outcome),
            queue="" if item.queue is None else f", {item.queue}",
            rule=item.rule,
        )


def _met(evaluation: RuleEvaluation, spoken: _Words) -> str:
    """The first alternative that held."""
    for conditions in _alternatives(evaluation):
        if all(condition.met for condition in conditions):
            return _joined(conditions, spoken)
    return ""


def _unmet(evaluation: RuleEvaluation, spoken: _Words) -> str:
    """In each alternative, the conditions that failed."""
    return spoken.alternative.join(
        _joined([condition for condition in conditions if not condition.met], spoken)
        for conditions in _alternatives(evaluation)
    )


def _alternatives(evaluation: RuleEvaluation) -> Iterator[list[ConditionResult]]:
    for _, conditions in groupby(evaluation.conditions, key=lambda item: item.alternative):
        yield list(conditions)


def _joined(conditions: Sequence[ConditionResult], spoken: _Words) -> str:
    return ", ".join(
        spoken.condition.format(fact=item.fact, seen=item.seen, wanted=item.wanted)
        for item in conditions
    )


# -- the same as values -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Miss:
    """A rule before the winner that did not match.

    Attributes:
        rule: Its id.
        missing: Conditions it lacked, in the alternative that lacked the fewest.
        conditions: Those that were not met, of all alternatives.
    """

    rule: str
    missing: int
    conditions: tuple[ConditionResult, ...]


@dataclass(frozen=True, slots=True)
class Explained:
    """Why this outcome, and why not another.

    Attributes:
        outcome: What happened.
        rule: Which rule decided.
        reason: Its reason code.
        because: The conditions that made it match; empty for a rule that always matches.
        not_these: The rules before it, the nearest to a match first.
        suppressed: Rules that matched too and stand below it.
        what_if: Single changes that would have led to another outcome.
    """

    outcome: str
    rule: str
    reason: str
    because: tuple[ConditionResult, ...]
    not_these: tuple[Miss, ...]
    suppressed: tuple[str, ...]
    what_if: tuple[WhatIf, ...]


def explained(
    decision: Decision, snapshot: ConversationSnapshot, *, policy: HandoffPolicy | None = None
) -> Explained:
    """What `explain` says, for programs; the arguments are the same."""
    rules = [item.rule for item in decision.evaluations]
    position = rules.index(decision.rule) if decision.rule in rules else len(rules)
    rejected = sorted(decision.evaluations[:position], key=missing)
    because: list[ConditionResult] = []
    if position < len(rules):
        winner = decision.evaluations[position]
        held = (one for one in _alternatives(winner) if all(item.met for item in one))
        because = next(held, [])
    return Explained(
        outcome=decision.outcome,
        rule=decision.rule,
        reason=decision.reason,
        because=tuple(because),
        not_these=tuple(
            Miss(
                item.rule,
                missing(item),
                tuple(one for one in item.conditions if not one.met),
            )
            for item in rejected
        ),
        suppressed=decision.suppressed,
        what_if=changes(decision, snapshot, policy),
    )
