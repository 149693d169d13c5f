"""The app's own tables."""

from __future__ import annotations

from pywhatsweb.django import abstract


class Session(abstract.AbstractSession):
    pass


class Message(abstract.AbstractMessage):
    pass


class Contact(abstract.AbstractContact):
    pass


class Chat(abstract.AbstractChat):
    pass


class Event(abstract.AbstractEvent):
    pass
