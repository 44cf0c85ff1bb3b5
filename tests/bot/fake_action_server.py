"""An action server that speaks rasa-sdk's HTTP contract and decides as its test tells it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = dict[str, Any]


@dataclass
class FakeActionServer:
    """Decides by the words in the customer's text; counts what it was asked.

    "quero humano" -> handoff, "confuso" -> clarify, "caiu" -> the decision fails with HTTP 500,
    "caiu depois" -> the handoff fails, "repetido" -> the outcome of an earlier turn is left as it
    is, "demora" -> the decision takes until `release` is set.
    """

    url: str = ""
    calls: list[tuple[str, str]] = field(default_factory=list)
    models: dict[str, object] = field(default_factory=dict)
    release: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)

    def answer(self, body: dict[str, Any]) -> tuple[int, Answer]:
        name = body["next_action"]
        message = body["tracker"]["latest_message"]
        text, turn_id = message["text"], message["metadata"]["message_id"]
        self.calls.append((name, turn_id))
        self.models[turn_id] = message["metadata"].get("model")
        handlers = {
            "action_validate_slot_mappings": self._decide,
            "action_handoff": self._handoff,
            "action_clarify": self._clarify,
            "action_rich": self._rich,
        }
        return handlers[name](text, turn_id)

    def count(self, name: str, turn_id: str) -> int:
        return self.calls.count((name, turn_id))

    def _decide(self, text: str, turn_id: str) -> tuple[int, Answer]:
        if "demora" in text:
            self.entered.set()
            self.release.wait(10)
        if text == "caiu":
            return 500, {"error": "down"}
        if "repetido" in text:
            return 200, {"events": [], "responses": []}
        outcome = "stay"
        if "humano" in text or "caiu" in text:
            outcome = "handoff"
        elif "confuso" in text:
            outcome = "clarify"
        # A form's from_text slot takes any text; what is not an answer to it must not stay in it.
        undo = [slot("order_number", None)] if outcome != "stay" else []
        return 200, {
            "events": [
                *undo,
                slot("handoff_outcome", outcome),
                slot("last_turn_id", turn_id),
                slot("decision_id", f"decision-{turn_id}"),
                slot("failures", {"clarify": 1}),
            ],
            "responses": [],
        }

    def _handoff(self, text: str, _turn_id: str) -> tuple[int, Answer]:
        if "depois" in text:
            return 500, {"error": "down"}
        if "recusado" in text:
            return 400, {"action_name": "action_handoff", "error": "rejected"}
        return 200, {
            "events": [slot("handoff_reason", "user_request")],
            "responses": [{"text": "Vou chamar uma pessoa."}],
        }

    def _clarify(self, _text: str, _turn_id: str) -> tuple[int, Answer]:
        buttons = [{"title": "Rastrear", "payload": "/track_order"}]
        return 200, {"events": [], "responses": [{"text": "Qual destes?", "buttons": buttons}]}

    def _rich(self, _text: str, _turn_id: str) -> tuple[int, Answer]:
        responses = [
            {"text": "Um mapa", "custom": {"kind": "location", "latitude": -23.5}},
            {"attachment": {"type": "file", "payload": {"src": "https://example.org/a.pdf"}}},
        ]
        return 200, {"events": [], "responses": responses}


def slot(name: str, value: Any) -> dict[str, Any]:
    return {"event": "slot", "timestamp": None, "name": name, "value": value}


@contextmanager
def running_action_server() -> Iterator[FakeActionServer]:
    fake = FakeActionServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, answer = fake.answer(body)
            encoded = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(encoded)))
            self.end_headers()
            self.wfile.write(encoded)

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_address[1]}/webhook"
    try:
        yield fake
    finally:
        server.shutdown()
        thread.join(5)
