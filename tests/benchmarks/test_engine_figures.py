"""The engines' figures, held to their aims."""

from __future__ import annotations

from tests.benchmarks import engine_calls, simulated_memory


async def test_ten_thousand_simulated_sessions_fit_one_worker() -> None:
    """At most 2 KB each, and neither a task nor a timer for an idle one."""
    figures = await simulated_memory.measure(10_000)
    print({name: round(value, 2) for name, value in figures.items()})
    assert figures["fresh"] <= simulated_memory.AIM_BYTES
    assert figures["used"] <= simulated_memory.AIM_BYTES
    assert figures["tasks"] == 0
    assert figures["timers"] < 10


def test_frames_cost_little() -> None:
    """Encoding an act and decoding its result, of the 25 µs that a send may cost."""
    out, back = engine_calls.frame_costs()
    print(f"act out {out:.1f} µs, result in {back:.1f} µs, aim {engine_calls.AIM_US} µs together")
    assert out + back <= engine_calls.AIM_US
