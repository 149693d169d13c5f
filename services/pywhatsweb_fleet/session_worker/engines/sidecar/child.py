"""One run of the sidecar's program: started with a socket as its descriptor 3, greeted, and ended for certain."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec
import structlog

from pywhatsweb_fleet.session_worker.engines.port import EngineError
from pywhatsweb_fleet.session_worker.engines.sidecar.channel import Channel, OnFrame
from pywhatsweb_fleet.session_worker.engines.sidecar.frames import UnknownFrame
from pywhatsweb_fleet.session_worker.engines.sidecar.messages import (
    PROTOCOL,
    Fatal,
    HelloSidecar,
    HelloWorker,
    Received,
)
from pywhatsweb_fleet.session_worker.engines.sidecar.relay import masked, relay_lines

_SOCKET_BUFFER = 1024 * 1024

# The child needs our socket as descriptor 3. Python can pass a descriptor on but not renumber it without running code
# between fork and exec, which is unsafe beside threads: a small interpreter does it, then becomes the program.
_LAUNCHER = (
    "import os,sys;n=int(sys.argv[1]);"
    "os.dup2(n,3) if n!=3 else os.set_inheritable(3,True);"
    "n!=3 and os.close(n);"
    "os.execv(sys.argv[2],sys.argv[2:])"
)


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """What to run. ``command`` begins with an absolute path; the environment is ``env`` and nothing else."""

    command: tuple[str, ...]
    cwd: Path | None = None
    env: Mapping[str, str] = {}
    hello_timeout_s: float = 90.0


class Child:
    """Made by `Child.start`; its connection and its process end together."""

    def __init__(self, on_frame: OnFrame, log: structlog.stdlib.BoundLogger) -> None:
        self._on_frame = on_frame
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._relays: list[asyncio.Task[None]] = []
        self._greeting: asyncio.Future[HelloSidecar] | None = None
        self._last_words = ""
        self.channel = Channel(self._receive, self._lost)

    @property
    def pid(self) -> int:
        return self._process.pid if self._process is not None else 0

    async def start(self, launch: Launch, hello: HelloWorker) -> HelloSidecar:
        """Runs it and exchanges hellos. Raises EngineError; then nothing of it is left running."""
        self._greeting = asyncio.get_running_loop().create_future()
        try:
            await self._spawn(launch)
            self.channel.put(hello)
            answer = await asyncio.wait_for(self._greeting, launch.hello_timeout_s)
            if answer.protocol != PROTOCOL:
                raise EngineError(
                    "E_SIDECAR_PROTOCOL",
                    f"the sidecar speaks protocol {answer.protocol}, this worker {PROTOCOL}: "
                    "install one version of both",
                )
            return answer
        except TimeoutError:
            await self.end(0)
            raise EngineError(
                "E_ENGINE_UNAVAILABLE", f"the sidecar did not answer hello in {launch.hello_timeout_s:g} s"
            ) from None
        except BaseException:
            await self.end(0)
            raise

    async def _spawn(self, launch: Launch) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            for end in (ours, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER)
            ours.setblocking(False)
            number = theirs.fileno()
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-I", "-S", "-c", _LAUNCHER, str(number)),
                *launch.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                cwd=launch.cwd,
                env=dict(launch.env),
                pass_fds=(number,),
                start_new_session=True,
            )
            loop = asyncio.get_running_loop()
            await loop.create_unix_connection(lambda: self.channel, sock=ours)
        except BaseException as error:
            ours.close()
            if isinstance(error, OSError):
                words = f"the sidecar cannot be run: {error.strerror}"
                raise EngineError("E_ENGINE_UNAVAILABLE", words) from error
            raise
        finally:
            theirs.close()
        for name in ("stdout", "stderr"):
            stream = getattr(self._process, name)
            self._relays.append(asyncio.create_task(relay_lines(stream, self._log, name)))

    def _receive(self, channel: Channel, frame: Received | UnknownFrame, size: int) -> None:
        if isinstance(frame, Fatal):
            self._last_words = f"{frame.code}: {masked(frame.message)}"
            self._log.error("sidecar_fatal", code_name=frame.code, message=masked(frame.message))
            code = "E_SIDECAR_PROTOCOL" if frame.code == "E_SIDECAR_PROTOCOL" else "E_ENGINE_UNAVAILABLE"
            self._refuse(EngineError(code, f"the sidecar refused to start: {self._last_words}"))
        elif self._greeting is not None and not self._greeting.done():
            if isinstance(frame, HelloSidecar):
                self._greeting.set_result(frame)
            else:
                why = frame.why if isinstance(frame, UnknownFrame) else type(frame).__name__
                self._refuse(
                    EngineError("E_SIDECAR_PROTOCOL", f"the sidecar's first frame is not a hello: {why}")
                )
        else:
            self._on_frame(channel, frame, size)

    def _lost(self, _channel: Channel, why: str) -> None:
        if why:
            self._last_words = self._last_words or why
        self._refuse(
            EngineError(
                "E_ENGINE_UNAVAILABLE", f"the sidecar ended before its hello {self._last_words}".strip()
            )
        )
        # A sidecar without its socket is of no use, and ends by itself only if it is well.
        self.kill()

    def _refuse(self, error: EngineError) -> None:
        if self._greeting is not None and not self._greeting.done():
            self._greeting.set_exception(error)
            # Nobody may be waiting any more (a time-out came first).
            self._greeting.exception()

    async def wait(self) -> str:
        """Until the process has ended; returns why, in words."""
        if self._process is None:
            return self._last_words
        code = await self._process.wait()
        # What it started (a browser) is of its group, and must not outlive it.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self.channel.close()
        await asyncio.gather(*self._relays, return_exceptions=True)
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return f"{how} {self._last_words}".strip()

    def kill(self) -> None:
        """Ends the process and what it started (a browser), at once."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)

    async def end(self, grace_s: float) -> None:
        """Waits so long for it to exit by itself, then kills it; returns when it is gone."""
        if self._process is None:
            self.channel.close()
            return
        try:
            await asyncio.wait_for(asyncio.shield(self._process.wait()), grace_s)
        except TimeoutError:
            self.kill()
        for relay in self._relays:
            # What it left open may be held by a grandchild.
            relay.cancel()
        await self.wait()
