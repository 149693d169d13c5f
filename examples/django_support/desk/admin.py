"""What the project's own database has of the conversations, to look at and not to change."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from pywhatsweb.django.models import Message


@admin.register(Message)
class MessageAdmin(admin.ModelAdmin):
    list_display = ("timestamp", "sender", "recipient", "content")
    search_fields = ("content", "sender", "recipient")

    def has_add_permission(self, _request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        return False
