"""What people see of `ponte dlq`."""

from __future__ import annotations

from ponte.cli.dlq_output import plain


def test_a_broken_job_does_not_steer_the_terminal() -> None:
    assert plain("\x1b[2Jsend\temail\n") == "?[2Jsend?email?"
    assert plain("não • ok") == "não • ok"
