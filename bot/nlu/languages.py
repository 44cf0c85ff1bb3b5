"""Which language an example of the training data is in.

The folder says it (`data/nlu/pt/orders.yml`), so nobody has to write it again above every block.
Rasa forgets which file an example came from; this importer writes it down while reading. An
example's or a block's own `metadata: {language: es}` wins.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

from rasa.shared.importers import utils
from rasa.shared.importers.rasa import RasaFileImporter
from rasa.shared.nlu.constants import METADATA, METADATA_EXAMPLE, METADATA_INTENT
from rasa.shared.nlu.training_data.message import Message
from rasa.shared.nlu.training_data.training_data import TrainingData

_TAG = re.compile(r"([a-z]{2,3})(?:[-_][a-z0-9]+)*", re.IGNORECASE)
_FOLDER = re.compile(r"[a-z]{2}")


def plain_language(value: Any) -> Optional[str]:
    """`pt` of `pt-BR`; None for anything that is no language tag."""
    match = _TAG.fullmatch(value) if isinstance(value, str) else None
    return match.group(1).lower() if match else None


def language_of_folder(file: Path) -> Optional[str]:
    """The language a file's folder is named for; None when it is named otherwise."""
    folder = file.parent.name
    return folder if _FOLDER.fullmatch(folder) else None


def language_of_example(example: Message) -> Optional[str]:
    """The language an example says it is in."""
    metadata = example.get(METADATA)
    if not isinstance(metadata, Mapping):
        return None
    for part in (metadata.get(METADATA_EXAMPLE), metadata.get(METADATA_INTENT)):
        if isinstance(part, Mapping) and "language" in part:
            return plain_language(part["language"])
    return None


class LanguageFolderImporter(RasaFileImporter):
    """Rasa's reader of files; examples also know their language.

    In `config.yml`:

        importers:
          - name: bot.nlu.languages.LanguageFolderImporter
    """

    def get_nlu_data(self, language: Optional[str] = "en") -> TrainingData:
        """The examples of all files, each with the language of its folder."""
        parts = []
        for file in self._nlu_files:
            part = utils.training_data_from_paths([file], language)
            folder = language_of_folder(Path(file))
            if folder is not None:
                _mark(part, folder)
            parts.append(part)
        return TrainingData().merge(*parts)


def _mark(part: TrainingData, language: str) -> None:
    for example in part.training_examples:
        if language_of_example(example) is None:
            metadata = dict(example.get(METADATA) or {})
            block = metadata.get(METADATA_INTENT)
            own = dict(block) if isinstance(block, Mapping) else {}
            metadata[METADATA_INTENT] = {**own, "language": language}
            example.set(METADATA, metadata)
