"""Run the tests that need Rasa's own modules, in env `bot` (pytest is not installed there)."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.bot.conftest import PYTHON, ROOT

FILES = sorted((Path(__file__).parent / "in_rasa").glob("test_*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_in_rasa(file: Path) -> None:
    done = subprocess.run(
        [PYTHON, "-W", "ignore", "-m", "unittest", str(file.relative_to(ROOT))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
