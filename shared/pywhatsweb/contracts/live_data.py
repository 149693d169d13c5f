"""Arguments and results of what is asked of a session while it is WORKING: contacts, profile, groups.

Its owner asks WhatsApp and answers. People are named by `to` (E.164, or national in the tenant's region, ``lid:…``),
groups by their id. An act (`live.acts`) whose answer is E_OUTCOME_UNKNOWN, or that has no answer, may
have been done: look before you ask again.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from pywhatsweb.contracts.control_data import (
    MAX_PUT_BYTES,
    Args,
    GroupRef,
    Name,
    Result,
    SessionRef,
    Who,
)
from pywhatsweb.contracts.event_data import Chat, Person, Timestamp

MAX_PARTICIPANTS = 256
"""Named in one request. A group has at most 1024."""

PictureBytes = Annotated[bytes, Meta(min_length=1, max_length=MAX_PUT_BYTES)]
Subject = Annotated[str, Meta(min_length=1, max_length=100)]
Description = Annotated[str, Meta(max_length=2048)]
Code = Annotated[str, Meta(min_length=1, max_length=128)]
People = Annotated[list[Who], Meta(min_length=1, max_length=MAX_PARTICIPANTS)]


# contact.*


class ContactAsk(Args, frozen=True, kw_only=True):
    """Through `session_id`, or any session of the tenant's that works."""

    to: Who
    session_id: Name | None = None


class ContactPictureAsk(ContactAsk, frozen=True, kw_only=True):
    """`preview`: the small one."""

    preview: bool = False


class ContactAct(SessionRef, frozen=True, kw_only=True):
    to: Who


class BusinessProfile(Result, frozen=True, kw_only=True):
    description: str | None = None
    category: str | None = None
    email: str | None = None
    address: str | None = None
    websites: list[str] = field(default_factory=list)


class ContactDetails(Result, frozen=True, kw_only=True):
    """What WhatsApp tells of a person now. What they hide from this account, or have not, is null.

    `picture` is a URL at WhatsApp that is good for a while.
    """

    person: Person
    session_id: str
    exists: bool
    about: str | None = None
    about_at: Timestamp | None = None
    picture: str | None = None
    business: BusinessProfile | None = None


class Picture(Result, frozen=True, kw_only=True):
    """`url` is good for a while; null when there is none, or it is hidden from this account."""

    session_id: str
    url: str | None = None


class Blocked(Result, frozen=True, kw_only=True):
    """Whom the account has blocked."""

    people: list[Person]


# group.*


class GroupMember(Person, frozen=True, kw_only=True):
    """`role`: member, admin, or owner (who made it)."""

    role: str = "member"


class Group(Result, frozen=True, kw_only=True):
    """A group as WhatsApp tells it now. In lists `participants` are left out; `size` counts them."""

    chat: Chat
    group: str
    subject: str | None = None
    participants: list[GroupMember] = field(default_factory=list)
    size: int = 0
    description: str | None = None
    owner: Person | None = None
    created_at: Timestamp | None = None
    announce: bool = False
    """Only admins send."""
    locked: bool = False
    """Only admins change subject, description and picture."""
    approval: bool = False
    """Who joins by the link waits for an admin."""
    member_add: Literal["admins", "all"] = "admins"
    """Who adds members."""
    disappearing_s: int = 0
    """Messages disappear after so many seconds; 0: they stay."""


class Groups(Result, frozen=True, kw_only=True):
    groups: list[Group]
    cursor: str | None = None


class GroupCreate(SessionRef, frozen=True, kw_only=True):
    """Whom WhatsApp does not let be added, the result's `participants` lack: send them the link (group.invite)."""

    subject: Subject
    participants: Annotated[list[Who], Meta(max_length=MAX_PARTICIPANTS)] = field(default_factory=list)


class GroupUpdate(GroupRef, frozen=True, kw_only=True):
    """What is null stays. Several are done one after the other; when one is refused, `detail` says which were."""

    subject: Subject | None = None
    description: Description | None = None
    """Empty: none."""
    announce: bool | None = None
    locked: bool | None = None
    approval: bool | None = None
    member_add: Literal["admins", "all"] | None = None
    disappearing_s: Annotated[int, Meta(ge=0, le=7_776_000)] | None = None
    """WhatsApp offers 86400, 604800 and 7776000."""


class GroupPeople(GroupRef, frozen=True, kw_only=True):
    participants: People


class GroupPerson(Person, frozen=True, kw_only=True):
    """`ok`, or WhatsApp's reason: 403 (lets only contacts add them: send the link), 404, 408 (left lately), 409 (is
    there already), 419 (full)."""

    ok: bool
    reason: str | None = None


class GroupOutcome(Result, frozen=True, kw_only=True):
    """One each."""

    participants: list[GroupPerson]


class GroupLink(Result, frozen=True, kw_only=True):
    """The invitation: who has it may join."""

    group: str
    code: str
    link: str


class GroupInvitation(SessionRef, frozen=True, kw_only=True):
    """`code`: also a whole link."""

    code: Code


class GroupJoined(Result, frozen=True, kw_only=True):
    """`pending`: an admin has to approve it first."""

    group: str
    pending: bool = False


class GroupRequest(Person, frozen=True, kw_only=True):
    """Who waits to be let in, and how they came: by the link, or added by a member."""

    requested_at: Timestamp | None = None
    method: str | None = None


class GroupRequests(Result, frozen=True, kw_only=True):
    requests: list[GroupRequest]


# profile.*


class ProfileAbout(SessionRef, frozen=True, kw_only=True):
    """Empty: none."""

    about: Annotated[str, Meta(max_length=139)]


class ProfileName(SessionRef, frozen=True, kw_only=True):
    """What people see who have not saved the number. WhatsApp allows 25 characters."""

    name: Annotated[str, Meta(min_length=1, max_length=25)]


class ProfilePicture(SessionRef, frozen=True, kw_only=True):
    """JPEG, PNG, WebP, GIF, BMP or TIFF: its middle, a square of at most 640 pixels, is shown. Null: none any more."""

    data: PictureBytes | None


class GroupPicture(GroupRef, frozen=True, kw_only=True):
    """As `ProfilePicture`; only admins may where the group is `locked`."""

    data: PictureBytes | None


class Profile(Result, frozen=True, kw_only=True):
    """The account's own."""

    session_id: str
    person: Person
    about: str | None = None
    picture: str | None = None


# presence.*, call.*


class CallReject(SessionRef, frozen=True, kw_only=True):
    """`id` and `to` (who calls) are those of the `call` event."""

    id: Code
    to: Who


# Acts without more to tell.


class Acted(Result, frozen=True, kw_only=True):
    """WhatsApp has confirmed it."""

    session_id: str
