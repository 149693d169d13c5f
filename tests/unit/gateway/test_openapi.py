"""The OpenAPI document, and the page that shows it."""

from __future__ import annotations

import json
import re

import jsonschema

from pywhatsweb.contracts import control
from pywhatsweb_fleet.gateway import openapi
from pywhatsweb_fleet.gateway.rest import docs_page, tables, waha_chats
from pywhatsweb_fleet.gateway.rest.pages import document


def test_every_route_and_verb_is_in_the_document() -> None:
    """Each route stands there once, with an id of its own, and every reference leads somewhere."""
    found = json.loads(document())
    assert found["openapi"] == "3.1.0"
    ids = [operation["operationId"] for item in found["paths"].values() for operation in item.values()]
    assert len(ids) == len(set(ids)) == len(tables.ROUTES) + 6
    for verb in control.VERBS:
        assert "post" in found["paths"]["/v1/" + verb.replace(".", "/")]
    references = set(re.findall(r'"#/components/schemas/([^"]+)"', document().decode()))
    assert references <= found["components"]["schemas"].keys()
    for schema in found["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    assert json.loads(json.dumps(openapi.document(tables.ROUTES))) == found


def test_only_what_must_be_open_is_public() -> None:
    """Without a key one gets the document, its page, the health and the way in, and nothing else."""
    public = {route.path for route in tables.ROUTES if route.public}
    assert public == {"/openapi.json", "/docs", "/health", "/v1/signin", "/v1/signout"}
    # The Cloud API's and WAHA's handlers look at the scope too, so every other route names one.
    unscoped = [route.path for route in tables.ROUTES if route.scope is None and not route.public]
    assert unscoped == ["/v1/tokens", "/v1/me", "/v1/me/password"]  # about oneself


def test_the_page_needs_no_other_address() -> None:
    """Nothing is loaded from elsewhere."""
    assert "//" not in docs_page.PAGE.replace("https://html", "")


def test_wahas_chat_ids() -> None:
    """A number's id becomes E.164; groups and LIDs stay."""
    assert waha_chats.recipient("5511999990001@c.us") == "+5511999990001"
    assert waha_chats.recipient("1203630@g.us") == "1203630@g.us"
    assert waha_chats.recipient("5511999990001") == "+5511999990001"
