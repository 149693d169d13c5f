"""The sidecar client: engines that live in a Node child process, behind the port."""

from pywhatsweb_fleet.session_worker.engines.sidecar.child import Launch
from pywhatsweb_fleet.session_worker.engines.sidecar.engine import SidecarEngine
from pywhatsweb_fleet.session_worker.engines.sidecar.messages import Config
from pywhatsweb_fleet.session_worker.engines.sidecar.node import find_node, node_launch, sidecar_directory

__all__ = ["Config", "Launch", "SidecarEngine", "find_node", "node_launch", "sidecar_directory"]
