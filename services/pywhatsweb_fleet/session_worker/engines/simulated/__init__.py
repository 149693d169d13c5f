"""The simulated engine: a WhatsApp in pure Python, for users without Node, for tests and for load."""

from pywhatsweb_fleet.session_worker.engines.simulated.engine import SimulatedEngine
from pywhatsweb_fleet.session_worker.engines.simulated.settings import (
    CloseLink,
    Delay,
    DropAck,
    Nack,
    Pass,
    RandomFaults,
    SimulatedSettings,
)
from pywhatsweb_fleet.session_worker.engines.simulated.whatsapp import SimulatedWhatsApp

__all__ = [
    "CloseLink",
    "Delay",
    "DropAck",
    "Nack",
    "Pass",
    "RandomFaults",
    "SimulatedEngine",
    "SimulatedSettings",
    "SimulatedWhatsApp",
]
