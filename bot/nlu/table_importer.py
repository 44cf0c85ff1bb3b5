"""Training examples from a table instead of from files of `data/`, for `bot.nlu.evaluation`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Optional

from rasa.shared.core.domain import Domain
from rasa.shared.core.training_data.structures import StoryGraph
from rasa.shared.importers.importer import TrainingDataImporter
from rasa.shared.nlu.constants import INTENT, METADATA, METADATA_INTENT, TEXT
from rasa.shared.nlu.training_data.message import Message
from rasa.shared.nlu.training_data.training_data import TrainingData
from rasa.shared.utils.io import read_model_configuration


class TableImporter(TrainingDataImporter):
    """Reads `[[text, intent], ...]` from a JSON file.

    Texts and intents are taken as they are: nothing in them is markup of Rasa's own files.

    In a configuration:

        importers:
          - name: bot.nlu.table_importer.TableImporter
            table: /folder/train.json
            language: pt        # of all messages; may be left out
    """

    def __init__(
        self,
        config_file: Optional[str] = None,
        domain_path: Optional[str] = None,  # noqa: ARG002 - Rasa's signature
        training_data_paths: Any = None,  # noqa: ARG002
        table: Optional[str] = None,
        language: Optional[str] = None,
    ) -> None:
        """Remember where the table is.

        Raises:
            ValueError: no table is named.
        """
        if config_file is None or table is None:
            message = "TableImporter: expected a configuration file that names a table"
            raise ValueError(message)
        self._config_file = config_file
        self._table = Path(table)
        self._language = language

    def get_nlu_data(self, language: Optional[str] = "en") -> TrainingData:  # noqa: ARG002
        """One example for each row."""
        rows = json.loads(self._table.read_text(encoding="utf-8"))
        extra = {METADATA: {METADATA_INTENT: {"language": self._language}}}
        if self._language is None:
            extra = {}
        examples = [Message(data={TEXT: text, INTENT: intent, **extra}) for text, intent in rows]
        return TrainingData(training_examples=examples)

    def get_config(self) -> dict[str, Any]:
        """The configuration the table is named in."""
        config: dict[str, Any] = read_model_configuration(self._config_file)
        return config

    def get_config_file_for_auto_config(self) -> Optional[str]:
        """The same file."""
        return self._config_file

    def get_domain(self) -> Domain:
        """No dialogue."""
        return Domain.empty()

    def get_stories(self, exclusion_percentage: Optional[int] = None) -> StoryGraph:  # noqa: ARG002
        """No dialogue."""
        return StoryGraph([])

    def get_conversation_tests(self) -> StoryGraph:
        """No dialogue."""
        return StoryGraph([])
