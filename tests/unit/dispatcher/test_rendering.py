"""A stored template and values to a message: what is filled, what is refused, and that values stay values."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywhatsweb.contracts import codec
from pywhatsweb.contracts import interactive as i
from pywhatsweb.contracts import template_data as t
from pywhatsweb.errors import ContractError
from pywhatsweb_fleet.dispatcher.rendering import Rendered, needs, render, rewrite

PAID: dict[str, Any] = {
    "header": {"type": "text", "text": "Pedido {{1}}"},
    "body": "Olá, {{1}}! Recebemos {{2}}.",
    "footer": "Loja",
}
ASKED: dict[str, Any] = {
    **PAID,
    "buttons": [{"type": "reply", "text": "Sim", "id": "yes"}, {"type": "reply", "text": "Não"}],
}
TRACKED: dict[str, Any] = {
    "body": "Olá, {{cliente}}!",
    "buttons": [{"type": "url", "text": "Ver", "url": "https://example.com/p/{{pedido}}"}],
}
NAMED: dict[str, Any] = {"body": "Olá, {{cliente}}, até {{ dia }}!", "defaults": {"dia": "amanhã"}}
PHOTO: dict[str, Any] = {"header": {"type": "image", "file": {"id": "m1"}}, "body": "Oferta de {{1}}"}


def put(**fields: Any) -> t.TemplatePut:
    return msgspec.convert({"name": "x", "language": "pt_BR", **fields}, t.TemplatePut)


def made(stored: dict[str, Any], **wish: Any) -> Rendered:
    text = msgspec.convert(stored, t.TemplateText)
    return render(text, msgspec.convert({"name": "x", "language": {"code": "pt_BR"}, **wish}, i.Template))


def body(*values: str) -> dict[str, Any]:
    return {"type": "body", "parameters": [{"type": "text", "text": value} for value in values]}


def header(**parameter: Any) -> dict[str, Any]:
    return {"type": "header", "parameters": [parameter]}


def test_numbers_are_counted_in_header_and_body_apart() -> None:
    """As in the Cloud API; the heading is bold, the footer slanted."""
    total = {"type": "currency", "currency": {"fallback_value": "R$ 10", "code": "BRL", "amount_1000": 10000}}
    values = {"type": "body", "parameters": [{"type": "text", "text": "Ana"}, total]}
    found = made(PAID, components=[header(type="text", text="1042"), values])
    assert found == ("text", {"body": "*Pedido 1042*\n\nOlá, Ana! Recebemos R$ 10.\n\n_Loja_"})


def test_names_come_short_or_as_parameters_and_defaults_stand_in() -> None:
    """A value of the command counts before the template's own."""
    assert made(NAMED, variables={"cliente": "Ana"}).content == {"body": "Olá, Ana, até amanhã!"}
    named = {
        "type": "body",
        "parameters": [
            {"type": "text", "text": "Bia", "parameter_name": "cliente"},
            {"type": "text", "text": "hoje", "parameter_name": "dia"},
        ],
    }
    assert made(NAMED, components=[named]).content == {"body": "Olá, Bia, até hoje!"}


def test_a_file_stands_above_the_text() -> None:
    """The template's own, or the command's in its place."""
    assert made(PHOTO, components=[body("R$ 5")]) == ("image", {"id": "m1", "caption": "Oferta de R$ 5"})
    other = header(type="image", image={"link": "https://example.com/a.png"})
    assert made(PHOTO, components=[other, body("R$ 5")]).content == {
        "link": "https://example.com/a.png",
        "caption": "Oferta de R$ 5",
    }


def test_buttons_make_an_interactive_message() -> None:
    """Heading and footer beside the text; a command's payload is what a reply comes back with; a link is filled."""
    payload = {
        "type": "button",
        "sub_type": "quick_reply",
        "index": "1",
        "parameters": [{"type": "payload", "payload": "n-7"}],
    }
    given = [header(type="text", text="1042"), body("Ana", "R$ 10"), payload]
    kind, content = made(ASKED, components=given)
    assert (kind, content["type"]) == ("interactive", "button")
    assert (content["header"], content["footer"]) == (
        {"type": "text", "text": "Pedido 1042"},
        {"text": "Loja"},
    )
    assert content["body"] == {"text": "Olá, Ana! Recebemos R$ 10."}
    replies = [one["reply"] for one in content["action"]["buttons"]]
    assert replies == [{"id": "yes", "title": "Sim"}, {"id": "n-7", "title": "Não"}]
    _, link = made(TRACKED, variables={"cliente": "Ana", "pedido": "10/a?b c"})
    assert link["action"]["parameters"] == {
        "display_text": "Ver",
        "url": "https://example.com/p/10/a%3Fb%20c",
    }
    _, photo = made({**PHOTO, "buttons": ASKED["buttons"]}, components=[body("R$ 5")])
    assert photo["header"] == {"type": "image", "image": {"id": "m1"}}
    sent = rewrite(
        codec.encode({"to": "+5511999990001", "type": "template", "template": {}}), Rendered(kind, content)
    )
    assert needs(sent) == ("interactive.button",)


