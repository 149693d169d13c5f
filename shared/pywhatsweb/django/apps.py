"""The app."""

from __future__ import annotations

from django.apps import AppConfig


class PyWhatsWebConfig(AppConfig):
    name = "pywhatsweb.django"
    label = "pywhatsweb"
    verbose_name = "PyWhatsWeb"
    default_auto_field = "django.db.models.BigAutoField"
