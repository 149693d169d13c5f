"""The verbs that the owner of a session answers, by asking WhatsApp: part of `control.VERBS`."""

from __future__ import annotations

from typing import Final, NamedTuple

from msgspec import Struct

from pywhatsweb.contracts import channel_data as ch
from pywhatsweb.contracts import control_data as d
from pywhatsweb.contracts import history_data as hd
from pywhatsweb.contracts import label_data as lb
from pywhatsweb.contracts import live_data as lv
from pywhatsweb.contracts import marking_data as md

BUDGET_S: Final = 20.0
"""How long WhatsApp may take."""
ASK_S: Final = 25.0
"""How long to wait for the answer: after that nobody gives one."""


class LiveVerb(NamedTuple):
    args: type[d.Args]
    result: type[Struct]
    summary: str
    acts: bool = False
    """It changes something at WhatsApp: without an answer its outcome is unknown."""


VERBS: Final[dict[str, LiveVerb]] = {
    "contact.check": LiveVerb(d.ContactCheck, d.CheckedNumbers, "Which numbers are on WhatsApp"),
    "contact.info": LiveVerb(
        lv.ContactAsk, lv.ContactDetails, "What WhatsApp tells of a person: about, picture, business"
    ),
    "contact.picture": LiveVerb(lv.ContactPictureAsk, lv.Picture, "Where a person's picture is"),
    "contact.block": LiveVerb(lv.ContactAct, lv.Acted, "Take nothing from a person any more", acts=True),
    "contact.unblock": LiveVerb(lv.ContactAct, lv.Acted, "Take it again", acts=True),
    "contact.blocked": LiveVerb(d.SessionRef, lv.Blocked, "Whom the account has blocked"),
    "group.get": LiveVerb(d.GroupRef, lv.Group, "One group, with its members"),
    "group.list": LiveVerb(d.GroupList, lv.Groups, "The groups of a session"),
    "group.create": LiveVerb(lv.GroupCreate, lv.Group, "Make a group", acts=True),
    "group.update": LiveVerb(
        lv.GroupUpdate, lv.Group, "Change its subject, description or settings", acts=True
    ),
    "group.add": LiveVerb(lv.GroupPeople, lv.GroupOutcome, "Add people to a group", acts=True),
    "group.remove": LiveVerb(lv.GroupPeople, lv.GroupOutcome, "Remove people from a group", acts=True),
    "group.promote": LiveVerb(lv.GroupPeople, lv.GroupOutcome, "Make members admins", acts=True),
    "group.demote": LiveVerb(lv.GroupPeople, lv.GroupOutcome, "Make admins members", acts=True),
    "group.leave": LiveVerb(d.GroupRef, lv.Acted, "Leave a group", acts=True),
    "group.invite": LiveVerb(d.GroupRef, lv.GroupLink, "A group's invitation link"),
    "group.revoke": LiveVerb(d.GroupRef, lv.GroupLink, "Make the link void, and a new one", acts=True),
    "group.inspect": LiveVerb(lv.GroupInvitation, lv.Group, "The group that an invitation is for"),
    "group.join": LiveVerb(lv.GroupInvitation, lv.GroupJoined, "Join a group by its link", acts=True),
    "group.requests": LiveVerb(d.GroupRef, lv.GroupRequests, "Who waits to be let in"),
    "group.approve": LiveVerb(lv.GroupPeople, lv.GroupOutcome, "Let them in", acts=True),
    "group.reject": LiveVerb(lv.GroupPeople, lv.GroupOutcome, "Refuse them", acts=True),
    "profile.get": LiveVerb(d.SessionRef, lv.Profile, "What the account shows of itself"),
    "profile.about": LiveVerb(lv.ProfileAbout, lv.Acted, "Change the account's about text", acts=True),
    "profile.name": LiveVerb(lv.ProfileName, lv.Acted, "Change the account's name", acts=True),
    "profile.picture": LiveVerb(
        lv.ProfilePicture, lv.Acted, "Change or remove the account's picture", acts=True
    ),
    "group.picture": LiveVerb(lv.GroupPicture, lv.Acted, "Change or remove a group's picture", acts=True),
    "presence.subscribe": LiveVerb(
        lv.ContactAct, lv.Acted, "Hear when a person is online or types, until the link closes", acts=True
    ),
    "call.reject": LiveVerb(lv.CallReject, lv.Acted, "Refuse a call that rings", acts=True),
    "channel.get": LiveVerb(ch.ChannelRef, ch.Channel, "A channel, and what the account is in it"),
    "channel.create": LiveVerb(ch.ChannelCreate, ch.Channel, "Make a channel", acts=True),
    "channel.follow": LiveVerb(ch.ChannelRef, lv.Acted, "Follow a channel: its posts come", acts=True),
    "channel.unfollow": LiveVerb(ch.ChannelRef, lv.Acted, "Follow it no more", acts=True),
    "channel.mute": LiveVerb(
        ch.ChannelMute, lv.Acted, "Mute a channel on the account's phones, or end that", acts=True
    ),
    "channel.delete": LiveVerb(ch.ChannelRef, lv.Acted, "Delete a channel that the account owns", acts=True),
    "chat.archive": LiveVerb(
        md.ChatArchive, lv.Acted, "Archive a chat of the account, or bring it back", acts=True
    ),
    "chat.mute": LiveVerb(md.ChatMute, lv.Acted, "Mute a chat of the account, or end that", acts=True),
    "chat.pin": LiveVerb(md.ChatPin, lv.Acted, "Pin a chat in the account's list, or unpin it", acts=True),
    "chat.mark": LiveVerb(md.ChatUnread, lv.Acted, "Mark a chat of the account unread, or read", acts=True),
    "history.fetch": LiveVerb(
        hd.HistoryFetch, hd.HistoryFetched, "Ask the phone for older messages of a chat"
    ),
    "label.list": LiveVerb(d.SessionRef, lb.Labels, "The labels of a business account"),
    "label.put": LiveVerb(lb.LabelPut, lb.Label, "Make a label, or change its name or colour", acts=True),
    "label.delete": LiveVerb(lb.LabelRef, lv.Acted, "Delete a label", acts=True),
    "label.add": LiveVerb(lb.LabelAttach, lv.Acted, "Put a label on a chat or message", acts=True),
    "label.remove": LiveVerb(lb.LabelAttach, lv.Acted, "Take a label from a chat or message", acts=True),
    "message.star": LiveVerb(md.MessageStar, lv.Acted, "Star a message, or take the star away", acts=True),
}


def acts(verb: str) -> bool:
    """Whether ``noun.verb`` changes something at WhatsApp."""
    known = VERBS.get(verb)
    return known is not None and known.acts
