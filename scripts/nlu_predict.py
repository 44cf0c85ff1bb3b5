"""Let the trained model read sentences, as a customer's messages would be read.

Runs in env `bot`, started by `ponte training gate`:

    .venv-bot/bin/python scripts/nlu_predict.py --model models/ponte.tar.gz < in.json > out.json

in.json is a list of `{"text": ..., "language": ...}`; out.json the list of Rasa's parses of them,
in the same order: `intent` and `intent_ranking`. Exit code 0 done, 1 the model cannot be used.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import sys
import warnings
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

RANKING = 10  # entries kept; the rules read the first few


def main() -> int:
    """Read standard input, answer on standard output."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "ponte.tar.gz")
    model = parser.parse_args().model
    wanted = json.load(sys.stdin)
    quiet()
    # Rasa prints here and there; standard output belongs to the answer.
    answer, sys.stdout = sys.stdout, sys.stderr

    from rasa.core.agent import Agent  # noqa: PLC0415 - after its settings, and slow

    agent = Agent.load(str(model))
    if not agent.is_ready():
        print(f"nlu_predict: {model} is no trained model", file=sys.stderr)
        return 1
    json.dump(asyncio.run(read(agent, wanted)), answer)
    return 0


async def read(agent: Any, wanted: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Every sentence through Rasa's whole parse, in its own language."""
    from rasa.core.channels.channel import UserMessage  # noqa: PLC0415

    from bot.turn_request import typed_text  # noqa: PLC0415

    found = []
    for item in wanted:
        message = UserMessage(typed_text(item["text"]), metadata={"language": item["language"]})
        parse = await agent.processor.parse_message(message)
        ranking = parse["intent_ranking"][:RANKING]
        found.append({"intent": parse["intent"], "intent_ranking": ranking})
    return found


def quiet() -> None:
    """No progress bars, no telemetry, and no text of a message in a log."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("RASA_TELEMETRY_ENABLED", "false")
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    import structlog  # noqa: PLC0415 - comes with Rasa

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))


if __name__ == "__main__":
    sys.exit(main())
