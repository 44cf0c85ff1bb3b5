"""The detector's former name, for the web process until it builds `Detector` itself."""

from __future__ import annotations

from pathlib import Path

from ticketing.gateways.language_detector import Detector

_DATA = Path(__file__).resolve().parents[2] / "data" / "nlu"


class LinguaDetector(Detector):
    """`Detector` with the repository's own training files."""

    def __init__(self) -> None:
        super().__init__(data_dir=_DATA)
