"""Measure language recognition on held-out messages and print the tables of docs/language.md.

    .venv/bin/python scripts/measure_language.py            the tables
    .venv/bin/python scripts/measure_language.py --errors   and every message that went wrong

Exit code 0 when the targets hold, 1 when one does not.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from ruamel.yaml import YAML  # noqa: E402 - after the path

from ticketing.domain.language import LanguageState, update  # noqa: E402 - after the path
from ticketing.gateways.language_detector import Detector  # noqa: E402 - after the path

SAMPLES = ROOT / "tests/ticketing/gateways/language_samples.yml"
ADVERSARIAL = ROOT / "tests/ticketing/gateways/language_adversarial.yml"
HELD_OUT = ("nlu_validation.yml", "nlu_test.yml")
BANDS = ((1, 1, "1"), (2, 2, "2"), (3, 3, "3"), (4, 6, "4-6"), (7, 999, "7+"))
# What came before the message in question, for the figures "after 3 messages".
BEFORE: dict[str, tuple[str, ...]] = {
    "pt": ("oi", "cadê meu pedido", "não chegou ainda"),
    "en": ("hi", "where is my order", "it has not arrived yet"),
    "es": ("hola", "dónde está mi pedido", "todavía no llegó"),
}

# A greeting in another language: Brazilians say hello too, and foreigners learn "oi" first.
WRONG_START: dict[str, tuple[str, ...]] = {
    "pt": ("hello",),
    "en": ("oi", "bom dia"),
    "es": ("oi", "bom dia"),
}

# Least share of each group of samples.
TARGETS = {"single": 0.95, "shared": 1.0, "foreign": 0.9, "tricky": 1.0, "conversation": 1.0}

Errors = list[str]


def after(detector: Detector, messages: Iterable[str]) -> LanguageState:
    """The state after some messages of a new conversation."""
    state = LanguageState()
    for message in messages:
        state = update(state, detector.guess(message))
    return state


def held_out(path: Path) -> list[tuple[str, str]]:
    """(language, sentence) of a validation or test file."""
    document = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    found = []
    for intent in document["nlu"]:
        language = intent["metadata"]["language"]
        lines = intent["examples"].splitlines()
        found += [(language, line.removeprefix("- ").strip()) for line in lines if line.strip()]
    return found


def band(text: str) -> str:
    """The column of a message's number of words."""
    count = len(text.split())
    return next(name for low, high, name in BANDS if low <= count <= high)


def table(detector: Detector, name: str, pairs: list[tuple[str, str]], errors: Errors) -> None:
    """Accuracy by number of words, at the first message and after three."""
    print(f"\n{name}: right language, by words\n")
    columns = [column for _, _, column in BANDS]
    print("| language | message | " + " | ".join(columns) + " | 3+ | all |")
    print("|---" * (len(columns) + 4) + "|")
    nothing: dict[str, tuple[str, ...]] = dict.fromkeys(BEFORE, ())
    starts: dict[str, Mapping[str, tuple[str, ...]]] = {
        "first": nothing,
        "after 3": BEFORE,
        "after hello/oi": WRONG_START,
    }
    for when, start in starts.items():
        for language, earlier in start.items():
            hits: dict[str, list[bool]] = defaultdict(list)
            for truth, text in pairs:
                if truth != language:
                    continue
                state = after(detector, (*earlier, text))
                right = state.language == language and state.foreign is None
                keys = [band(text), "all"] + (["3+"] if band(text) not in {"1", "2"} else [])
                for key in keys:
                    hits[key].append(right)
                if not right:
                    errors.append(
                        f"{name} {when}: {language} -> {state.foreign or state.language}: {text}"
                    )
            cells = [share(hits[column]) for column in (*columns, "3+", "all")]
            print(f"| {language} | {when} | " + " | ".join(cells) + " |")


def share(hits: list[bool]) -> str:
    """A cell: percentage and count."""
    return f"{100 * sum(hits) / len(hits):.1f} ({len(hits)})" if hits else "-"


