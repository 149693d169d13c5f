"""``label.*`` and the event `label`: the labels of a WhatsApp Business account, which its devices share.

They are the account's own: nobody else sees them, and the board's tags (``chat.tag``) are something else. An account
that is no business keeps them too, and its phone shows none.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from pywhatsweb.contracts.content import MessageRef
from pywhatsweb.contracts.control_data import Result, SessionRef, Who
from pywhatsweb.contracts.event_data import Chat, Data

LabelId = Annotated[str, Meta(pattern=r"^[0-9]{1,9}$", description="WhatsApp's number of it")]
LabelName = Annotated[str, Meta(min_length=1, max_length=100)]
Colour = Annotated[int, Meta(ge=0, le=19, description="One of WhatsApp's twenty")]


class LabelPut(SessionRef, frozen=True, kw_only=True):
    """Without `label_id` a new one, which needs a `name`; with it, what is not null is changed."""

    label_id: LabelId | None = None
    name: LabelName | None = None
    color: Colour | None = None


class LabelRef(SessionRef, frozen=True, kw_only=True):
    label_id: LabelId


class LabelAttach(LabelRef, frozen=True, kw_only=True):
    """On the chat `to` (a person or a group's id), or on one message of it."""

    to: Annotated[Who, Meta(description="A person or a group")]
    message_id: MessageRef | None = None


class Label(Result, frozen=True, kw_only=True):
    """`color` null: the session's engine does not tell it."""

    label_id: str
    name: str
    color: int | None = None


class Labels(Result, frozen=True, kw_only=True):
    """Those that are not deleted."""

    session_id: str
    labels: list[Label]


class LabelChange(Data, frozen=True, kw_only=True):
    """`change`: put (`name` and `color` as they are now), delete, add or remove (`chat`, or `message_id` in it)."""

    label_id: str
    change: str
    name: str | None = None
    color: int | None = None
    chat: Chat | None = None
    message_id: str | None = None
