"""The driver: strikes by a seed, one blow after another, until its time is over."""

from __future__ import annotations

import asyncio
import random
import time

from tests.support.chaos.faults import Fault, faults
from tests.support.chaos.ground import Ground


class Blow:
    """One fault's scene (`faults.Scene`): its own random numbers, and the run's log."""

    def __init__(self, driver: Driver, draw: int) -> None:
        self.ground = driver.ground
        self.random = random.Random(draw)
        self.note = driver.note

    async def rest(self, least: float, most: float) -> None:
        await asyncio.sleep(self.random.uniform(least, most))


class Driver:
    """``log`` tells each blow with its moment; ``struck`` names them."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.log: list[str] = []
        self.struck: list[str] = []
        self._random = random.Random(ground.plan.seed)
        self._choices = faults(ground)
        self._began = time.monotonic()

    def note(self, words: str) -> None:
        self.log.append(f"{time.monotonic() - self._began:6.1f} s  {words}")

    async def run(self) -> None:
        """Blows may overlap. When it returns, whatever lasted is over. Raises what a fault raised."""
        end = time.monotonic() + self.ground.plan.seconds
        blows: list[asyncio.Task[None]] = []
        try:
            while (left := end - time.monotonic()) > 0:
                await asyncio.sleep(min(left, self._random.uniform(*self.ground.plan.every)))
                if time.monotonic() < end and self._choices:
                    name, draw = self._random.choice(list(self._choices)), self._random.getrandbits(32)
                    blows.append(asyncio.create_task(self._strike(name, self._choices[name], draw)))
        finally:
            for blow in blows:
                blow.cancel()
            ended = await asyncio.gather(*blows, return_exceptions=True)
        for one in ended:
            if isinstance(one, Exception):
                raise one

    async def _strike(self, name: str, fault: Fault, draw: int) -> None:
        self.struck.append(name)
        await fault(Blow(self, draw))