def groups(detector: Detector, errors: Errors) -> bool:
    """The project's own samples; whether all the targets hold."""
    kinds: dict[str, list[bool]] = defaultdict(list)
    print("\n| samples | language | right |\n|---|---|---|")
    document = YAML(typ="safe").load(SAMPLES.read_text(encoding="utf-8"))
    for group, languages in document.items():
        kind = group.split("_")[0]
        everything: list[bool] = []
        for language, texts in languages.items():
            hits = [right(detector, kind, language, text) for text in texts]
            everything += hits
            errors += [
                f"{group} {language}: {text} -> {after(detector, text.split(' | '))}"
                for text, hit in zip(texts, hits, strict=True)
                if not hit
            ]
            print(f"| {group} | {language} | {share(hits)} |")
            if kind == "tricky":
                kept = [after(detector, [text]).language == language for text in texts]
                errors += [
                    f"{group} not kept: {text} -> {after(detector, [text]).language}"
                    for text, hit in zip(texts, kept, strict=True)
                    if not hit
                ]
                print(f"| {group}, answered in {language} | {language} | {share(kept)} |")
        if len(languages) > 1:
            print(f"| {group} | all | {share(everything)} |")
        kinds[kind] += everything
    return all(sum(hits) >= TARGETS[kind] * len(hits) for kind, hits in kinds.items())


def adversarial(detector: Detector, errors: Errors) -> None:
    """The short messages written to mislead: right, taken for another language, asked about."""
    document = YAML(typ="safe").load(ADVERSARIAL.read_text(encoding="utf-8"))
    print("\n| written to mislead | language | right | asked about |\n|---|---|---|---|")
    for group in ("first", "blind"):
        for language, texts in document[group].items():
            states = [after(detector, [text]) for text in texts]
            hits = [state.language == language and state.foreign is None for state in states]
            errors += [
                f"{group} {language}: {text}"
                for text, hit in zip(texts, hits, strict=True)
                if not hit
            ]
            asked = share([state.must_ask for state in states])
            print(f"| {group} | {language} | {share(hits)} | {asked} |")
    for group in ("foreign", "blind_foreign"):
        texts = [text for texts in document[group].values() for text in texts]
        states = [after(detector, [text]) for text in texts]
        found = [state.foreign is not None for state in states]
        asked = share([state.must_ask for state in states])
        errors += [f"{group}: {t}" for t, hit in zip(texts, found, strict=True) if not hit]
        print(f"| {group} | {len(document[group])} languages | {share(found)} | {asked} |")


def right(detector: Detector, kind: str, language: str, text: str) -> bool:
    """Whether one sample comes out as its group says."""
    if kind == "shared":
        return all(after(detector, (*BEFORE[spoken], text)).language == spoken for spoken in BEFORE)
    state = after(detector, text.split(" | "))
    if kind == "foreign":
        return state.foreign == language
    if kind == "tricky":
        return state.foreign is None
    return state.language == language and state.foreign is None


def main() -> int:
    """Print everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--errors", action="store_true", help="print every message that went wrong")
    parser.add_argument(
        "--no-test", action="store_true", help="leave nlu_test.yml out (for tuning)"
    )
    asked = parser.parse_args()
    started = time.perf_counter()
    detector = Detector(data_dir=ROOT / "data/nlu")
    print(f"built in {time.perf_counter() - started:.2f} s")
    errors: Errors = []
    texts: list[str] = []
    for name in HELD_OUT[:1] if asked.no_test else HELD_OUT:
        pairs = held_out(ROOT / "tests/rasa" / name)
        texts += [text for _, text in pairs]
        table(detector, name, pairs, errors)
    good = groups(detector, errors)
    adversarial(detector, errors)
    took = []
    for text in texts:
        began = time.perf_counter()
        detector.guess(text)
        took.append(time.perf_counter() - began)
    print(
        f"\nguess: median {statistics.median(took) * 1e3:.3f} ms, slowest {max(took) * 1e3:.1f} ms"
    )
    if asked.errors:
        print("\n" + "\n".join(errors))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
