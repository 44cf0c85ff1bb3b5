"""The trained model and the note beside it that says what it is.

`models/ponte.tar.gz` is the model, `models/ponte.json` holds the hash of what it was trained from
and the hash of the model file. A model is loaded only when its own hash matches: a half-copied or
foreign file is refused before anything of it is unpacked. Standard library only; the training
script and the server use it.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_CHUNK_BYTES = 1 << 20


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
    """

    inputs_sha256: str
    model_sha256: str
    rasa: str
    seconds: float


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
    try:
        return ModelNote(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        message = f"{path} is missing: the model was not trained here. Run `make train`."
        raise ModelFileError(message) from None
    except (TypeError, ValueError):
        message = f"{path} is not a note of the training script. Run `make train`."
        raise ModelFileError(message) from None


def check_model(model: Path) -> ModelNote:
    """The note of a model file that is what the note says.

    Raises:
        ModelFileError: the file is missing or its hash differs.
    """
    if not model.name.endswith(".tar.gz"):
        message = f"{model}: expected a file that ends in .tar.gz"
        raise ModelFileError(message)
    if not model.is_file():
        message = f"{model} is missing. Run `make train`."
        raise ModelFileError(message)
    note = read_note(model)
    found = hash_file(model)
    if found != note.model_sha256:
        message = (
            f"{model} is not the model that was trained: its SHA-256 is {found[:12]}..., "
            f"{note_path(model).name} says {note.model_sha256[:12]}.... Run `make train`."
        )
        raise ModelFileError(message)
    return note


def hash_file(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
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
