"""The trained model and the note beside it that says what it is.

`models/ponte.tar.gz` is the model, `models/ponte.json` holds the hash of what it was trained from,
the hash of the model file, and a signature over both. Loading a model runs code that its file
names, so one is loaded only when our own training made it: the signature needs a key that lies
elsewhere (`.ponte/model.key`, or PONTE_MODEL_KEY), and a file that was replaced, half copied or
trained by hand is refused before anything of it is unpacked. Standard library only; the training
script and the server use it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import stat
import tarfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Optional

_CHUNK_BYTES = 1 << 20

KEY_VARIABLE = "PONTE_MODEL_KEY"
KEY_FILE = Path(__file__).resolve().parent.parent / ".ponte" / "model.key"
_LEAST_KEY_CHARACTERS = 32


class ModelFileError(Exception):
    """The model cannot be used; the text says why and what to run."""


@dataclass(frozen=True)
class ModelNote:
    """What `models/ponte.json` says.

    Attributes:
        inputs_sha256: hash over the training inputs (see `hash_inputs`).
        model_sha256: hash of the model file.
        rasa: version that trained it.
        seconds: how long the training took.
        signature: HMAC-SHA256 over the others by the training's key, hexadecimal.
    """

    inputs_sha256: str
    model_sha256: str
    rasa: str
    seconds: float
    signature: str = ""

    def signed(self, key: bytes) -> ModelNote:
        """The note with its signature."""
        return replace(self, signature=self._mac(key))

    def is_signed_by(self, key: bytes) -> bool:
        """Whether whoever wrote the note has the key."""
        return hmac.compare_digest(self._mac(key).encode(), str(self.signature).encode())

    def _mac(self, key: bytes) -> str:
        said = [self.inputs_sha256, self.model_sha256, self.rasa, self.seconds]
        return hmac.new(key, json.dumps(said).encode(), "sha256").hexdigest()


def signing_key(
    *, make: bool = False, given: Optional[str] = None, path: Optional[Path] = None
) -> bytes:
    """The key that signs models.

    Args:
        make: Write a new one, readable by its owner only, when there is none (training does).
        given: The value of PONTE_MODEL_KEY; it wins over the file.
        path: The file, `KEY_FILE` by default.

    Raises:
        ModelFileError: there is none, or it is too short to be one.
    """
    file = path or KEY_FILE
    text = (given or "").strip()
    place = KEY_VARIABLE if text else str(file)
    if not text:
        if make:
            _make_key(file)
        try:
            text = file.read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            message = (
                f"the key that signs models is missing: {file}. Run `make train`, or set "
                f"{KEY_VARIABLE} to the key of the machine that trains."
            )
            raise ModelFileError(message) from None
    if len(text) < _LEAST_KEY_CHARACTERS:
        message = f"{place}: expected at least {_LEAST_KEY_CHARACTERS} characters"
        raise ModelFileError(message)
    return text.encode()


def _make_key(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return  # another training was faster
    with os.fdopen(descriptor, "w", encoding="ascii") as opened:
        opened.write(secrets.token_urlsafe(32) + "\n")


def note_path(model: Path) -> Path:
    """The note's place: `ponte.json` beside `ponte.tar.gz`."""
    return model.with_name(model.name[: -len(".tar.gz")] + ".json")


def write_note(model: Path, note: ModelNote) -> None:
    """Write the note in one step, so that no reader sees half of it."""
    target = note_path(model)
    temporary = target.with_suffix(".json.part")
    temporary.write_text(json.dumps(asdict(note), indent=2) + "\n", encoding="utf-8")
    temporary.replace(target)