@pytest.mark.parametrize(
    ("stored", "wish", "code", "detail"),
    [
        (PAID, {"components": [body("Ana", "10")]}, "E_TEMPLATE_VARIABLE", ("variable", "1")),
        (NAMED, {}, "E_TEMPLATE_VARIABLE", ("variable", "cliente")),
        (
            {**PHOTO, "header": {"type": "image"}},
            {"components": [body("1")]},
            "E_TEMPLATE_VARIABLE",
            ("variable", "image"),
        ),
        (NAMED, {"variables": {"cliente": "Ana", "cor": "azul"}}, "E_INVALID_TEMPLATE", ("limit", 2)),
        (PHOTO, {"components": [body("1", "2")]}, "E_INVALID_TEMPLATE", ("limit", 1)),
        (
            PHOTO,
            {"components": [header(type="video", video={"id": "v"}), body("1")]},
            "E_INVALID_TEMPLATE",
            ("path", "$.template.components.header"),
        ),
        (
            NAMED,
            {"components": [{"type": "button", "parameters": [{"type": "payload", "payload": "x"}]}]},
            "E_INVALID_TEMPLATE",
            ("path", "$.template.components[0]"),
        ),
        (PHOTO, {"components": [body("x" * 1100)]}, "E_CAPTION_TOO_LONG", ("limit", 1024)),
        (TRACKED, {"variables": {"cliente": "Ana"}}, "E_TEMPLATE_VARIABLE", ("component", "button")),
        (
            ASKED,
            {
                "components": [
                    header(type="text", text="1"),
                    body("a", "b"),
                    {"type": "button", "parameters": [{"type": "text", "text": "x"}]},
                ]
            },
            "E_INVALID_TEMPLATE",
            ("path", "$.template.components.button"),
        ),
    ],
)
def test_what_does_not_fit_has_its_code(
    stored: dict[str, Any], wish: dict[str, Any], code: str, detail: tuple[str, Any]
) -> None:
    """With what is missing, or where."""
    with pytest.raises(ContractError) as refused:
        made(stored, **wish)
    assert refused.value.code.wire == code
    assert refused.value.details[detail[0]] == detail[1]


@given(value=st.text(min_size=1, max_size=60))
def test_a_value_is_never_read_as_a_template(value: str) -> None:
    """Whatever it holds, braces and backslashes included, comes out as it went in."""
    found = made({"body": "<{{a}}|{{b}}>"}, variables={"a": value, "b": "{{a}}"})
    assert found.content["body"] == f"<{value}|{{{{a}}}}>"


@pytest.mark.parametrize("form", ["json", "msgpack"])
def test_the_rest_of_a_command_stays(form: codec.Form) -> None:
    """Fields that this version does not know, too, in the form in which it came."""
    raw = codec.encode({"to": "+551", "type": "template", "template": {}, "typing": 5, "later": [1]}, form)
    found = rewrite(raw, Rendered("text", {"body": "oi"}))
    assert codec.form_of(found) == form
    assert codec.decode(found, dict[str, Any]) == {
        "to": "+551", "type": "text", "text": {"body": "oi"}, "typing": 5, "later": [1],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"body": "{{1}} {{3}}"}, "$.body"),
        ({"body": "{{1}} {{nome}}"}, "$.body"),
        ({"body": "{{Nome Completo}}"}, "$.body"),
        ({"body": "{{0}}"}, "$.body"),
        ({"body": "oi", "footer": "{{1}}"}, "$.footer"),
        ({"body": "oi", "defaults": {"nome": "Ana"}}, "$.defaults"),
        ({"body": "oi", "header": {"type": "text"}}, "$.header.text"),
        ({"body": "oi", "buttons": [*ASKED["buttons"], *TRACKED["buttons"]]}, "$.buttons"),
        ({"body": "oi", "buttons": [{"type": "url", "text": "x"}]}, "$.buttons"),
        (
            {"body": "oi", "buttons": [{"type": "reply", "text": "x", "url": "https://x.example"}]},
            "$.buttons",
        ),
        ({"body": "oi", "buttons": [ASKED["buttons"][0]] * 2}, "$.buttons"),
        ({"body": "oi", "buttons": [{"type": "reply", "text": "{{1}}"}]}, "$.buttons"),
        ({"body": "x" * 1025, "buttons": ASKED["buttons"]}, "$.body"),
        (
            {"body": "oi", "buttons": [{**TRACKED["buttons"][0], "url": "https://x/{{2}}"}]},
            "$.buttons[0].url",
        ),
        ({"body": "oi", "header": {"type": "image", "text": "x"}}, "$.header.text"),
        ({"body": "oi", "header": {"type": "image", "file": {}}}, "$.header.file"),
        ({"body": "oi", "header": {"type": "text", "text": "x", "file": {"id": "1"}}}, "$.header.file"),
    ],
)
def test_a_template_that_could_not_be_filled_is_not_stored(fields: dict[str, Any], path: str) -> None:
    """It is refused with the place that is wrong."""
    with pytest.raises(ContractError) as refused:
        t.check_put(put(**fields))
    assert (refused.value.code.wire, refused.value.details["path"]) == ("E_INVALID_TEMPLATE", path)
    t.check_put(put(**PAID))
    t.check_put(put(**NAMED))
    t.check_put(put(**ASKED))
    t.check_put(put(**TRACKED, defaults={"pedido": "0"}))
