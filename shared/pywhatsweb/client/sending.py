"""What one asks a session: a method a kind of command, each returning when JetStream has it."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict, Unpack

import msgspec

from pywhatsweb.contracts import commands as c
from pywhatsweb.contracts import content, ids
from pywhatsweb.contracts import control_data as d
from pywhatsweb.contracts import interactive as i
from pywhatsweb.errors import ErrorCode, MediaError

if TYPE_CHECKING:
    from pywhatsweb.client.fleet import FleetClient
    from pywhatsweb.client.outcomes import Outcome, Until

MediaSource = bytes | Path | str
"""The bytes, a file's path, an ``https://`` link, or the id of a stored file (media.put)."""

VERBS: Final[dict[type, str]] = {
    **dict.fromkeys(c.SEND_TYPES.values(), "send"),
    c.Edit: "edit",
    c.Delete: "delete",
    c.Forward: "forward",
    c.Pin: "pin",
    c.Disappearing: "disappearing",
    c.React: "react",
    c.Vote: "vote",
    c.Read: "read",
    c.Presence: "presence",
    c.Cancel: "cancel",
}


class Options(TypedDict, total=False):
    """What every command takes."""

    id: str
    """Idempotency key; the same id is never sent twice. Made at random when absent."""
    expires_at: datetime
    """Aware. Not begun by then, the command ends as `expired`."""
    correlation_id: str
    metadata: dict[str, str | int | float | bool | None]


class SendOptions(Options, total=False):
    """What every send takes beside."""

    reply_to: str
    """WhatsApp id of the message that this one answers."""
    send_at: datetime
    """Aware: not before then."""
    priority: c.Priority
    typing: int
    """Milliseconds of "typing…" before the message."""
    disappear_after: c.Lifetime
    """Seconds; what the chat is set to."""
    purpose: c.SendPurpose
    """``marketing``: never to somebody who opted out. ``service``, the default: only as an answer."""
    audience: list[str]
    """Of a status (``to="status"``): who may see it; by default the people of the session's chats."""


class Handle:
    """A command that JetStream has. Keep its `id`: `FleetClient.handle` makes another from it."""

    __slots__ = ("_fleet", "_published_at", "duplicate", "id", "sequence", "session_id")

    def __init__(
        self,
        fleet: FleetClient,
        session_id: str,
        command_id: str,
        *,
        sequence: int = 0,
        duplicate: bool = False,
        published_at: float = 0.0,
    ) -> None:
        self._fleet = fleet
        self._published_at = published_at
        self.session_id: str = session_id
        self.id: str = command_id
        self.sequence: int = sequence
        """In the stream of commands."""
        self.duplicate: bool = duplicate
        """JetStream had this id already: nothing was stored anew."""

    def __repr__(self) -> str:
        return f"<Handle {self.id} of session {self.session_id}{' (duplicate)' if self.duplicate else ''}>"

    async def outcome(self, until: Until = "sent", timeout: float = 30.0) -> Outcome:
        """Waits until it is `until` or further.

        Raises MessageError with the code of its end when it failed, was rejected or cancelled, or expired;
        DeadlineError (a TimeoutError) when it has not come so far within `timeout` seconds: it still may.
        """
        return await self._fleet.outcomes.reached(
            self.session_id, self.id, until, timeout, 0.0 if self.duplicate else self._published_at
        )

    async def status(self) -> d.MessageStatusInfo:
        """As the fleet has it on record now."""
        return await self._fleet.messages.status(self.id, session_id=self.session_id)

    async def cancel(self) -> Handle:
        """Takes it back if it is not being sent yet."""
        return await self._fleet.session(self.session_id).cancel(self.id)


