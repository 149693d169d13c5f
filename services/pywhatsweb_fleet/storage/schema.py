"""Every table there is. Whoever goes over all of them (migrating, copying, erasing) takes ``metadata`` from here and
nowhere else: it holds the tables whose modules were imported, so from any other place it may lack some."""

from __future__ import annotations

from pywhatsweb_fleet.storage import (  # noqa: F401 - imported for their tables
    consent_tables,
    inbox_tables,
    kanban_tables,
    law_tables,
    media_tables,
    template_tables,
    webhook_tables,
)
from pywhatsweb_fleet.storage.tables import metadata

__all__ = ["metadata"]
