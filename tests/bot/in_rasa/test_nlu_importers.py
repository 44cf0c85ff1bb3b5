"""Where examples come from, and the language they know. Runs in env `bot`."""

from __future__ import annotations

import json
import tempfile
import unittest
from pathlib import Path

from rasa.shared.importers.importer import TrainingDataImporter

from bot.nlu.languages import language_of_example, language_of_folder, plain_language
from bot.nlu.table_importer import TableImporter

HEAD = 'version: "3.1"\nnlu:\n'
BLOCK = "  - intent: {intent}\n{metadata}    examples: |\n      - {text}\n"
METADATA = "    metadata:\n      language: {}\n"
CONFIG = """recipe: default.v1
language: pt
importers:
  - name: bot.nlu.languages.LanguageFolderImporter
pipeline: []
"""


def block(intent: str, text: str, language: str = "") -> str:
    metadata = METADATA.format(language) if language else ""
    return HEAD + BLOCK.format(intent=intent, text=text, metadata=metadata)


class Folders(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        (self.root / "config.yml").write_text(CONFIG)

    def languages(self, files: dict[str, str]) -> dict[tuple[str, str], set[str | None]]:
        for name, content in files.items():
            path = self.root / "data" / "nlu" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
        importer = TrainingDataImporter.load_from_config(
            str(self.root / "config.yml"), training_data_paths=[str(self.root / "data")]
        )
        found: dict[tuple[str, str], set[str | None]] = {}
        for example in importer.get_nlu_data().intent_examples:
            key = (example.get("intent"), example.get("text"))
            found.setdefault(key, set()).add(language_of_example(example))
        return found

    def test_an_example_has_the_language_of_its_folder(self) -> None:
        found = self.languages(
            {"pt/a.yml": block("thank", "valeu"), "en/a.yml": block("thank", "ta")}
        )
        assert found == {("thank", "valeu"): {"pt"}, ("thank", "ta"): {"en"}}

    def test_what_a_block_says_wins(self) -> None:
        found = self.languages({"pt/a.yml": block("thank", "gracias", "es")})
        assert found == {("thank", "gracias"): {"es"}}

    def test_other_folders_say_nothing(self) -> None:
        found = self.languages({"shared/a.yml": block("thank", "ok"), "b.yml": block("deny", "no")})
        assert found == {("thank", "ok"): {None}, ("deny", "no"): {None}}

    def test_one_sentence_of_two_languages_is_two_examples(self) -> None:
        found = self.languages(
            {"pt/a.yml": block("affirm", "ok"), "en/a.yml": block("affirm", "ok")}
        )
        assert found == {("affirm", "ok"): {"pt", "en"}}

    def test_patterns_of_every_file_are_kept(self) -> None:
        pattern = HEAD + "  - regex: order_number\n    examples: |\n      - \\d{5}\n"
        self.languages({"pt/a.yml": block("affirm", "ok"), "entities.yml": pattern})
        importer = TrainingDataImporter.load_from_config(
            str(self.root / "config.yml"), training_data_paths=[str(self.root / "data")]
        )
        assert importer.get_nlu_data().regex_features == [
            {"name": "order_number", "pattern": "\\d{5}"}
        ]


class Tags(unittest.TestCase):
    def test_a_tag_is_its_first_part_and_nothing_else_is_a_tag(self) -> None:
        cases = {"pt": "pt", "pt-BR": "pt", "pt_BR": "pt", "EN": "en", "": None, "português": None}
        for given, language in cases.items():
            assert plain_language(given) == language, given
        assert plain_language(None) is None
        assert plain_language(["pt"]) is None

    def test_a_folder_of_two_letters_is_a_language(self) -> None:
        assert language_of_folder(Path("data/nlu/pt/orders.yml")) == "pt"
        assert language_of_folder(Path("data/nlu/orders.yml")) is None


class Tables(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.table = Path(folder.name) / "train.json"

    def test_texts_and_intents_are_no_markup(self) -> None:
        rows = [["see [this](link)\n- and that", "card/arrival"], ["/restart", "say it: now"]]
        self.table.write_text(json.dumps(rows))
        data = TableImporter("config.yml", table=str(self.table), language="en").get_nlu_data()
        found = [[one.get("text"), one.get("intent")] for one in data.intent_examples]
        assert found == rows
        assert {language_of_example(one) for one in data.intent_examples} == {"en"}

    def test_without_a_language_none_is_claimed(self) -> None:
        self.table.write_text(json.dumps([["oi", "greet"]]))
        data = TableImporter("config.yml", table=str(self.table)).get_nlu_data()
        assert language_of_example(data.intent_examples[0]) is None

    def test_a_table_must_be_named(self) -> None:
        with self.assertRaisesRegex(ValueError, "names a table"):  # noqa: PT027 - no pytest
            TableImporter("config.yml")


if __name__ == "__main__":
    unittest.main()