async def media_fields(fleet: FleetClient, media: MediaSource, mime_type: str | None) -> dict[str, Any]:
    """`id`, `link` or `data` of a media Struct; what is too large for a command is stored first.

    Raises MediaError for a file that cannot be read, RequestError for one that the fleet does not take.
    """
    if isinstance(media, Path):
        mime_type = mime_type or mimetypes.guess_type(media.name)[0]
        try:
            small = media.stat().st_size <= content.MAX_INLINE_BYTES
            found: bytes | Path = media.read_bytes() if small else media
        except OSError as error:
            raise MediaError(ErrorCode.E_MEDIA_SOURCE, {"reason": type(error).__name__}) from None
        media = found
    if isinstance(media, Path) or (isinstance(media, bytes) and len(media) > content.MAX_INLINE_BYTES):
        stored = await fleet.media.put(media, mime_type=mime_type)
        return {"id": stored.id, "mime_type": mime_type}
    if isinstance(media, bytes):
        return {"data": media, "mime_type": mime_type}
    kind = "link" if media.startswith("https://") else "id"
    return {kind: media, "mime_type": mime_type}


def _envelope(options: SendOptions) -> dict[str, Any]:
    found: dict[str, Any] = {**options}
    reply_to = found.pop("reply_to", None)
    if reply_to is not None:
        found["context"] = c.Context(message_id=reply_to)
    return found


