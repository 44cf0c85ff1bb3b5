"""The words of notices in Portuguese, English and Spanish. A test keeps the catalogues alike.

Keys: `subject.`, `lead.` and `do.` (what to do next) of a kind of notice, which is a policy event,
or an event with its topic or threshold; the other keys are words used within.
"""

from __future__ import annotations

from collections.abc import Mapping

from notifications.domain.words.en import EN
from notifications.domain.words.es import ES
from notifications.domain.words.pt import PT

__all__ = ["CATALOGUES", "EN", "ES", "PT", "Catalogue"]

Catalogue = Mapping[str, str]

CATALOGUES: Mapping[str, Catalogue] = {"pt": PT, "en": EN, "es": ES}
