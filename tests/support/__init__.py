"""What tests share: waiting for conditions and real servers."""

from tests.support.broker import NatsServer, running_nats_server
from tests.support.waiting import block_until, wait_until

__all__ = ["NatsServer", "block_until", "running_nats_server", "wait_until"]