class SessionClient:
    """One session, for sending and for its life. Made by `FleetClient.session`; costs nothing."""

    __slots__ = ("_fleet", "id")

    def __init__(self, fleet: FleetClient, session_id: str) -> None:
        self._fleet = fleet
        self.id: str = session_id

    def __repr__(self) -> str:
        return f"<SessionClient {self.id}>"

    async def send(self, command: c.AnyCommand, *, deadline: float | None = None) -> Handle:
        """Publishes any command of the contract, under a new id when it has none.

        Returns when JetStream has it. Until `deadline` (seconds; `connect`'s by default) it is sent again under the
        same id when the broker is silent or the connection is lost. Raises ContractError (nothing was sent),
        BrokerError or DeadlineError (it may be stored or not: send the same id again).
        """
        if command.id is None:
            command = msgspec.structs.replace(command, id=ids.new_command_id())
        return await self._fleet.publish(self.id, VERBS[type(command)], command, deadline)

    async def send_text(
        self,
        to: str,
        body: str,
        *,
        preview_url: bool = False,
        preview: content.LinkPreview | None = None,
        mentions: Sequence[str] = (),
        background: str | None = None,
        **options: Unpack[SendOptions],
    ) -> Handle:
        """A text of 1 to 65536 characters. `mentions`: those whom it names as ``@5511999990001``, as E.164.

        `background` of a status: its colour, ``#075E54``.
        """
        text = content.Text(
            body=body,
            preview_url=preview_url,
            preview=preview,
            mentions=list(mentions),
            background=background,
        )
        return await self.send(c.SendText(to=to, text=text, **_envelope(options)))

    async def send_image(
        self,
        to: str,
        media: MediaSource,
        *,
        caption: str | None = None,
        mime_type: str | None = None,
        view_once: bool = False,
        **options: Unpack[SendOptions],
    ) -> Handle:
        image = content.Image(
            **(await media_fields(self._fleet, media, mime_type)), caption=caption, view_once=view_once
        )
        return await self.send(c.SendImage(to=to, image=image, **_envelope(options)))

    async def send_video(
        self,
        to: str,
        media: MediaSource,
        *,
        caption: str | None = None,
        mime_type: str | None = None,
        view_once: bool = False,
        gif: bool = False,
        **options: Unpack[SendOptions],
    ) -> Handle:
        video = content.Video(
            **(await media_fields(self._fleet, media, mime_type)),
            caption=caption,
            view_once=view_once,
            gif=gif,
        )
        return await self.send(c.SendVideo(to=to, video=video, **_envelope(options)))

    async def send_audio(
        self, to: str, media: MediaSource, *, mime_type: str | None = None, **options: Unpack[SendOptions]
    ) -> Handle:
        """Music or another sound file; a recording of one's voice is `send_voice`."""
        audio = content.Audio(**(await media_fields(self._fleet, media, mime_type)))
        return await self.send(c.SendAudio(to=to, audio=audio, **_envelope(options)))

    async def send_voice(
        self, to: str, media: MediaSource, *, view_once: bool = False, **options: Unpack[SendOptions]
    ) -> Handle:
        """A voice message: Opus in Ogg."""
        voice = content.Voice(**(await media_fields(self._fleet, media, None)), view_once=view_once)
        return await self.send(c.SendVoice(to=to, voice=voice, **_envelope(options)))

    async def send_document(
        self,
        to: str,
        media: MediaSource,
        *,
        filename: str | None = None,
        caption: str | None = None,
        mime_type: str | None = None,
        **options: Unpack[SendOptions],
    ) -> Handle:
        """`filename` is the path's by default."""
        name = filename or (media.name if isinstance(media, Path) else None)
        fields = await media_fields(self._fleet, media, mime_type)
        document = content.Document(**fields, caption=caption, filename=name)
        return await self.send(c.SendDocument(to=to, document=document, **_envelope(options)))

    async def send_sticker(
        self, to: str, media: MediaSource, *, animated: bool = False, **options: Unpack[SendOptions]
    ) -> Handle:
        """WebP, 512 by 512 pixels."""
        sticker = content.Sticker(**(await media_fields(self._fleet, media, "image/webp")), animated=animated)
        return await self.send(c.SendSticker(to=to, sticker=sticker, **_envelope(options)))

    async def send_location(
        self,
        to: str,
        latitude: float,
        longitude: float,
        *,
        name: str | None = None,
        address: str | None = None,
        **options: Unpack[SendOptions],
    ) -> Handle:
        place = content.Location(latitude=latitude, longitude=longitude, name=name, address=address)
        return await self.send(c.SendLocation(to=to, location=place, **_envelope(options)))

    async def send_contacts(
        self, to: str, contacts: Sequence[content.ContactCard], **options: Unpack[SendOptions]
    ) -> Handle:
        return await self.send(c.SendContacts(to=to, contacts=list(contacts), **_envelope(options)))

    async def send_poll(
        self,
        to: str,
        name: str,
        choices: Sequence[str],
        *,
        selectable: int = 1,
        **options: Unpack[SendOptions],
    ) -> Handle:
        """2 to 12 different choices, of which one may choose `selectable`; 0 is any number."""
        poll = content.Poll(name=name, options=list(choices), selectable=selectable)
        return await self.send(c.SendPoll(to=to, poll=poll, **_envelope(options)))

    async def send_interactive(
        self, to: str, interactive: i.Interactive, **options: Unpack[SendOptions]
    ) -> Handle:
        """Buttons, a list, a link …: the Structs of `contracts.interactive`."""
        return await self.send(c.SendInteractive(to=to, interactive=interactive, **_envelope(options)))

    async def send_reaction(
        self, to: str, message_id: str, emoji: str, **options: Unpack[SendOptions]
    ) -> Handle:
        """The Cloud API's form of `react`."""
        reaction = content.Reaction(message_id=message_id, emoji=emoji)
        return await self.send(c.SendReaction(to=to, reaction=reaction, **_envelope(options)))

    async def send_event(
        self,
        to: str,
        name: str,
        start_at: datetime,
        *,
        end_at: datetime | None = None,
        description: str | None = None,
        **options: Unpack[SendOptions],
    ) -> Handle:
        """An event to answer to; times are aware."""
        event = content.EventInvite(name=name, start_at=start_at, end_at=end_at, description=description)
        return await self.send(c.SendEvent(to=to, event=event, **_envelope(options)))

    async def send_template(
        self,
        to: str,
        template: i.Template | str,
        language: str = "pt_BR",
        *,
        variables: Mapping[str, str] | None = None,
        **options: Unpack[SendOptions],
    ) -> Handle:
        """A stored template by its name and the values of its variables; or whole, in the Cloud API's form."""
        if isinstance(template, str):
            template = i.Template(
                name=template, language=i.Language(code=language), variables=dict(variables or {})
            )
        return await self.send(c.SendTemplate(to=to, template=template, **_envelope(options)))

    async def edit(self, to: str, message_id: str, body: str, **options: Unpack[Options]) -> Handle:
        """Replaces the text of a message of this session's, or of a channel's post; for a message's caption, `send` an
        `Edit`."""
        text = content.Text(body=body)
        return await self.send(c.Edit(to=to, message_id=message_id, text=text, **options))

    async def delete_message(
        self,
        to: str,
        message_id: str,
        *,
        for_everyone: bool = True,
        audience: list[str] | None = None,
        **options: Unpack[Options],
    ) -> Handle:
        """`audience` of a status: to whom it went, where the session does not know it (it does for a day)."""
        command = c.Delete(
            to=to, message_id=message_id, for_everyone=for_everyone, audience=audience, **options
        )
        return await self.send(command)

    async def forward(
        self, to: str, message_id: str, *, from_chat: str | None = None, **options: Unpack[Options]
    ) -> Handle:
        return await self.send(c.Forward(to=to, message_id=message_id, from_=from_chat, **options))

    async def pin(
        self,
        to: str,
        message_id: str,
        *,
        pinned: bool = True,
        seconds: Literal[86_400, 604_800, 2_592_000] = 604_800,
        **options: Unpack[Options],
    ) -> Handle:
        """At the top of its chat, for everybody, for a day, a week or 30 days."""
        return await self.send(c.Pin(to=to, message_id=message_id, pinned=pinned, seconds=seconds, **options))

    async def disappearing(
        self, to: str, seconds: Literal[0, 86_400, 604_800, 7_776_000], **options: Unpack[Options]
    ) -> Handle:
        """The chat's messages disappear after so long from now on; 0: they stay."""
        return await self.send(c.Disappearing(to=to, seconds=seconds, **options))

    async def react(self, to: str, message_id: str, emoji: str, **options: Unpack[Options]) -> Handle:
        """Sets an emoji on a message; "" takes it away."""
        return await self.send(c.React(to=to, message_id=message_id, emoji=emoji, **options))

    async def vote(
        self, to: str, message_id: str, choices: Sequence[str], **options: Unpack[Options]
    ) -> Handle:
        """In a poll, by the names of all options that are chosen from now on; none takes the vote back."""
        return await self.send(c.Vote(to=to, message_id=message_id, options=list(choices), **options))

    async def mark_read(self, to: str, message_ids: Sequence[str], **options: Unpack[Options]) -> Handle:
        return await self.send(c.Read(to=to, message_ids=list(message_ids), **options))

    async def presence(
        self,
        state: Literal["available", "unavailable", "composing", "recording", "paused"],
        to: str | None = None,
        **options: Unpack[Options],
    ) -> Handle:
        """`composing`, `recording` and `paused` are shown in the chat `to`."""
        return await self.send(c.Presence(state=state, to=to, **options))

    async def cancel(self, command_id: str, **options: Unpack[Options]) -> Handle:
        """Takes back a command that is not being sent yet; the handle is of the cancellation itself."""
        return await self.send(c.Cancel(command_id=command_id, **options))

    # Its life: see `control.Sessions`.

    async def start(
        self,
        *,
        engine: d.Engine | None = None,
        phone_number: str | None = None,
        pairing: Literal["qr", "code"] = "qr",
        proxy: str | None = None,
        metadata: dict[str, str | int | float | bool | None] | None = None,
        settings: d.SessionSettings | None = None,
    ) -> d.SessionInfo:
        return await self._fleet.sessions.start(
            self.id,
            engine=engine,
            phone_number=phone_number,
            pairing=pairing,
            proxy=proxy,
            metadata=metadata,
            settings=settings,
        )

    async def stop(self) -> d.SessionInfo:
        return await self._fleet.sessions.stop(self.id)

    async def restart(self) -> d.SessionInfo:
        return await self._fleet.sessions.restart(self.id)

    async def logout(self) -> d.SessionInfo:
        return await self._fleet.sessions.logout(self.id)

    async def delete(self) -> d.SessionInfo:
        return await self._fleet.sessions.delete(self.id)

    async def status(self) -> d.SessionInfo:
        return await self._fleet.sessions.status(self.id)

    async def capabilities(self) -> d.SessionCapabilities:
        return await self._fleet.sessions.capabilities(self.id)

    async def qr(self) -> d.SessionQr:
        return await self._fleet.sessions.qr(self.id)
