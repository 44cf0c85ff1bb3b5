"""Train `models/ponte.tar.gz` when something it is made of has changed.

Runs in env `bot`:

    .venv-bot/bin/python scripts/train_model.py            train if needed
    .venv-bot/bin/python scripts/train_model.py --force    train in any case
    .venv-bot/bin/python scripts/train_model.py --check    is the model there and current?

The model is trained in a temporary folder and put in place in one step; then its note
(`models/ponte.json`) is written, signed with the key in `.ponte/model.key` or PONTE_MODEL_KEY. If
the process dies between the two, the hashes differ and the next run trains again. Two runs at once
wait for each other.

Exit code 0 done or nothing to do, 1 the model is not usable or the training failed.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import logging
import os
import shutil
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bot.model_file import (  # noqa: E402 - after the path
    KEY_VARIABLE,
    ModelFileError,
    ModelNote,
    check_model,
    hash_file,
    hash_inputs,
    signing_key,
    write_note,
)

# A sign of life during a training that prints nothing.
HEARTBEAT_SECONDS = 15

LIBRARY_SETTINGS = {
    "RASA_TELEMETRY_ENABLED": "false",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "-1",
    "SQLALCHEMY_SILENCE_UBER_WARNING": "1",
    # Rasa's training cache decides by its own fingerprints, which do not see the modules a
    # component imports. Our hash does; when it differs, everything is trained.
    "RASA_MAX_CACHE_SIZE": "0",
}


def say(text: str) -> None:
    """Print a line of progress."""
    print(f"[train] {text}", flush=True)


def main() -> int:
    """Check or train; returns the exit code."""
    options = parse()
    root, model = options.root.resolve(), options.model or options.root / "models/ponte.tar.gz"
    inputs = hash_inputs(root, rasa_version=version("rasa"))
    if options.check:
        return check(model, inputs)
    model.parent.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(model):
        if not options.force and is_current(model, inputs):
            say(f"{model.name} is current; nothing to do")
            return 0
        return train(root, model, inputs)


def parse() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="verify only; train nothing")
    parser.add_argument("--force", action="store_true", help="train even if nothing has changed")
    parser.add_argument(
        "--root", type=Path, default=ROOT, help="folder with data/, domain.yml, config.yml"
    )
    parser.add_argument("--model", type=Path, help="the model file (models/ponte.tar.gz)")
    return parser.parse_args()


def check(model: Path, inputs: str) -> int:
    """Say whether the model may be started; returns the exit code."""
    try:
        note = check_model(model, key=key_of(make=False))
    except ModelFileError as error:
        say(f"error: {error}")
        return 1
    if note.inputs_sha256 != inputs:
        say(f"error: {model.name} was trained from other files; run `make train`")
        return 1
    say(f"{model.name} is current (sha256 {note.model_sha256[:12]}..., Rasa {note.rasa})")
    return 0


def key_of(*, make: bool) -> bytes:
    """The key that signs models; see `bot.model_file.signing_key`."""
    return signing_key(make=make, given=os.environ.get(KEY_VARIABLE))


def is_current(model: Path, inputs: str) -> bool:
    """Whether the model is there, unchanged, and made of the present inputs."""
    try:
        return check_model(model, key=key_of(make=True)).inputs_sha256 == inputs
    except ModelFileError:
        return False


@contextlib.contextmanager
def one_at_a_time(model: Path) -> Iterator[None]:
    """Hold a lock file; the operating system frees it if this process dies."""
    with (model.parent / ".train.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another training is running; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def train(root: Path, model: Path, inputs: str) -> int:
    """Train, put the model in place, write its note; returns the exit code."""
    began = time.perf_counter()
    try:
        key = key_of(make=True)
    except ModelFileError as error:
        say(f"error: {error}")
        return 1
    say(f"training {model.name} from data/, domain.yml, config.yml")
    with tempfile.TemporaryDirectory(prefix="ponte-train-") as folder:
        os.environ.update({**LIBRARY_SETTINGS, "RASA_CACHE_DIRECTORY": f"{folder}/cache"})
        with heartbeat(began):
            trained = run_rasa(root, Path(folder))
        if trained is None:
            say(f"error: the training failed after {time.perf_counter() - began:.0f} s")
            return 1
        seconds = round(time.perf_counter() - began, 1)
        put_in_place(trained, model)
    note = ModelNote(
        inputs_sha256=inputs,
        model_sha256=hash_file(model),
        rasa=version("rasa"),
        seconds=seconds,
    )
    write_note(model, note.signed(key))
    say(f"{model.name} is ready after {seconds:.0f} s")
    return 0


def run_rasa(root: Path, folder: Path) -> Path | None:
    """The trained file, or None when Rasa reports a failure (its messages are printed)."""
    # The components of config.yml are found by their dotted names from the project's root.
    os.chdir(root)
    from rasa.model_training import train as rasa_train  # noqa: PLC0415 - takes seconds
    from rasa.shared.exceptions import RasaException  # noqa: PLC0415
    from rasa.utils.common import configure_logging_and_warnings  # noqa: PLC0415
    from rasa.utils.log_utils import configure_structlog  # noqa: PLC0415

    # Without this structlog prints every debug line, the training texts among them.
    configure_structlog(logging.INFO)
    configure_logging_and_warnings(logging.INFO)
    domain = root / "domain.yml"
    try:
        result = rasa_train(
            domain=str(domain if domain.exists() else root / "domain"),
            config=str(root / "config.yml"),
            training_files=[str(root / "data")],
            output=str(folder),
            force_training=True,
            fixed_model_name="ponte",
        )
    except RasaException as error:
        say(f"error: {error}")
        return None
    except Exception:  # noqa: BLE001 - Rasa answers a malformed file with any exception
        traceback.print_exc()
        say("error: Rasa could not read the files; the last line above says where it stopped")
        return None
    if result.code != 0 or result.model is None:
        return None
    return Path(result.model)


def put_in_place(trained: Path, model: Path) -> None:
    """Copy beside the old model, then replace it in one step."""
    part = model.with_name(model.name + ".part")
    shutil.copyfile(trained, part)
    part.replace(model)


@contextlib.contextmanager
def heartbeat(began: float) -> Iterator[None]:
    """Say every few seconds that the training goes on."""
    done = threading.Event()

    def beat() -> None:
        while not done.wait(HEARTBEAT_SECONDS):
            say(f"still training, {time.perf_counter() - began:.0f} s")

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


if __name__ == "__main__":
    sys.exit(main())
