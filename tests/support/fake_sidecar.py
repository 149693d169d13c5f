"""A scripted sidecar: speaks frames on descriptor 3 and misbehaves as its first argument, or an act's text, asks."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

LENGTH = struct.Struct(">I")


class Sidecar:
    def __init__(self, mode: str, note: Path | None) -> None:
        self.mode = mode
        self.note = note
        self.socket = socket.socket(fileno=3)
        self.committed: list[int] = []
        self.leases: list[int] = []
        self.units: dict[str, int] = {}
        self.asked: dict[int, dict[str, Any]] = {}

    def send(self, type: str, **fields: Any) -> None:  # noqa: A002 - the frame's own field
        body = msgspec.msgpack.encode({"type": type, **fields})
        self.socket.sendall(LENGTH.pack(len(body)) + body)

    def read_exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            chunk = self.socket.recv(size - len(data))
            if not chunk:
                sys.exit(0)
            data += chunk
        return data

    def run(self) -> None:
        while True:
            length = LENGTH.unpack(self.read_exactly(4))[0]
            frame = msgspec.msgpack.decode(self.read_exactly(length))
            getattr(self, "on_" + frame["type"], lambda _: None)(frame)

    # -- frames -----------------------------------------------------------------------------------

    def on_hello(self, frame: dict[str, Any]) -> None:
        if self.mode == "silent":
            time.sleep(60)
        if self.mode == "fatal":
            self.send("fatal", code="E_SIDECAR_DEPENDENCY", message="baileys is not installed")
            sys.exit(66)
        if self.mode == "garbage":
            self.socket.sendall(LENGTH.pack(3) + b"\xc1\xc1\xc1")
            time.sleep(60)
        if self.mode == "once" and self.note is not None:
            # The first run is good, later ones fail until the note is removed.
            if self.note.exists():
                sys.exit(3)
            self.note.write_text("ran")
        if self.mode == "grandchild" and self.note is not None:
            child = subprocess.Popen(["/bin/sleep", "600"])
            self.note.write_text(str(child.pid))
        if self.mode == "talks":
            print("number 5511999990000 key kN3rC0q9ZlX8yq7w2mJv5TtLs1aBdEfGhIjKlMnOpQ8=", flush=True)  # noqa: T201
            print('{"level":"warn","event":"odd","to":"5511999990000"}', file=sys.stderr, flush=True)  # noqa: T201
            sys.stderr.write("x" * 300_000 + "\n")
            sys.stderr.flush()
        protocol = 99 if self.mode == "protocol" else frame["protocol"]
        name = "other" if self.mode == "no-engine" else "baileys"
        engines = {name: {"version": "1", "capabilities": ["text"], "later": True}}
        self.send("hello", protocol=protocol, pid=os.getpid(), node="v0", engines=engines)
        if self.mode == "deaf":
            time.sleep(60)

    def on_lease(self, frame: dict[str, Any]) -> None:
        self.leases.append(frame["valid_ms"])

    def on_shutdown(self, _frame: dict[str, Any]) -> None:
        if self.mode == "stubborn":
            time.sleep(60)
        sys.exit(0)

    def on_open(self, frame: dict[str, Any]) -> None:
        where = {"session": frame["session"], "incarnation": frame["incarnation"]}
        self.units[frame["session"]] = 0
        self.send("state", **where, state="connecting", unknown_field=1)
        if frame["creds"] is None:
            self.send("state", **where, state="qr", code="2@abc", expires_at=5, attempt=1)
        else:
            self.send("state", **where, state="open", me={"pn": "+5511900000000", "lid": "1", "name": None})
        for n in range(frame["settings"].get("events", 0)):
            self.unit(where, "event", kind="message", data={"id": str(n), "text": {"body": "é" * 100}})

    def unit(self, where: dict[str, Any], type: str, **fields: Any) -> None:  # noqa: A002
        self.units[where["session"]] += 1
        self.send(type, **where, unit=self.units[where["session"]], **fields)

    def on_committed(self, frame: dict[str, Any]) -> None:
        self.committed.append(frame["unit"])

    def on_close(self, frame: dict[str, Any]) -> None:
        if "stuck" not in frame["session"]:
            reason = "logged_out" if frame["how"] == "logout" else "stopped"
            self.send("state", session=frame["session"], incarnation=frame["incarnation"], state="closed",
                      reason=reason, code=None, detail="", retry=True, retry_at_once=False)  # fmt: skip

    def on_keys(self, frame: dict[str, Any]) -> None:
        where = self.asked.pop(frame["ref"])
        self.send(
            "result",
            **where,
            ok=True,
            message_id="k",
            at=1,
            data={"rows": frame.get("rows"), "code": frame.get("code")},
        )

    def on_act(self, frame: dict[str, Any]) -> None:
        where = {"session": frame["session"], "incarnation": frame["incarnation"]}
        answer = {**where, "ref": frame["ref"]}
        word, _, rest = frame["content"].get("text", {}).get("body", "").partition(" ")
        if word == "crash":
            os._exit(1)
        elif word == "hang":
            pass
        elif word == "freeze":
            time.sleep(float(rest))
        elif word == "garbage":
            self.socket.sendall(b"\xff\xff\xff\xff")
        elif word == "unknown":
            self.send("dance", **where)
            self.send("state", **where, state=7)
            self.send("result", **answer, ok=True, message_id=frame["id"], at=1)
        elif word == "close":
            self.send("state", **where, state="closed", reason=rest, code=440, detail="by 5511999990000",
                      retry=False, retry_at_once=False)  # fmt: skip
        elif word == "stale":
            self.send(
                "event", **{**where, "incarnation": where["incarnation"] - 1}, unit=1, kind="message", data={}
            )
            self.send("result", **answer, ok=True, message_id=frame["id"], at=1)
        elif word == "fail":
            self.send(
                "result", **answer, ok=False, code=rest, detail="why", uncertain=rest == "E_ACK_TIMEOUT"
            )
        elif word == "keys":
            self.asked[1] = answer
            self.send("keys_get", **where, ref=1, kind="session", ids=rest.split())
        elif word == "tell":
            self.send("result", **answer, ok=True, message_id=frame["id"], at=1,
                      data={"committed": self.committed, "leases": self.leases, "frame": sorted(frame)})  # fmt: skip
        elif word == "set":
            self.unit(
                where, "keys_set", creds=b"c" * 10, rows=[["session", "a", b"1"], ["session", "b", None]]
            )
            self.send("result", **answer, ok=True, message_id=frame["id"], at=1)
        else:
            self.send("result", **answer, ok=True, message_id=frame["id"], at=1_700_000_000_000)


if __name__ == "__main__":
    Sidecar(sys.argv[1], Path(sys.argv[2]) if len(sys.argv) > 2 else None).run()
