"""The knobs of the intent model; the defaults were chosen by cross-validation (docs/nlu.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from bot.nlu.linear_models import Strength


class IntentModelError(ValueError):
    """Examples or settings cannot be used; the message says which, and what was expected."""


@dataclass(frozen=True)
class IntentModelSettings:
    """Every knob.

    Attributes:
        svm_strength: inverse regularisation of the support vector machine; greater trusts the
            examples more.
        logistic_strength: the same of the logistic regression.
        ridge_penalty: penalty of the ridge regression; greater trusts the examples less.
        ridge_examples: with more examples than this there is no ridge regression (its memory grows
            with the square).
        folds: parts for cross-validation, and groups of intents that are hidden together.
        large_folds: parts for cross-validation of more than `large_examples` examples, of which
            only one group of intents is hidden: less time, and so many examples teach enough.
        large_examples: see there.
        compared_examples: with at most so many examples a message is compared.
        outside_share: what share of messages is expected to be none of the known intents, 0..1.
        jobs: trainings at the same time.
        seed: of everything that is drawn; same examples, same settings, same model.
    """

    svm_strength: float = 1.0
    logistic_strength: float = 50.0
    ridge_penalty: float = 0.3
    ridge_examples: int = 5000
    folds: int = 5
    large_folds: int = 3
    large_examples: int = 3000
    compared_examples: int = 5000
    outside_share: float = 0.1
    jobs: int = 2
    seed: int = 7

    def __post_init__(self) -> None:
        """Refuse values that cannot be.

        Raises:
            IntentModelError: names the setting, what was found and what was expected.
        """
        for name in ("svm_strength", "logistic_strength", "ridge_penalty"):
            self._check(name, (int, float), "a number greater than 0", _above_zero)
        for name in ("ridge_examples", "compared_examples", "large_examples", "seed"):
            self._check(name, int, "a whole number of at least 0", _at_least_zero)
        for name in ("folds", "large_folds"):
            self._check(name, int, "a whole number from 2 to 20", _fold_count)
        self._check("jobs", int, "a whole number from 1 to 64", _job_count)
        self._check("outside_share", (int, float), "a number above 0 and below 1", _share)

    def _check(self, name: str, kind: Any, expected: str, good: Any) -> None:
        value = getattr(self, name)
        if isinstance(value, bool) or not isinstance(value, kind) or not good(value):
            message = f"{name}: expected {expected}, found {value!r}"
            raise IntentModelError(message)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> IntentModelSettings:
        """Settings out of a configuration file; what is not named keeps its default.

        Raises:
            IntentModelError: a name is unknown or a value is wrong.
        """
        known = sorted(field.name for field in fields(cls))
        for name in config:
            if name not in known:
                message = f"{name}: unknown setting; expected one of {', '.join(known)}"
                raise IntentModelError(message)
        return cls(**config)

    def strength_for(self, examples: int) -> Strength:
        """How hard the voters learn from so many examples, and from parts of them."""
        return Strength(
            svm=float(self.svm_strength),
            logistic=float(self.logistic_strength),
            ridge=float(self.ridge_penalty),
            with_ridge=examples <= self.ridge_examples,
        )


def _above_zero(value: float) -> bool:
    return 0 < value < float("inf")


def _at_least_zero(value: int) -> bool:
    return value >= 0


def _fold_count(value: int) -> bool:
    return 2 <= value <= 20  # noqa: PLR2004 - named in the message


def _job_count(value: int) -> bool:
    return 1 <= value <= 64  # noqa: PLR2004 - named in the message


def _share(value: float) -> bool:
    return 0 < value < 1
