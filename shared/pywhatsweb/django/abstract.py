"""Models to derive one's own from. ``document`` has everything; the fields beside it are for finding and showing."""

from __future__ import annotations

from django.db import models


class _Dated(models.Model):
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        abstract = True


class AbstractSession(_Dated):
    session_id = models.CharField(max_length=100, unique=True)
    tenant_id = models.CharField(max_length=64, null=True, blank=True)
    status = models.CharField(max_length=20, default="disconnected")
    phone_number = models.CharField(max_length=32, null=True, blank=True)

    class Meta:
        abstract = True


class AbstractMessage(_Dated):
    message_id = models.CharField(max_length=255, unique=True)
    content = models.TextField(blank=True)
    sender = models.CharField(max_length=128, db_index=True)
    recipient = models.CharField(max_length=128, db_index=True)
    message_type = models.CharField(max_length=20)
    status = models.CharField(max_length=20)
    trace_id = models.CharField(max_length=100)
    timestamp = models.DateTimeField(db_index=True)
    document = models.JSONField(default=dict)

    class Meta:
        abstract = True


class AbstractContact(_Dated):
    phone = models.CharField(max_length=128, unique=True)
    name = models.CharField(max_length=255, null=True, blank=True)
    is_group = models.BooleanField(default=False)
    document = models.JSONField(default=dict)

    class Meta:
        abstract = True


class AbstractGroup(AbstractContact):
    class Meta:
        abstract = True


class AbstractChat(_Dated):
    chat_id = models.CharField(max_length=128, unique=True)
    status = models.CharField(max_length=20, db_index=True)
    owner_id = models.CharField(max_length=128, null=True, blank=True)
    last_message_at = models.DateTimeField(null=True, blank=True)
    document = models.JSONField(default=dict)

    class Meta:
        abstract = True


class AbstractEvent(models.Model):
    trace_id = models.CharField(max_length=100, unique=True)
    session_id = models.CharField(max_length=100)
    event_type = models.CharField(max_length=100)
    user_id = models.CharField(max_length=128, null=True, blank=True, db_index=True)
    timestamp = models.DateTimeField(db_index=True)
    document = models.JSONField(default=dict)

    class Meta:
        abstract = True
