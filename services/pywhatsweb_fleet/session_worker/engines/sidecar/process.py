"""The sidecar's supervision: run, run again when it ends, and tell the engine of both."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import structlog

from pywhatsweb_fleet.session_worker.engines.port import EngineError
from pywhatsweb_fleet.session_worker.engines.sidecar.channel import Channel, OnFrame
from pywhatsweb_fleet.session_worker.engines.sidecar.child import Child, Launch
from pywhatsweb_fleet.session_worker.engines.sidecar.messages import HelloSidecar, HelloWorker, Shutdown

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 15.0
HEALTHY_S = 60.0
"""After so long a run the next pause is the first again."""
SILENCE_S = 35.0
"""A sidecar sends `stats` every 10 s; one silent for so long hangs, and is killed."""


class SidecarProcess:
    """``on_up`` is called with each run's channel and hello, ``on_down`` with why it ended."""

    def __init__(
        self,
        launch: Launch,
        hello: HelloWorker,
        *,
        on_frame: OnFrame,
        on_up: Callable[[Channel, HelloSidecar], None],
        on_down: Callable[[str], None],
        log: structlog.stdlib.BoundLogger,
        silence_s: float = SILENCE_S,
    ) -> None:
        self._launch = launch
        self._hello = hello
        self._on_frame = on_frame
        self._on_up = on_up
        self._on_down = on_down
        self._log = log
        self._silence_s = silence_s
        self._child: Child | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def pid(self) -> int | None:
        """Of the run that is up; None while there is none."""
        return self._child.pid if self._child is not None else None

    async def start(self) -> None:
        """The first run, up to its hello. Raises EngineError, and then tries no more."""
        self._stopping = False
        child = await self._run_one()
        self._keeper = asyncio.create_task(self._keep(child))

    async def _run_one(self) -> Child:
        child = Child(self._on_frame, self._log)
        hello = await child.start(self._launch, self._hello)
        try:
            self._on_up(child.channel, hello)
        except EngineError:
            await child.end(0)
            raise
        self._child = child
        self._log.info("sidecar_up", pid=child.pid, node=hello.node)
        return child

    async def _keep(self, child: Child | None) -> None:
        loop = asyncio.get_running_loop()
        pause = FIRST_PAUSE_S
        while True:
            if child is not None:
                began = loop.time()
                why = await self._watch(child)
                self._child = None
                self._on_down(why)
                if self._stopping:
                    return
                if loop.time() - began >= HEALTHY_S:
                    pause = FIRST_PAUSE_S
                self._log.error("sidecar_ended", why=why, again_in_s=round(pause, 1))
            await asyncio.sleep(pause * random.uniform(0.75, 1.25))
            pause = min(pause * 2, LONGEST_PAUSE_S)
            try:
                child = await self._run_one()
            except EngineError as error:
                child = None
                self._log.error(
                    "sidecar_not_started", code_name=error.code, why=error.detail, again_in_s=round(pause, 1)
                )

    async def _watch(self, child: Child) -> str:
        """Until the run ended; a silent one is killed."""
        loop = asyncio.get_running_loop()
        ended = asyncio.ensure_future(child.wait())
        while True:
            quiet_s = loop.time() - child.channel.last_frame_at
            done, _ = await asyncio.wait([ended], timeout=max(self._silence_s - quiet_s, 0.1))
            if done:
                return ended.result()
            if child.channel.reading and loop.time() - child.channel.last_frame_at >= self._silence_s:
                self._log.error("sidecar_silent", for_s=self._silence_s)
                child.kill()
                return await ended

    def kill(self) -> None:
        """Ends this run by force; the next follows."""
        if self._child is not None:
            self._child.kill()

    async def stop(self, grace_s: float) -> None:
        """Asks it to shut down, waits so long, then kills it. Nothing of it is left when this returns."""
        self._stopping = True
        child, keeper = self._child, self._keeper
        if child is not None:
            child.channel.put(Shutdown())
            await child.end(grace_s)
        if keeper is None:
            return
        if child is None:
            keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)
        self._keeper = None
