"""A Django project in a file, with the shipped app and an app with models of its own."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

OWN = "own_models_of_tests"


def set_up(database: Path) -> None:
    """Once a process: Django knows one project."""
    import django
    from django.conf import settings
    from django.core.management import call_command

    settings.configure(
        INSTALLED_APPS=["pywhatsweb.django"],
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": str(database),
                "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
            }
        },
        USE_TZ=True,
    )
    django.setup()
    call_command("migrate", verbosity=0)
    call_command("makemigrations", "pywhatsweb", check=True, dry_run=True, verbosity=0)
    from django.db import connection

    with connection.schema_editor() as editor:
        for model in _make_own().values():
            editor.create_model(model)


def _make_own() -> dict[str, Any]:
    """As somebody derives them from the abstract models, in another app."""
    from pywhatsweb.django import abstract

    module = sys.modules.setdefault(OWN, types.ModuleType(OWN))
    bases = {
        "session": abstract.AbstractSession,
        "message": abstract.AbstractMessage,
        "contact": abstract.AbstractContact,
        "group": abstract.AbstractGroup,
        "chat": abstract.AbstractChat,
        "event": abstract.AbstractEvent,
    }
    for name, base in bases.items():
        if not hasattr(module, name):
            meta = type("Meta", (), {"app_label": OWN})
            setattr(module, name, type(f"Own{name.title()}", (base,), {"__module__": OWN, "Meta": meta}))
    return {name: getattr(module, name) for name in bases}


def own_models() -> dict[str, Any]:
    """The arguments of `set_models`."""
    return {f"{name}_model": model for name, model in _make_own().items()}


def flush() -> None:
    """Every table is empty then."""
    from django.apps import apps

    for model in [*apps.get_app_config("pywhatsweb").get_models(), *_make_own().values()]:
        model.objects.all().delete()
