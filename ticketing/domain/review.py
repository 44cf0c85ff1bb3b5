"""What people may say about a decision of the bot, and about a sentence that may teach it."""

from __future__ import annotations

from enum import StrEnum


class Verdict(StrEnum):
    """An agent's judgement of a turn.

    `wrong`: no person was needed (only of a handoff). `late`: a person was needed earlier; of a
    turn that the bot kept it says that the bot should have handed over here.
    """

    RIGHT = "right"
    WRONG = "wrong"
    LATE = "late"


class CandidateState(StrEnum):
    """Life of a training candidate."""

    NEW = "new"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


class ReviewRefusedError(ValueError):
    """This turn cannot be marked like this."""

    def __init__(self, problem: str, *, field: str) -> None:
        self.field = field
        super().__init__(f"{field}: {problem}")


def check_verdict(verdict: Verdict, *, outcome: str) -> None:
    """Refuse a judgement that makes no sense for what the bot did.

    Args:
        verdict: The judgement.
        outcome: What the rules decided: `stay`, `clarify` or `handoff`.

    Raises:
        ReviewRefusedError: for `wrong` of a turn that was not handed over.
    """
    if verdict is Verdict.WRONG and outcome != "handoff":
        problem = "the bot kept this turn, so no handoff was needless; expected right or late"
        raise ReviewRefusedError(problem, field="verdict")
