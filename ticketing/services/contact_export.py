"""Give a person what is held about them: one ZIP that a person can read.

It holds JSON documents, the conversations as plain text, files, and a page in Portuguese that says
what is what. People who work here stand in it by their part (`agent`), never by name: their data is
not the asker's (`docs/privacy.md`).
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import uuid
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from kit.clock import Clock
from ticketing.db.engine import Database
from ticketing.db.privacy_tables import PrivacyExport, PrivacyJob
from ticketing.domain.privacy import JobKind, JobState
from ticketing.services import privacy_jobs
from ticketing.services.audit import record
from ticketing.services.contact_lookup import person_of
from ticketing.services.person_stores import Part, PersonStore

log = structlog.get_logger()

KEPT = timedelta(days=7)
"""How long a finished export can be fetched; then it is one more copy of everything."""

README = "LEIA-ME.txt"

_WHAT = {
    "contacts.json": "seu cadastro: nome, telefone, e-mail, foto, marcações",
    "contact_identities.json": "números e identificadores pelos quais os canais conhecem você",
    "conversations.json": "as conversas: canal, idioma, início e fim",
    "messages.json": "todas as mensagens, as suas e as nossas, e anotações sobre o atendimento",
    "conversas.txt": "as mesmas mensagens em texto corrido",
    "tickets.json": "os chamados: assunto, prioridade, nível e horários",
    "ticket_events.json": "o que aconteceu em cada chamado, e por quê",
    "handoffs.json": "quando o robô passou a conversa a uma pessoa, e com base em quê",
    "decisions.json": "decisões automáticas sobre cada mensagem: o que foi reconhecido, com que "
    "confiança, e que regra decidiu (LGPD, art. 20)",
    "bot.json": "o que o robô leu e entendeu",
    "training_candidates.json": "frases suas, sem dados pessoais, guardadas para melhorar o robô",
    "handoff_reviews.json": "avaliações dos atendentes sobre as decisões do robô",
    "runbook_marks.json": "passos do atendimento que foram cumpridos, com anotações",
    "attachments.json": "lista dos arquivos; os próprios arquivos estão na pasta attachments",
}
_SPEAKER = {
    "customer": "Você",
    "bot": "Assistente virtual",
    "agent": "Atendente",
    "system": "Sistema",
}


class ExportNotFoundError(Exception):
    """There is no finished export with this id, or its time is over."""


@dataclass(frozen=True, slots=True)
class ExportFile:
    """A finished export."""

    job_id: uuid.UUID
    contact_id: uuid.UUID
    content: bytes
    sha256: str
    made_at: datetime
    expires_at: datetime


async def build(
    stores: Sequence[PersonStore], db: Database, contact_id: uuid.UUID, *, now: datetime
) -> bytes:
    """The archive; the same data gives the same bytes.

    Raises:
        ContactNotFoundError: no contact has this id.
        StoreError: a store cannot be reached; half an export is none.
    """
    async with db.transaction() as session:
        person = await person_of(session, contact_id)
    parts: list[Part] = []
    for store in stores:
        parts += await store.export(person, cutoff=now)
    return archive(parts, now=now)


def archive(parts: Iterable[Part], *, now: datetime) -> bytes:
    """A ZIP of the parts with its README and a readable transcript."""
    files: dict[str, bytes] = {}
    for part in parts:
        if isinstance(part.content, bytes):
            files[_safe(part.name)] = part.content
        elif part.content:
            files[part.name] = _document(part.content)
            if part.name == "messages.json":
                files["conversas.txt"] = _transcript(part.content)
    files[README] = _readme(files, now=now)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        for name in sorted(files, key=lambda name: (name != README, name)):
            entry = zipfile.ZipInfo(name, date_time=now.timetuple()[:6])
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o600 << 16
            target.writestr(entry, files[name])
    return out.getvalue()


async def ask(
    db: Database,
    contact_id: uuid.UUID,
    *,
    requested_by: str,
    now: datetime,
    correlation_id: str,
) -> uuid.UUID:
    """Write an export job; its id. One that runs already is given back.

    Raises:
        ContactNotFoundError: no contact has this id.
    """
    async with db.transaction() as session:
        person = await person_of(session, contact_id)
        running = await privacy_jobs.running_job(session, contact_id, JobKind.EXPORT)
        if running is not None:
            return running.id
        job = await privacy_jobs.add_job(
            session,
            JobKind.EXPORT,
            person,
            requested_by=requested_by,
            now=now,
            correlation_id=correlation_id,
        )
        await note_export(
            session, "contact.export_requested", contact_id, actor=requested_by, now=now,
            correlation_id=correlation_id, job_id=job.id,
        )  # fmt: skip
        return job.id


async def run(
    db: Database, stores: Sequence[PersonStore], job_id: uuid.UUID, *, clock: Clock
) -> JobState | None:
    """Make an export that is due; its state afterwards, None when there was nothing to do."""
    job = await privacy_jobs.claim(db, job_id, now=clock.now())
    if job is None:
        return None
    try:
        content = await build(stores, db, job.person.contact_id, now=clock.now())
    except Exception as error:
        log.exception("privacy.export_failed", error_type=type(error).__name__)
        return await privacy_jobs.put_off(db, job.id, error=type(error).__name__, now=clock.now())
    now = clock.now()
    async with db.transaction() as session:
        row = await session.get_one(PrivacyJob, job.id, with_for_update=True)
        await session.execute(
            insert(PrivacyExport)
            .values(
                job_id=job.id,
                contact_id=job.person.contact_id,
                content=content,
                sha256=hashlib.sha256(content).hexdigest(),
                made_at=now,
                expires_at=now + KEPT,
            )
            .on_conflict_do_nothing(index_elements=["job_id"])
        )
        row.progress = {"bytes": len(content)}
        privacy_jobs.end(row, JobState.DONE, now=now)
        await note_export(
            session, "contact.exported", job.person.contact_id, actor=job.requested_by, now=now,
            correlation_id=job.correlation_id, job_id=job.id,
        )  # fmt: skip
    return JobState.DONE


async def fetch(
    session: AsyncSession, job_id: uuid.UUID, *, actor: str, now: datetime, correlation_id: str
) -> ExportFile:
    """A finished export; that it was read is written down in the same transaction.

    Raises:
        ExportNotFoundError: there is none, or it is older than `KEPT`.
    """
    row = await session.scalar(
        select(PrivacyExport).where(PrivacyExport.job_id == job_id, PrivacyExport.expires_at > now)
    )
    if row is None:
        message = f"no finished export with id {job_id}; it may be too old, ask for a new one"
        raise ExportNotFoundError(message)
    await note_export(
        session, "contact.export_read", row.contact_id, actor=actor, now=now,
        correlation_id=correlation_id, job_id=job_id,
    )  # fmt: skip
    return ExportFile(job_id, row.contact_id, row.content, row.sha256, row.made_at, row.expires_at)


async def note_export(
    session: AsyncSession,
    action: str,
    contact_id: uuid.UUID,
    *,
    actor: str,
    now: datetime,
    correlation_id: str,
    job_id: uuid.UUID | None = None,
) -> None:
    """Write into the audit log that somebody asked for, made or read an export."""
    await record(
        session,
        actor=actor,
        action=action,
        subject=f"contact:{contact_id}",
        data={} if job_id is None else {"job_id": str(job_id)},
        now=now,
        correlation_id=correlation_id,
    )


def _document(rows: list[dict[str, Any]]) -> bytes:
    return (json.dumps(rows, ensure_ascii=False, indent=2, default=str) + "\n").encode()


def _transcript(messages: Iterable[dict[str, Any]]) -> bytes:
    lines = []
    for message in messages:
        moment = str(message["sent_at"])[:16].replace("T", " ")
        speaker = _SPEAKER.get(str(message["author"]), "Sistema")
        if message["direction"] == "internal":
            speaker = f"{speaker} (anotação interna)"
        words = message["text"] or f"[{message['kind']}]"
        lines.append(f"[{moment} UTC] {speaker}: {words}")
    return ("\n".join(lines) + "\n").encode()


def _readme(files: Iterable[str], *, now: datetime) -> bytes:
    known = [name for name in _WHAT if name in files]
    lines = [
        "SEUS DADOS",
        "",
        f"Gerado em {now.strftime('%d/%m/%Y às %H:%M')} UTC, a seu pedido.",
        "Base: LGPD, Lei 13.709/2018, arts. 9º, 18 e 19.",
        "",
        "Este arquivo reúne o que guardamos sobre você no atendimento. Os documentos .json abrem",
        "em qualquer editor de texto; os horários estão em UTC (Brasília é UTC-3).",
        "",
        *(f"- {name}: {_WHAT[name]}" for name in known),
        "",
        "Os atendentes aparecem pela função, sem nome: os dados deles não são seus. Registros de",
        "segurança (quem acessou o quê) guardam apenas códigos e não fazem parte deste arquivo.",
        "",
        "Você pode pedir a correção ou a eliminação destes dados a qualquer momento.",
        "",
    ]
    return "\n".join(lines).encode()


def _safe(name: str) -> str:
    """A file name without ways out of the archive, whatever a sender called the file."""
    folder, _, base = name.rpartition("/")
    base = re.sub(r"[^\w.() -]", "_", base).strip(". ") or "file"
    return f"{folder}/{base[:120]}" if folder else base[:120]
