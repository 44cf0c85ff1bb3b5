from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "setup_environments.py"


@pytest.fixture
def setup() -> ModuleType:
    spec = importlib.util.spec_from_file_location("setup_environments", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_an_interpreter_that_exists_and_does_not_start_is_passed_over(
    setup: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shim = program(tmp_path / "shims" / "python3.10", "echo 'not selected' >&2; exit 127")
    real = program(tmp_path / "bin" / "python3.10", "exit 0")
    monkeypatch.setenv("PATH", f"{shim.parent}:{real.parent}:/bin:/usr/bin")

    assert setup.find_python_3_10() == str(real)


def test_the_newest_python_3_10_under_pyenv_is_found_with_an_empty_home(
    setup: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "pyenv"
    program(root / "bin" / "pyenv", f"echo {tmp_path}/home/.pyenv")
    for patch in ("3.10.4", "3.10.13"):
        program(root / "versions" / patch / "bin" / "python3.10", "exit 0")
    monkeypatch.setenv("PATH", f"{root}/bin:/bin:/usr/bin")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("PYENV_ROOT", raising=False)

    assert setup.find_python_3_10() == str(root / "versions" / "3.10.13" / "bin" / "python3.10")


def test_without_any_python_3_10_the_message_says_what_to_install(
    setup: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whatever uv is called with, it cannot download here.
    program(tmp_path / "uv", '[ "$1" = --version ] && exit 0; exit 2')
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PYENV_ROOT", raising=False)
    monkeypatch.setattr(setup, "TOOLS", tmp_path / "tools")

    with pytest.raises(setup.SetupError, match=r"pyenv install 3\.10"):
        setup.find_python_3_10()


def test_a_finished_environment_is_left_alone(
    setup: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "requirements").mkdir()
    for group in ("server", "test"):
        (tmp_path / "requirements" / f"{group}.txt").write_text(group)
    program(tmp_path / ".venv" / "bin" / "python", "exit 0")
    monkeypatch.setattr(setup, "ROOT", tmp_path)
    digest = setup.hashlib.sha256(b"test").hexdigest()
    (tmp_path / ".venv" / ".ponte-stamp").write_text(f"test {digest}\n")
    monkeypatch.setenv("PATH", "")

    setup.make_environment("test")
    setup.make_environment("server")
