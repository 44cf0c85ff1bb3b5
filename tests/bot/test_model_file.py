"""A model is used only when it is the one that was trained."""

from __future__ import annotations

import json
import os
import stat
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
    read_note,
    signing_key,
    training_inputs,
    verified_copy,
    write_note,
)

KEY = b"k" * 32


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "ponte.tar.gz"
    path.write_bytes(b"a model")
    write_note(path, ModelNote("inputs", hash_file(path), "3.6.21", 1.0).signed(KEY))
    return path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("data/nlu.yml", "domain.yml", "config.yml", "bot/policies/handoff.py"):
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "project"


def test_the_model_that_was_trained_is_accepted(model: Path) -> None:
    assert check_model(model, key=KEY).rasa == "3.6.21"


def test_a_changed_model_is_refused(model: Path) -> None:
    model.write_bytes(b"another model")
    with pytest.raises(ModelFileError, match="not the model that was trained"):
        check_model(model, key=KEY)


def test_a_missing_model_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="make train"):
        check_model(tmp_path / "ponte.tar.gz", key=KEY)


@pytest.mark.parametrize("note", ["", "[]", "{}", '{"model_sha256": "x", "extra": 1}'])
def test_a_broken_note_is_refused(model: Path, note: str) -> None:
    note_path(model).write_text(note)
    with pytest.raises(ModelFileError, match="not a note"):
        check_model(model, key=KEY)


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


def resigned(model: Path, **changes: object) -> None:
    note = json.loads(note_path(model).read_text())
    note_path(model).write_text(json.dumps(note | changes))


def test_a_model_and_a_note_from_elsewhere_are_refused(model: Path) -> None:
    write_note(model, ModelNote("inputs", hash_file(model), "3.6.21", 1.0).signed(b"e" * 32))
    with pytest.raises(ModelFileError, match="not signed by the training of this installation"):
        check_model(model, key=KEY)


@pytest.mark.parametrize(
    "change",
    [{"signature": ""}, {"signature": "é"}, {"rasa": "9"}, {"inputs_sha256": "x"}, {"seconds": 2}],
)
def test_a_note_that_was_changed_is_refused(model: Path, change: dict[str, object]) -> None:
    resigned(model, **change)
    with pytest.raises(ModelFileError, match="not signed"):
        check_model(model, key=KEY)


def test_a_replaced_model_with_a_note_that_fits_it_is_refused(model: Path) -> None:
    model.write_bytes(b"evil")
    resigned(model, model_sha256=hash_file(model))
    with pytest.raises(ModelFileError, match="not signed"):
        check_model(model, key=KEY)


def test_a_model_that_was_cut_short_is_refused(model: Path) -> None:
    model.write_bytes(b"a mod")
    with pytest.raises(ModelFileError, match="not the model that was trained"):
        check_model(model, key=KEY)


def test_a_model_trained_by_hand_after_the_note_is_refused(model: Path) -> None:
    model.write_bytes(b"rasa train wrote this")
    os.utime(model, (2_000_000_000, 2_000_000_000))
    with pytest.raises(ModelFileError, match="not the model that was trained"):
        check_model(model, key=KEY)


@pytest.mark.parametrize("linked", ["model", "note"])
def test_a_link_is_refused(model: Path, linked: str) -> None:
    path = model if linked == "model" else note_path(model)
    path.rename(path.with_suffix(".elsewhere"))
    path.symlink_to(path.with_suffix(".elsewhere"))
    with pytest.raises(ModelFileError, match="symbolic link"):
        check_model(model, key=KEY)


def test_a_model_that_everybody_may_write_is_refused(model: Path) -> None:
    model.chmod(0o666)
    with pytest.raises(ModelFileError, match="chmod o-w"):
        check_model(model, key=KEY)


def test_what_is_loaded_is_what_was_checked(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "private"
    folder.mkdir()
    copy = verified_copy(model, folder, key=KEY)
    model.write_bytes(b"replaced after the check")
    assert copy.read_bytes() == b"a model"
    assert copy.name == model.name


def test_a_key_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "state" / "model.key"
    with pytest.raises(ModelFileError, match="make train"):
        signing_key(path=path)
    key = signing_key(make=True, path=path)
    assert signing_key(make=True, path=path) == signing_key(path=path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_key_that_is_given_wins_and_a_short_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.key"
    path.write_text("f" * 40)
    assert signing_key(given="g" * 40, path=path) == b"g" * 40
    with pytest.raises(ModelFileError, match="at least 32 characters"):
        signing_key(given="short", path=path)


def test_the_signature_survives_being_written(model: Path) -> None:
    assert read_note(model).is_signed_by(KEY)
    assert not read_note(model).is_signed_by(b"x" * 32)
