"""A model is used only when it is the one that was trained."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.model_file import (
    ModelFileError,
    ModelNote,
    check_model,
    components,
    hash_file,
    hash_inputs,
    note_path,
    training_inputs,
    write_note,
)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "ponte.tar.gz"
    path.write_bytes(b"a model")
    write_note(path, ModelNote("inputs", hash_file(path), "3.6.21", 1.0))
    return path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("data/nlu.yml", "domain.yml", "config.yml", "bot/policies/handoff.py"):
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "project"


def test_the_model_that_was_trained_is_accepted(model: Path) -> None:
    assert check_model(model).rasa == "3.6.21"


def test_a_changed_model_is_refused(model: Path) -> None:
    model.write_bytes(b"another model")
    with pytest.raises(ModelFileError, match="not the model that was trained"):
        check_model(model)


def test_a_missing_model_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="make train"):
        check_model(tmp_path / "ponte.tar.gz")


@pytest.mark.parametrize("note", ["", "[]", "{}", '{"model_sha256": "x", "extra": 1}'])
def test_a_broken_note_is_refused(model: Path, note: str) -> None:
    note_path(model).write_text(note)
    with pytest.raises(ModelFileError, match="not a note"):
        check_model(model)


def test_a_file_that_is_no_archive_is_no_model(model: Path) -> None:
    with pytest.raises(ModelFileError, match="not a model of Rasa 3"):
        components(model)


@pytest.mark.parametrize(
    "name", ["data/nlu.yml", "domain.yml", "config.yml", "bot/policies/handoff.py", "data/new.yml"]
)
def test_any_changed_input_changes_the_hash(project: Path, name: str) -> None:
    before = hash_inputs(project, rasa_version="3.6.21")
    (project / name).write_text("changed")
    assert hash_inputs(project, rasa_version="3.6.21") != before


def test_another_rasa_release_changes_the_hash(project: Path) -> None:
    assert hash_inputs(project, rasa_version="3.6.20") != hash_inputs(
        project, rasa_version="3.6.21"
    )


def test_left_overs_are_no_input(project: Path) -> None:
    before = training_inputs(project)
    for name in ("bot/__pycache__/x.py", "data/.nlu.yml.swp", "bot/notes.txt"):
        path = project / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("left over")
    assert training_inputs(project) == before


def test_a_moved_file_changes_the_hash(project: Path) -> None:
    before = hash_inputs(project, rasa_version="3.6.21")
    (project / "data/nlu.yml").rename(project / "data/other.yml")
    assert hash_inputs(project, rasa_version="3.6.21") != before
