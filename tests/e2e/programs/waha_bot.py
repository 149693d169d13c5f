"""A bot as WAHA's documentation teaches to write one; only the address and the key are another's.

waha_bot.py URL KEY CHAT: makes the session `default` with a webhook, prints its QR code, then answers what comes from
CHAT until somebody says "bye", and prints what it saw as one line of JSON.
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

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEUlEQVR4nGM4UaGBFTEMLQkAUtVaAV8W4QQAAAAASUVORK5CYII="
VOICE = (  # a tenth of a second of silence: Opus in Ogg
    "T2dnUwACAAAAAAAAAAAHAAAAAAAAAIELNS8BE09wdXNIZWFkAQE4AYC7AAAAAABPZ2dTAAAAAAAAAAAAAAcAAAABAAAARbMFjQEU"
    "T3B1c1RhZ3MEAAAAdGVzdAAAAABPZ2dTAADAAwAAAAAAAAcAAAACAAAAFp9XIAED+P/+T2dnUwAAgAcAAAAAAAAHAAAAAwAAAGXE"
    "6CwBA/j//k9nZ1MAAEALAAAAAAAABwAAAAQAAAA9V/uWAQP4//5PZ2dTAAAADwAAAAAAAAcAAAAFAAAATgxEmgED+P/+T2dnUwAE"
    "wBIAAAAAAAAHAAAABgAAANNnGykBA/j//g=="
)
received: "queue.Queue[dict[str, Any]]" = queue.Queue()


class Webhook(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        received.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


class Waha:
    def __init__(self, url: str, key: str) -> None:
        self.url = url
        self.http = requests.Session()
        self.http.headers["X-Api-Key"] = key

    def call(self, method: str, path: str, **options: Any) -> Any:
        answer = self.http.request(method, self.url + path, timeout=60, **options)
        if not answer.ok:
            raise SystemExit(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json()

    def post(self, path: str, **body: Any) -> Any:
        return self.call("POST", path, json={"session": "default", **body})

    def wait_for(self, status: str) -> None:
        until = time.monotonic() + 90
        while (now := self.call("GET", "/api/sessions/default")["status"]) != status:
            if time.monotonic() > until:
                raise SystemExit(f"the session is {now}, not {status}")
            time.sleep(0.2)


def answer(waha: Waha, message: dict[str, Any], sent: list[str]) -> None:
    chat = message["from"]
    waha.post("/api/sendSeen", chatId=chat, messageIds=[message["id"]])
    waha.post("/api/startTyping", chatId=chat)
    waha.post("/api/stopTyping", chatId=chat)
    text = waha.post(
        "/api/sendText", chatId=chat, text="You said: " + message["body"], reply_to=message["id"]
    )
    sent.append(text["id"])
    waha.call(
        "PUT", "/api/reaction", json={"session": "default", "messageId": message["id"], "reaction": "👍"}
    )
    file = {"mimetype": "image/png", "filename": "dot.png", "data": PIXEL}
    sent.append(waha.post("/api/sendImage", chatId=chat, file=file, caption="A dot")["id"])
    sent.append(waha.post("/api/sendFile", chatId=chat, file={**file, "filename": "dot.bin"})["id"])
    voice = {"mimetype": "audio/ogg; codecs=opus", "data": VOICE}
    sent.append(waha.post("/api/sendVoice", chatId=chat, file=voice)["id"])
    place = {"latitude": -23.55, "longitude": -46.63, "title": "Here"}
    sent.append(waha.post("/api/sendLocation", chatId=chat, **place)["id"])
    poll = {"name": "More?", "options": ["Yes", "No"], "multipleAnswers": False}
    sent.append(waha.post("/api/sendPoll", chatId=chat, poll=poll)["id"])
    card = {"fullName": "Ana", "phoneNumber": "+5511988880001", "organization": "Shop"}
    sent.append(waha.post("/api/sendContactVcard", chatId=chat, contacts=[card])["id"])
    path = f"/api/default/chats/{chat}/messages"
    waha.call("PUT", f"{path}/{text['id']}", json={"text": "You said something."})
    waha.call("DELETE", f"{path}/{sent[1]}")


def posts(waha: Waha, chat: str) -> dict[str, Any]:
    """A status that is taken back, and a channel that is posted in, looked at and deleted."""
    file = {"mimetype": "image/png", "filename": "dot.png", "data": PIXEL}
    text = waha.post(
        "/api/default/status/text", text="Open today", backgroundColor="#38b42f", contacts=[chat]
    )
    image = waha.post("/api/default/status/image", file=file, caption="A dot", contacts=[chat])
    gone = waha.post("/api/default/status/delete", id=text["id"])
    channel = waha.post("/api/default/channels", name="Offers", description="Each day")
    waha.post("/api/sendText", chatId=channel["id"], text="Bread")
    posted = waha.post("/api/sendImage", chatId=channel["id"], file=file)
    path = f"/api/default/channels/{channel['id'].replace('@', '%40')}"
    for verb in ("follow", "mute", "unmute", "unfollow"):
        waha.post(f"{path}/{verb}")
    seen = waha.call("GET", path)
    waha.call("DELETE", path)
    return {
        "statuses": [text["id"], image["id"], gone["id"]],
        "channel": {"same": seen["id"] == channel["id"], "role": seen["role"], "posted": posted["id"]},
    }


def tell(**words: Any) -> None:
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


def main(url: str, key: str, chat: str) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Webhook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    waha = Waha(url, key)
    assert waha.call("GET", "/ping") == {"message": "pong"}
    assert waha.call("GET", "/api/version")["version"]
    events = ["message", "message.ack", "session.status"]
    hook = {"url": f"http://127.0.0.1:{server.server_port}/webhook", "events": events}
    made = waha.call(
        "POST", "/api/sessions", json={"name": "default", "start": True, "config": {"webhooks": [hook]}}
    )
    assert made["name"] == "default"
    waha.wait_for("SCAN_QR_CODE")
    code = waha.call("GET", "/api/default/auth/qr", params={"format": "raw"})["value"]
    picture = waha.http.get(f"{url}/api/default/auth/qr", params={"format": "image"}, timeout=60)
    assert picture.content.startswith(b"\x89PNG")
    tell(qr=code)
    waha.wait_for("WORKING")
    me = waha.call("GET", "/api/sessions/default/me")["id"]
    assert [one["name"] for one in waha.call("GET", "/api/sessions")] == ["default"]
    sent: list[str] = []
    acks: dict[str, int] = {}
    said: list[str] = []
    until = time.monotonic() + 90
    while "bye" not in said or not sent or acks.get(sent[0], 0) < 3:
        event = received.get(timeout=max(0.1, until - time.monotonic()))
        payload = event["payload"]
        if event["event"] == "message" and payload["from"] == chat and payload["body"] not in said:
            said.append(payload["body"])
            if payload["body"] != "bye":
                answer(waha, payload, sent)
        elif event["event"] == "message.ack":
            acks[payload["id"]] = max(payload["ack"], acks.get(payload["id"], 0))
    history = waha.call("GET", f"/api/default/chats/{chat}/messages", params={"limit": 50})
    for _ in range(50):  # the record is a moment behind
        if set(sent) <= {one["id"] for one in history}:
            break
        time.sleep(0.2)
        history = waha.call("GET", f"/api/default/chats/{chat}/messages", params={"limit": 50})
    older = waha.call("GET", "/api/messages", params={"session": "default", "chatId": chat, "limit": 1})
    chats = waha.call("GET", "/api/default/chats")
    contact = waha.call("GET", "/api/contacts", params={"session": "default", "contactId": chat})
    told: dict[str, Any] = {
        "me": me,
        "said": said,
        "sent": sent,
        "history": {one["id"]: one["body"] for one in history},
        "newest": older[0]["id"] == history[0]["id"],
        "chats": [one["id"] for one in chats],
        "contact": contact["id"],
        "picture": len(base64.b64decode(PIXEL)),
        **posts(waha, chat),
    }
    waha.call("POST", "/api/sessions/default/stop")
    waha.wait_for("STOPPED")
    tell(**told)


if __name__ == "__main__":
    main(*sys.argv[1:])
