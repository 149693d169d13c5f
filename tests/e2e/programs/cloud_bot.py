"""A bot as Meta's documentation of the Cloud API teaches to write one; only the address, the token and the id are ours.

cloud_bot.py GRAPH_URL TOKEN PHONE_NUMBER_ID PORT: listens for webhooks on PORT, answers the first message with all
kinds that it knows, waits until each is delivered, and prints what it saw as one line of JSON.
"""

import base64
import json
import queue
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import requests

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEUlEQVR4nGM4UaGBFTEMLQkAUtVaAV8W4QQAAAAASUVORK5CYII="
)
ENDS = {"delivered", "failed"}
changes: "queue.Queue[dict[str, Any]]" = queue.Queue()


class Webhook(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        for entry in body["entry"]:
            for change in entry["changes"]:
                changes.put(change["value"])
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


class Graph:
    def __init__(self, url: str, token: str, number_id: str) -> None:
        self.url = f"{url}/v21.0"
        self.number = f"{self.url}/{number_id}"
        self.http = requests.Session()
        self.http.headers["Authorization"] = f"Bearer {token}"

    def call(self, method: str, url: str, **options: Any) -> requests.Response:
        answer = self.http.request(method, url, timeout=60, **options)
        if not answer.ok:
            raise SystemExit(f"{method} {url}: {answer.status_code} {answer.text}")
        return answer

    def send(self, to: str, kind: str, content: Any, **more: Any) -> str:
        body = {"messaging_product": "whatsapp", "recipient_type": "individual", "to": to, "type": kind}
        answer = self.call("POST", f"{self.number}/messages", json={**body, kind: content, **more}).json()
        assert answer["messaging_product"] == "whatsapp"
        assert answer["contacts"] == [{"input": to, "wa_id": to}]
        return str(answer["messages"][0]["id"])

    def upload(self) -> str:
        form = {"messaging_product": "whatsapp", "type": "image/png"}
        files = {"file": ("dot.png", PIXEL, "image/png")}
        return str(self.call("POST", f"{self.number}/media", data=form, files=files).json()["id"])

    def download(self, media_id: str) -> bytes:
        about = self.call("GET", f"{self.url}/{media_id}").json()
        found = self.call("GET", about["url"]).content
        assert len(found) == about["file_size"]
        return found


def answer(graph: Graph, message: dict[str, Any]) -> dict[str, str]:
    to = message["from"]
    read = {"messaging_product": "whatsapp", "status": "read", "message_id": message["id"]}
    assert graph.call(
        "POST", f"{graph.number}/messages", json={**read, "typing_indicator": {"type": "text"}}
    ).json() == {"success": True}
    text = {"preview_url": False, "body": "You said: " + message["text"]["body"]}
    picture = graph.upload()
    assert graph.download(picture) == PIXEL
    buttons = {
        "type": "button",
        "body": {"text": "More?"},
        "action": {"buttons": [{"type": "reply", "reply": {"id": "yes", "title": "Yes"}}]},
    }
    card = {"name": {"formatted_name": "Ana", "first_name": "Ana"}, "phones": [{"phone": "+5511988880001"}]}
    return {
        "text": graph.send(to, "text", text, context={"message_id": message["id"]}),
        "image": graph.send(to, "image", {"id": picture, "caption": "A dot"}),
        "document": graph.send(to, "document", {"id": picture, "filename": "dot.png"}),
        "location": graph.send(to, "location", {"latitude": -23.55, "longitude": -46.63, "name": "Here"}),
        "contacts": graph.send(to, "contacts", [card]),
        "interactive": graph.send(to, "interactive", buttons),
        "reaction": graph.send(to, "reaction", {"message_id": message["id"], "emoji": "👍"}),
    }


def main(url: str, token: str, number_id: str, port: str) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", int(port)), Webhook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write('{"listening": true}\n')
    sys.stdout.flush()
    graph = Graph(url, token, number_id)
    sent: dict[str, str] = {}
    seen: dict[str, list[str]] = {}
    until = time.monotonic() + 60
    awaited = ("text", "image", "document", "location", "contacts", "interactive")
    while not sent or any(not ENDS & set(seen.get(sent[kind], ())) for kind in awaited):
        try:
            value = changes.get(timeout=max(0.1, until - time.monotonic()))
        except queue.Empty:
            raise SystemExit(f"sent {sent}, seen {seen}") from None
        assert value["metadata"]["phone_number_id"] == number_id
        for message in value.get("messages", ()):
            if message["type"] == "text" and not sent:
                sent = answer(graph, message)
        for status in value.get("statuses", ()):
            seen.setdefault(status["id"], []).append(status["status"])
    sys.stdout.write(json.dumps({"sent": sent, "seen": {k: seen.get(v) for k, v in sent.items()}}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
