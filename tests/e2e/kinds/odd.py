"""What people may write, as hypothesis strategies: any Unicode, sizes at the limits, odd names, empty optionals."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import strategies as st

from pywhatsweb.contracts import content as c
from tests.e2e.kinds.cases import inner
from tests.e2e.kinds.stage import Stage, b64

_TRICKS = (
    "\u202e\u2066evil\u2069",
    "\u200b",
    "\ufeffa",
    "e\u0301",
    "👩‍👩‍👧‍👦",
    "\U0010ffff",
    "a\u0000b",
    "\r\n\t",
    "'\"\\;:,",
)


def words(most: int, least: int = 1) -> st.SearchStrategy[str]:
    """Not only white space; `most` characters now and then."""
    some = st.text(st.characters(exclude_categories=["Cs"]), min_size=least, max_size=40) | st.sampled_from(
        _TRICKS
    )
    full = st.sampled_from("aé🦜\u200d").map(lambda sign: sign * most)
    return (some | full).filter(lambda text: bool(text.strip()) and least <= len(text) <= most)


def optional(field: str, strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.just({}) | strategy.map(lambda value: {field: value})


def joined(*parts: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.tuples(*parts).map(
        lambda found: {name: value for part in found for name, value in part.items()}
    )


degrees = st.floats(-90, 90, allow_nan=False).map(lambda value: round(value, 6))
texts = words(c.MAX_TEXT).map(lambda body: ("text", {"body": body}))
places = joined(
    st.fixed_dictionaries({"latitude": degrees, "longitude": degrees}),
    optional("name", words(1000)),
    optional("address", words(1000)),
).map(lambda place: ("location", place))
polls = st.fixed_dictionaries(
    {
        "name": words(c.MAX_POLL_NAME),
        "options": st.lists(words(c.MAX_POLL_OPTION), min_size=2, max_size=12, unique=True),
        "selectable": st.integers(0, 2),
    }
).map(lambda poll: ("poll", poll))
cards = joined(
    st.fixed_dictionaries({"name": joined(
        st.fixed_dictionaries({"formatted_name": words(200)}), optional("first_name", words(60)),
        optional("last_name", words(60)),
    )}),
    st.just({"phones": [{"phone": "+55 11 91111-1111", "type": "CELL", "wa_id": "5511911111111"}]}),
    optional("org", joined(st.fixed_dictionaries({"company": words(60)}), optional("department", words(60)))),
    optional("urls", st.just([{"url": "https://example.org/?a=1;b=2,3"}])),
    optional("birthday", st.just("1990-01-31")),
).map(lambda card: ("contacts", [card]))  # fmt: skip
documents = joined(
    optional("caption", words(c.MAX_CAPTION)), optional("filename", words(c.MAX_FILENAME))
).map(lambda document: ("document", document))
messages = st.one_of(texts, places, polls, cards, documents)


def _fits_a_page(message: tuple[str, Any]) -> bool:
    """WhatsApp Web has a place's name and address as two lines of one text."""
    kind, content = message
    return kind != "location" or not any("\n" in content.get(line, "") for line in ("name", "address"))


in_a_page = messages.filter(_fits_a_page)
_AS_PROTO = {
    "text": (("extendedTextMessage", "conversation"), {"body": "text"}),
    "location": (("locationMessage",), {"name": "name", "address": "address"}),
    "poll": (("pollCreationMessage", "pollCreationMessageV3"), {"name": "name"}),
    "document": (("documentMessage",), {"caption": "caption", "filename": "fileName"}),
    "contacts": (("contactMessage",), {}),
}


async def there_and_back(stage: Stage, kind: str, content: Any) -> None:
    """What the contact opened says what was sent, and is told as it was sent when the contact sends it back."""
    sent = {**content, "data": b64(b"%PDF-1.4 " + os.urandom(64))} if kind == "document" else content
    shown = inner(await stage.sent(kind, sent))
    fields, names = _AS_PROTO[kind]
    field = next(name for name in fields if name in shown)
    seen = shown[field] if field != "conversation" else {"text": shown[field]}
    field = field if field != "conversation" else "extendedTextMessage"
    for ours, theirs in names.items():
        if ours in content or ours != "filename":  # a document without a name is given one by its engine
            assert seen.get(theirs) == content.get(ours), (kind, ours)
    told = (await stage.said(type="message", message={field: seen}))[kind]
    if kind == "document":
        told = {name: value for name, value in told.items() if name in content}
    if kind == "poll":
        told = {"selectable": 1, **told}
    assert told == content
