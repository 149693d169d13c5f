"""The control plane: request/reply on ``wa.ctl.<tenant>.<noun>.<verb>``.

An answer is ``{"ok": true, "data": …}`` or ``{"ok": false, "error": {…}}`` in the form of the request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, NamedTuple, TypeVar

from msgspec import Struct

from pywhatsweb.contracts import codec, decoding, live
from pywhatsweb.contracts import consent_data as cs
from pywhatsweb.contracts import consumer_data as cd
from pywhatsweb.contracts import control_data as d
from pywhatsweb.contracts import deadletter_data as dl
from pywhatsweb.contracts import inbox_data as ib
from pywhatsweb.contracts import kanban_data as k
from pywhatsweb.contracts import label_data as lb
from pywhatsweb.contracts import law_data as ld
from pywhatsweb.contracts import media_data as m
from pywhatsweb.contracts import record_data as r
from pywhatsweb.contracts import template_data as t
from pywhatsweb.contracts import usage_data as ud
from pywhatsweb.contracts import webhook_data as w
from pywhatsweb.contracts.codec import Form
from pywhatsweb.errors import (
    ContractError,
    ErrorBody,
    ErrorCode,
    RequestError,
    error_struct,
)

T = TypeVar("T")


class Verb(NamedTuple):
    args: type[d.Args]
    result: type[Struct]
    summary: str


VERBS: dict[str, Verb] = {
    "session.start": Verb(d.SessionStart, d.SessionInfo, "Create a session if it is new, and start it"),
    "session.stop": Verb(d.SessionRef, d.SessionInfo, "Disconnect; the device stays linked"),
    "session.restart": Verb(d.SessionRef, d.SessionInfo, "Stop, then start"),
    "session.logout": Verb(d.SessionRef, d.SessionInfo, "Unlink the device at WhatsApp and stop"),
    "session.delete": Verb(
        d.SessionRef, d.SessionInfo, "Log out, then forget the session and its credentials"
    ),
    "session.status": Verb(d.SessionRef, d.SessionInfo, "A session as it is now"),
    "session.list": Verb(d.SessionList, d.Sessions, "The tenant's sessions"),
    "session.qr": Verb(d.SessionRef, d.SessionQr, "The present QR code"),
    "session.capabilities": Verb(
        d.SessionRef, d.SessionCapabilities, "What the session's engine can send and do"
    ),
    "inbox.set": Verb(ib.InboxSet, ib.InboxInfo, "Put several sessions under one name, or change that"),
    "inbox.get": Verb(ib.InboxRef, ib.InboxInfo, "One inbox, and how many people each session has"),
    "inbox.list": Verb(d.Nothing, ib.Inboxes, "The tenant's inboxes"),
    "inbox.delete": Verb(ib.InboxDelete, ib.InboxDeleted, "Forget an inbox; its sessions stay"),
    "message.status": Verb(d.MessageStatusArgs, d.MessageStatusInfo, "How far a command has come"),
    "message.get": Verb(r.MessageGet, d.StoredMessage, "One message of the record, by its id at WhatsApp"),
    "message.search": Verb(r.MessageSearch, d.Messages, "Messages with these words, the newest first"),
    "analytics.counts": Verb(
        r.AnalyticsCounts, r.Counts, "How many messages came and went, by day and session"
    ),
    "analytics.responses": Verb(r.AnalyticsResponses, r.Responses, "How soon contacts were answered"),
    "chat.list": Verb(d.ChatList, d.Chats, "Chats, the latest first"),
    "chat.messages": Verb(d.ChatMessages, d.Messages, "Messages of a chat, newest first"),
    "chat.assign": Verb(d.ChatAssign, k.CardInfo, "Give a chat to an attendant"),
    "chat.done": Verb(d.ChatMove, k.CardInfo, "Close a chat"),
    "chat.reopen": Verb(d.ChatMove, k.CardInfo, "Put a closed chat back to new"),
    "chat.take": Verb(k.ChatTake, k.CardInfo, "Take a chat that nobody has"),
    "chat.release": Verb(k.ChatRelease, k.CardInfo, "Give a chat back to the queue"),
    "chat.tag": Verb(k.ChatTag, k.CardInfo, "Add and remove tags, or set the priority"),
    "chat.note": Verb(k.ChatNote, k.CardInfo, "Write a note on a chat's card"),
    "chat.snooze": Verb(k.ChatSnooze, k.CardInfo, "Put a chat out of sight for a while"),
    "chat.card": Verb(d.ChatRef, k.CardInfo, "A chat's card on the board"),
    "chat.history": Verb(k.ChatHistory, k.CardChanges, "What happened to a chat's card, newest first"),
    "attendant.set": Verb(k.AttendantSet, k.AttendantInfo, "Make an attendant known, or change one"),
    "attendant.list": Verb(d.Nothing, k.Attendants, "The tenant's attendants and their open chats"),
    "policy.get": Verb(d.Nothing, k.PolicyInfo, "How the tenant's board behaves"),
    "policy.set": Verb(k.PolicySet, k.PolicyInfo, "Change that, from the next decision on"),
    "template.put": Verb(
        t.TemplatePut, t.TemplateInfo, "Store a template in one language, or replace it there"
    ),
    "template.get": Verb(t.TemplateRef, t.TemplateInfo, "One template in one language"),
    "template.list": Verb(t.TemplateList, t.Templates, "The tenant's templates, by name and language"),
    "template.delete": Verb(
        t.TemplateDelete, t.TemplateDeleted, "Forget a template in one language, or in all"
    ),
    "template.preview": Verb(t.TemplatePreview, t.TemplateRendered, "What a template would be sent as"),
    **{verb: Verb(known.args, known.result, known.summary) for verb, known in live.VERBS.items()},
    "contact.get": Verb(d.ContactRef, d.ContactInfo, "One contact"),
    "contact.list": Verb(d.ContactList, d.Contacts, "Known contacts"),
    "contact.opt_out": Verb(
        cs.OptChange, cs.ContactConsents, "Somebody does not want to be written to any more"
    ),
    "contact.opt_in": Verb(cs.OptChange, cs.ContactConsents, "They want to again"),
    "consent.record": Verb(cs.ConsentRecord, cs.ContactConsents, "Keep what somebody agreed to"),
    "consent.withdraw": Verb(cs.ConsentWithdraw, cs.ContactConsents, "They agree to it no longer"),
    "consent.get": Verb(
        cs.PersonArgs, cs.ContactConsents, "What somebody agreed to, and whether they opted out"
    ),
    "consent.check": Verb(cs.ConsentCheck, cs.CheckedConsents, "Which of these people may be written to"),
    "consent.declare": Verb(cs.CampaignDeclare, cs.Declared, "Note on which basis many are written to"),
    "consent.list": Verb(cs.ConsentList, cs.Consents, "Who agreed to what"),
    "consent.opt_outs": Verb(d.Page, cs.OptOuts, "Who opted out"),
    "consent.words": Verb(d.Nothing, cs.WordsInfo, "The words that opt their sender out"),
    "consent.set_words": Verb(cs.WordsSet, cs.WordsInfo, "Change them"),
    "media.put": Verb(d.MediaPut, d.MediaInfo, "Store a small file for sending"),
    "media.get": Verb(d.MediaGet, d.MediaPart, "A part of a stored file"),
    "media.begin": Verb(m.MediaBegin, m.MediaUpload, "Announce a file that comes in parts"),
    "media.part": Verb(m.MediaUploadPart, m.MediaUpload, "A part of it"),
    "media.finish": Verb(m.MediaFinish, d.MediaInfo, "Put the parts together and keep the file"),
    "media.abort": Verb(m.MediaUploadRef, m.MediaUpload, "Give an upload up"),
    "media.show": Verb(m.MediaRef, m.MediaEntry, "What is known of a stored file"),
    "media.list": Verb(m.MediaList, m.MediaEntries, "Stored files, newest first"),
    "media.delete": Verb(m.MediaRef, m.MediaEntry, "Let a stored file go"),
    "data.export": Verb(
        ld.DataExport, ld.Export, "Begin to put together everything about a person, or of the tenant"
    ),
    "data.export_status": Verb(ld.ExportRef, ld.Export, "How far an export has come"),
    "data.download": Verb(ld.DataDownload, ld.ExportPart, "A part of an export's ZIP"),
    "data.erase": Verb(ld.DataErase, ld.ErasureReceipt, "Begin to erase a person everywhere"),
    "data.erase_status": Verb(
        ld.ErasureRef, ld.ErasureReceipt, "How far an erasure has come, and its receipt"
    ),
    "retention.get": Verb(d.Nothing, ld.RetentionInfo, "How long things are kept"),
    "retention.set": Verb(ld.RetentionSet, ld.RetentionInfo, "Change that for one kind"),
    "audit.list": Verb(ld.AuditList, ld.Audit, "Who did what, newest first"),
    "audit.verify": Verb(ld.AuditVerify, ld.AuditVerdict, "Whether the audit trail is as it was written"),
    "deadletter.list": Verb(
        dl.DeadLetterList, dl.DeadLetters, "Commands and events that were set aside, oldest first"
    ),
    "deadletter.show": Verb(dl.DeadLetterRef, dl.DeadLetterDetail, "One of them, with what it holds"),
    "deadletter.redrive": Verb(dl.DeadLetterRedrive, dl.Redriven, "Put them back"),
    "deadletter.drop": Verb(dl.DeadLetterDrop, dl.Dropped, "Give them up, on record"),
    "consumer.create": Verb(
        cd.ConsumerCreate, cd.ConsumerInfo, "Make a durable reader of events, or find it"
    ),
    "consumer.delete": Verb(cd.ConsumerRef, cd.ConsumerInfo, "Forget a durable reader and its place"),
    "consumer.list": Verb(d.Nothing, cd.Consumers, "The tenant's durable readers"),
    "webhook.create": Verb(w.WebhookCreate, w.WebhookInfo, "Have events posted to a URL, or change that"),
    "webhook.get": Verb(w.WebhookRef, w.WebhookInfo, "One webhook and how it does"),
    "webhook.list": Verb(d.Nothing, w.Webhooks, "The tenant's webhooks"),
    "webhook.delete": Verb(w.WebhookRef, w.WebhookInfo, "Forget a webhook and what waits for it"),
    "webhook.enable": Verb(
        w.WebhookEnable, w.WebhookInfo, "Post again, from now on or from where it stopped"
    ),
    "webhook.disable": Verb(w.WebhookRef, w.WebhookInfo, "Post nothing until it is enabled"),
    "webhook.rotate": Verb(w.WebhookRotate, w.WebhookInfo, "Change the secret; for a while both sign"),
    "webhook.test": Verb(w.WebhookRef, w.WebhookDelivery, "Post a test event now"),
    "webhook.deliveries": Verb(w.WebhookLog, w.WebhookDeliveries, "The last tries, newest first"),
    "webhook.deadletters": Verb(
        w.WebhookDead, w.WebhookDeadLetters, "Events that were given up, newest first"
    ),
    "webhook.redrive": Verb(w.WebhookRedrive, w.WebhookRedriven, "Try them again"),
    "usage.get": Verb(ud.UsageGet, ud.Usage, "What the tenant used, day by day, and what it may use"),
    "health.get": Verb(d.Nothing, d.Health, "Whether the fleet works for this tenant"),
}


class Reply(Struct, Generic[T], frozen=True, kw_only=True, omit_defaults=True):
    """The envelope of an answer: `data` with ``ok: true``, `error` with ``ok: false``."""

    ok: bool
    data: T | None = None
    error: ErrorBody | None = None


def parse(verb: str, raw: bytes) -> Any:
    """The arguments of the request ``noun.verb`` as its Struct; an empty body counts as no arguments.

    Raises ContractError and nothing else.
    """
    known = VERBS.get(verb)
    if known is None:
        raise ContractError(ErrorCode.E_UNKNOWN_VERB)
    args = decoding.decode(raw or b"{}", known.args)
    check(args)
    return args


def _missing(field: str) -> ContractError:
    return ContractError(ErrorCode.E_MISSING_FIELD, {"path": "$", "field": field})


def check(args: d.Args) -> None:
    """What the types cannot say. Raises ContractError."""
    if isinstance(args, d.ChatRef) and (args.to is None) == (args.chat is None):
        raise _missing("to")
    if isinstance(args, cs.PersonArgs) and (args.to is None) == (args.chat is None):
        raise _missing("to")
    if isinstance(args, d.ContactRef) and [args.to, args.phone_number, args.chat].count(None) != 2:
        raise _missing("to")
    if isinstance(args, d.SessionStart) and args.pairing == "code" and args.phone_number is None:
        raise _missing("phone_number")
    if isinstance(args, d.MediaGet | m.MediaRef) and (args.id is None) == (args.message_id is None):
        raise _missing("id")
    if isinstance(args, dl.DeadLetterChoice) and args.all == (args.id is not None):
        raise _missing("id")
    if isinstance(args, lb.LabelPut) and args.name is None and (args.label_id is None or args.color is None):
        raise _missing("name")
    _check_own(args)


def _check_own(args: d.Args) -> None:
    """What stands beside the Structs themselves."""
    match args:
        case r.MessageSearch():
            r.check_search(args)
        case k.PolicySet():
            k.check_policy(args.policy)
        case ib.InboxSet():
            ib.check_set(args)
        case t.TemplatePut():
            t.check_put(args)
        case ud.UsageGet():
            ud.check_usage(args)
        case cs.WordsSet():
            cs.check_words(args)
        case cd.ConsumerCreate():
            cd.check_create(args)
        case w.WebhookCreate():
            w.check_create(args)
        case w.WebhookRotate():
            w.check_secret(args.secret)
        case w.WebhookRedrive():
            w.check_redrive(args)


def success(data: Any, form: Form = "msgpack") -> bytes:
    """The body ``{"ok": true, "data": data}``."""
    return codec.encode({"ok": True, "data": data}, form)


def failure(code: ErrorCode, details: Mapping[str, Any] | None = None, form: Form = "msgpack") -> bytes:
    """The body ``{"ok": false, "error": …}``."""
    return codec.encode({"ok": False, "error": error_struct(code, details)}, form)


def read_reply(raw: bytes, result: type[T] | Any) -> T:
    """The `data` of an answer as `result`. Raises RequestError with the answer's code, or ContractError."""
    reply: Reply[T] = decoding.decode(raw, Reply[result])  # type: ignore[valid-type]
    if not reply.ok or reply.data is None:
        error = reply.error or ErrorBody(code=ErrorCode.E_INTERNAL.wire)
        raise RequestError(ErrorCode.from_wire(error.code), error.details)
    return reply.data
