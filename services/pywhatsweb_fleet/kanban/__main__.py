"""Starts the kanban service: ``python -m pywhatsweb_fleet.kanban``, or ``pww run kanban``."""

from __future__ import annotations

import os
import sys
from functools import partial

from pywhatsweb_fleet.kanban import app
from pywhatsweb_fleet.kanban.settings import KanbanSettings
from pywhatsweb_runtime import lifecycle, logs
from pywhatsweb_runtime import settings as environment


def main() -> int:
    try:
        settings = environment.load(KanbanSettings, os.environ)
    except environment.SettingsError as error:
        return lifecycle.fail(str(error))
    logs.set_up("kanban", form=settings.log_format, level=settings.log_level, path=settings.log_path)
    return lifecycle.run(partial(app.run, settings))


if __name__ == "__main__":
    sys.exit(main())
