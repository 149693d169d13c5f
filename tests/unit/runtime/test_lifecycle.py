"""The end of background tasks."""

import asyncio

from pywhatsweb_runtime import lifecycle


async def test_a_task_that_swallows_its_cancellation_is_ended() -> None:
    """As `asyncio.wait_for` on Python 3.11 does when its answer comes at that moment."""
    swallowed = 0

    async def loop() -> None:
        nonlocal swallowed
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                swallowed += 1
                if swallowed > 2:
                    raise

    async def failing() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            raise ValueError("on its way out")

    stopping = asyncio.Event()
    service = asyncio.create_task(lifecycle.until(stopping, loop(), failing()))
    await asyncio.sleep(0)
    stopping.set()
    await asyncio.wait_for(service, 60)
    assert swallowed == 3
