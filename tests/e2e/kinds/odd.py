"""What people may write, as hypothesis strategies: any Unicode, sizes at the limits, odd names, empty optionals."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from pywhatsweb.contracts import content as c

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
