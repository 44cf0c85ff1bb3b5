"""Routes about contacts, exports, erasures and the audit log."""

from __future__ import annotations

from ticketing.api import privacy_handlers as handlers
from ticketing.api.calls import Route
from ticketing.domain.permissions import Permission
from ticketing.http import privacy_schemas as schemas
from ticketing.http.schemas import NoBody
from ticketing.services.audit import AuditPage
from ticketing.services.contact_records import ContactPage, ContactView

_READ, _MANAGE = Permission.CONTACTS_READ, Permission.CONTACTS_MANAGE
_ONE = ("contact_not_found",)


PRIVACY_ROUTES: tuple[Route, ...] = (
    Route(
        "GET", "/contacts", "list_contacts", "Contacts",
        "Contacts by name, number or address; the newest first",
        _READ, handlers.list_contacts, ContactPage, query=schemas.ContactQuery,
    ),
    Route(
        "GET", "/contacts/{contact_id}", "get_contact", "Contacts", "A contact",
        _READ, handlers.get_contact, ContactView, codes=_ONE,
    ),
    Route(
        "POST", "/contacts/{contact_id}", "change_contact", "Contacts",
        "Correct a contact; what is left out stays",
        _MANAGE, handlers.change_contact, ContactView, body=schemas.ContactBody,
        codes=(*_ONE, "contact_erased"), repeatable=True,
        example={"name": "Maria Souza", "vip": True},
    ),
    Route(
        "POST", "/contacts/{contact_id}/export", "export_contact", "Contacts",
        "Ask for everything that is held about a person; the job makes a ZIP within seconds",
        _MANAGE, handlers.export_contact, handlers.PrivacyJobView, body=NoBody, status=202,
        codes=_ONE, repeatable=True,
    ),
    Route(
        "GET", "/contacts/{contact_id}/erasure", "preview_erasure", "Contacts",
        "What an erasure would change, and what is in the way; nothing is changed",
        _MANAGE, handlers.preview_erasure, handlers.ErasurePreview, codes=_ONE,
    ),
    Route(
        "POST", "/contacts/{contact_id}/erase", "erase_contact", "Contacts",
        "Forget a person in every store; it cannot be undone",
        _MANAGE, handlers.erase_contact, handlers.PrivacyJobView, body=schemas.EraseBody,
        status=202, codes=(*_ONE, "erasure_refused", "erasure_unavailable"), repeatable=True,
        example={"force": False},
    ),
    Route(
        "POST", "/contacts/{contact_id}/hold", "hold_contact", "Contacts",
        "Put a legal hold on a person's data: nothing of it is erased",
        _MANAGE, handlers.hold_contact, handlers.HoldView, body=schemas.HoldBody, codes=_ONE,
        repeatable=True, example={"reason": "Processo 0001234-56.2026.8.26.0100"},
    ),
    Route(
        "POST", "/contacts/{contact_id}/release", "release_contact", "Contacts",
        "Take the legal hold off",
        _MANAGE, handlers.release_contact, handlers.HoldView, body=NoBody, codes=_ONE,
        repeatable=True,
    ),
    Route(
        "GET", "/privacy-jobs/{job_id}", "get_privacy_job", "Contacts",
        "How far an export or an erasure is",
        _MANAGE, handlers.get_privacy_job, handlers.PrivacyJobView,
        codes=("privacy_job_not_found",),
    ),
    Route(
        "GET", "/privacy-jobs/{job_id}/file", "download_export", "Contacts",
        "The ZIP of a finished export, for seven days; every read is in the audit log",
        _MANAGE, handlers.download_export, handlers.PrivacyJobView, file_answer=True,
        codes=("export_not_found",),
    ),
    Route(
        "GET", "/audit", "list_audit", "Audit", "Who did what; the newest first",
        Permission.AUDIT_READ, handlers.list_audit, AuditPage, query=schemas.AuditQuery,
    ),
)  # fmt: skip
