"""A policy's rules: what the board does by itself when something happens to a chat.

A rule fires at most once for what it answers to (a transition of a card; or, outside hours, the time until the next
opening), through crashes and whichever replica sees it. Nothing that a rule does is a trigger, and a message that one
sends neither opens, starts nor answers a chat: rules cannot set each other off.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from pywhatsweb.contracts.control_data import Args, Name
from pywhatsweb.contracts.template_data import LanguageCode, TemplateName, Values

MAX_RULES = 64
COMMAND_PREFIX = "pww-rule-"
"""Of the ids of commands that rules send."""
TARGET_HEADER = "Pww-Webhook"
"""Of an alert that is for one webhook alone."""

Trigger = Literal["opened", "reopened", "assigned", "started", "done", "warning", "overdue", "outside_hours"]
Tag = Annotated[str, Meta(min_length=1, max_length=64)]


class SendTemplateAction(Args, frozen=True, kw_only=True, tag_field="do", tag="send_template"):
    """Sends a stored template into the chat, unless `within_minutes` have gone by without it.

    In the values ``{name}`` is the contact's name ("" if unknown), ``{owner}`` the attendant's id, ``{session}`` the
    session. A template that is missing by then ends the command as rejected, with its code.
    """

    template: TemplateName
    language: LanguageCode
    variables: Values = field(default_factory=dict)
    within_minutes: Annotated[float, Meta(gt=0, le=525_600)] = 1440


class AddTagsAction(Args, frozen=True, kw_only=True, tag_field="do", tag="add_tags"):
    tags: Annotated[list[Tag], Meta(min_length=1, max_length=32)]


class AlertAction(Args, frozen=True, kw_only=True, tag_field="do", tag="alert"):
    """An `alert` event of the kind ``rule``; its details have `message` and `severity`."""

    message: Annotated[str, Meta(min_length=1, max_length=500)]
    severity: Literal["low", "medium", "high", "critical"] = "medium"


class WebhookAction(Args, frozen=True, kw_only=True, tag_field="do", tag="webhook"):
    """The same event, posted to this webhook and no other one: signed, retried and logged as its posts are.

    The webhook's types have ``alert`` among them.
    """

    webhook_id: Name
    message: Annotated[str, Meta(max_length=500)] | None = None


Action = SendTemplateAction | AddTagsAction | AlertAction | WebhookAction


class Rule(Args, frozen=True, kw_only=True):
    """`on`: what it answers to. ``outside_hours``: the customer writes while `Policy.hours` are closed.

    `deadline`: of a warning or an overdue chat, only this one. `sessions`: only in these. `tags`: only a chat that has
    all of them by then; those that rules before it in the list have added count. One that is not `enabled` stays in
    the list and does nothing.
    """

    id: Name
    on: Annotated[list[Trigger], Meta(min_length=1, max_length=8)]
    do: Action
    sessions: Annotated[list[Name], Meta(min_length=1, max_length=64)] | None = None
    deadline: Literal["first_response", "resolution"] | None = None
    tags: Annotated[list[Tag], Meta(min_length=1, max_length=32)] | None = None
    enabled: bool = True