def read_note(model: Path) -> ModelNote:
    """The note beside a model.

    Raises:
        ModelFileError: there is none, or it is not one.
    """
    path = note_path(model)
    _check_place(path)
    try:
        return ModelNote(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        message = f"{path} is missing: the model was not trained here. Run `make train`."
        raise ModelFileError(message) from None
    except (TypeError, ValueError):
        message = f"{path} is not a note of the training script. Run `make train`."
        raise ModelFileError(message) from None


def check_model(model: Path, *, key: bytes) -> ModelNote:
    """The note of a model file that our training made and nobody changed since.

    Args:
        model: `.../ponte.tar.gz`.
        key: `signing_key()`.

    Raises:
        ModelFileError: the file or its note is missing, linked, open to everybody, changed, or not
            signed with this key.
    """
    return _checked(model, key=key, copy_to=None)


def verified_copy(model: Path, folder: Path, *, key: bytes) -> Path:
    """A copy of a model in `folder`, checked while it is written.

    So what is loaded is what was checked, even when somebody replaces the file meanwhile.

    Raises:
        ModelFileError: as `check_model`.
    """
    target = folder / model.name
    with target.open("xb") as copy:
        _checked(model, key=key, copy_to=copy)
    return target


def _checked(model: Path, *, key: bytes, copy_to: Optional[BinaryIO]) -> ModelNote:
    if not model.name.endswith(".tar.gz"):
        message = f"{model}: expected a file that ends in .tar.gz"
        raise ModelFileError(message)
    _check_place(model)
    if not model.is_file():
        message = f"{model} is missing. Run `make train`."
        raise ModelFileError(message)
    note = read_note(model)
    if not note.is_signed_by(key):
        message = (
            f"{note_path(model)} is not signed by the training of this installation: the model "
            f"comes from elsewhere, or its note was changed. Run `make train`."
        )
        raise ModelFileError(message)
    found = hash_file(model, copy_to=copy_to)
    if found != note.model_sha256:
        message = (
            f"{model} is not the model that was trained: its SHA-256 is {found[:12]}..., "
            f"{note_path(model).name} says {note.model_sha256[:12]}.... Run `make train`."
        )
        raise ModelFileError(message)
    return note


def _check_place(path: Path) -> None:
    """A link could be pointed elsewhere after the check; a file open to everybody is nobody's."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return  # the caller says what is missing
    if stat.S_ISLNK(mode):
        message = f"{path} is a symbolic link; expected the file itself. Run `make train`."
        raise ModelFileError(message)
    if mode & stat.S_IWOTH:
        message = f"{path} may be written by everybody; run `chmod o-w {path}` or `make train`."
        raise ModelFileError(message)


def hash_file(path: Path, *, copy_to: Optional[BinaryIO] = None) -> str:
    """SHA-256 of a file, hexadecimal; the bytes that were hashed go to `copy_to` too."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            if copy_to is not None:
                copy_to.write(chunk)
    return digest.hexdigest()


def hash_inputs(root: Path, *, rasa_version: str) -> str:
    """SHA-256 over everything a model is made of: paths, contents and the Rasa release.

    Args:
        root: the repository: data/, domain.yml (or domain/), config.yml, bot/**/*.py.
        rasa_version: a new release makes other models of the same data.
    """
    digest = hashlib.sha256(f"rasa {rasa_version}\n".encode())
    for path in training_inputs(root):
        name = path.relative_to(root).as_posix()
        digest.update(f"{name} {hash_file(path)}\n".encode())
    return digest.hexdigest()


def training_inputs(root: Path) -> list[Path]:
    """The files a model is made of, in a fixed order."""
    found: list[Path] = [root / "config.yml", root / "domain.yml"]
    for folder, pattern in (("data", "**/*"), ("domain", "**/*"), ("bot", "**/*.py")):
        found.extend((root / folder).glob(pattern))
    return sorted(path for path in set(found) if path.is_file() and _counts(path, root))


def _counts(path: Path, root: Path) -> bool:
    """Editors' and interpreters' left-overs are no input."""
    parts = path.relative_to(root).parts
    return not any(part.startswith(".") or part == "__pycache__" for part in parts)


def components(model: Path) -> list[str]:
    """Dotted names of the classes Rasa imports to load a model.

    Those of the training graph are among them: Rasa reads it whenever it loads a model.

    Raises:
        ModelFileError: not a model of Rasa 3.
    """
    try:
        metadata = _metadata(model)
        graphs = (metadata["predict_schema"], metadata["train_schema"])
        return sorted({str(node["uses"]) for graph in graphs for node in graph["nodes"].values()})
    except (KeyError, TypeError, AttributeError, ValueError, OSError, tarfile.TarError):
        message = f"{model} is not a model of Rasa 3. Run `make train`."
        raise ModelFileError(message) from None


def _metadata(model: Path) -> dict[str, Any]:
    with tarfile.open(model, "r:gz") as archive:
        for member in archive:
            if Path(member.name).name == "metadata.json" and "/" not in member.name.strip("./"):
                file = archive.extractfile(member)
                if file is not None:
                    parsed: dict[str, Any] = json.load(file)
                    return parsed
    message = "no metadata.json"
    raise ValueError(message)
