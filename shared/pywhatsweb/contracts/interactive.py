"""Interactive and template messages, in the Cloud API's shapes and limits; see `content.py`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from pywhatsweb.contracts.content import Content, Document, Image, Location, Video

MAX_BODY = 4096
"""Of a list; with buttons WhatsApp shows 1024, which `commands.check` keeps."""
MAX_BUTTON_BODY = 1024
MAX_HEADER = 60
MAX_FOOTER = 60
MAX_BUTTONS = 3
MAX_SECTIONS = 10
MAX_ROWS = 10
"""Over all sections of a list."""

Id = Annotated[str, Meta(min_length=1, max_length=256)]
ButtonTitle = Annotated[str, Meta(min_length=1, max_length=20)]
SectionTitle = Annotated[str, Meta(max_length=24)]


class TextHeader(Content, tag_field="type", tag="text", kw_only=True):
    text: Annotated[str, Meta(min_length=1, max_length=MAX_HEADER)]


class ImageHeader(Content, tag_field="type", tag="image", kw_only=True):
    image: Image


class VideoHeader(Content, tag_field="type", tag="video", kw_only=True):
    video: Video


class DocumentHeader(Content, tag_field="type", tag="document", kw_only=True):
    document: Document


Header = TextHeader | ImageHeader | VideoHeader | DocumentHeader


class Body(Content, kw_only=True):
    text: Annotated[str, Meta(min_length=1, max_length=MAX_BODY)]


class Footer(Content, kw_only=True):
    text: Annotated[str, Meta(min_length=1, max_length=MAX_FOOTER)]


class ReplyTitle(Content, kw_only=True):
    id: Id
    title: ButtonTitle


class ReplyButton(Content, kw_only=True):
    type: Literal["reply"]
    reply: ReplyTitle


class ButtonsAction(Content, kw_only=True):
    buttons: Annotated[list[ReplyButton], Meta(min_length=1, max_length=MAX_BUTTONS)]


class Row(Content, kw_only=True):
    id: Annotated[str, Meta(min_length=1, max_length=200)]
    title: Annotated[str, Meta(min_length=1, max_length=24)]
    description: Annotated[str, Meta(max_length=72)] | None = None


class Section(Content, kw_only=True):
    rows: Annotated[list[Row], Meta(min_length=1, max_length=MAX_ROWS)]
    title: SectionTitle | None = None
    """Required when there is more than one section."""


class ListAction(Content, kw_only=True):
    button: ButtonTitle
    """What opens the list."""
    sections: Annotated[list[Section], Meta(min_length=1, max_length=MAX_SECTIONS)]


class UrlParameters(Content, kw_only=True):
    display_text: ButtonTitle
    url: Annotated[str, Meta(pattern=r"^https?://", max_length=2048)]


class UrlAction(Content, kw_only=True):
    name: Literal["cta_url"]
    parameters: UrlParameters


class LocationAction(Content, kw_only=True):
    name: Literal["send_location"]


class FlowPayload(Content, kw_only=True):
    screen: str | None = None
    data: dict[str, str | int | float | bool | None] = {}


class FlowParameters(Content, kw_only=True):
    flow_message_version: str
    flow_cta: Annotated[str, Meta(min_length=1, max_length=30)]
    flow_id: str | None = None
    flow_name: str | None = None
    flow_token: str | None = None
    flow_action: Literal["navigate", "data_exchange"] = "navigate"
    mode: Literal["draft", "published"] = "published"
    flow_action_payload: FlowPayload | None = None


class FlowAction(Content, kw_only=True):
    name: Literal["flow"]
    parameters: FlowParameters


class ProductAction(Content, kw_only=True):
    catalog_id: str
    product_retailer_id: str


class ProductItem(Content, kw_only=True):
    product_retailer_id: str


class ProductSection(Content, kw_only=True):
    title: SectionTitle
    product_items: Annotated[list[ProductItem], Meta(min_length=1, max_length=30)]


class ProductListAction(Content, kw_only=True):
    catalog_id: str
    sections: Annotated[list[ProductSection], Meta(min_length=1, max_length=MAX_SECTIONS)]


class Frame(Content, tag_field="type", kw_only=True):
    """What every interactive message has around its action."""

    header: Header | None = None
    body: Body | None = None
    footer: Footer | None = None


class Buttons(Frame, tag="button", kw_only=True):
    """Up to three reply buttons."""

    action: ButtonsAction


class ListMenu(Frame, tag="list", kw_only=True):
    """A menu of up to ten rows; its header can only be text."""

    action: ListAction


class UrlButton(Frame, tag="cta_url", kw_only=True):
    action: UrlAction


class LocationRequest(Frame, tag="location_request_message", kw_only=True):
    action: LocationAction


class Flow(Frame, tag="flow", kw_only=True):
    action: FlowAction


class Product(Frame, tag="product", kw_only=True):
    action: ProductAction


class ProductList(Frame, tag="product_list", kw_only=True):
    action: ProductListAction


Interactive = Buttons | ListMenu | UrlButton | LocationRequest | Flow | Product | ProductList


# What comes back (inbound only).


class ButtonReplied(Content, kw_only=True):
    id: str
    title: str = ""


class ListReplied(Content, kw_only=True):
    id: str
    title: str = ""
    description: str | None = None


class FlowReplied(Content, kw_only=True):
    name: str | None = None
    body: str | None = None
    response_json: str = "{}"


class ButtonReply(Content, tag_field="type", tag="button_reply", kw_only=True):
    button_reply: ButtonReplied


class ListReply(Content, tag_field="type", tag="list_reply", kw_only=True):
    list_reply: ListReplied


class FlowReply(Content, tag_field="type", tag="nfm_reply", kw_only=True):
    nfm_reply: FlowReplied


InteractiveReply = ButtonReply | ListReply | FlowReply


# Templates.


class Language(Content, kw_only=True):
    code: Annotated[str, Meta(min_length=2, max_length=16)]
    """Such as ``pt_BR``."""
    policy: Literal["deterministic"] | None = None


class Currency(Content, kw_only=True):
    fallback_value: str
    code: Annotated[str, Meta(min_length=3, max_length=3)]
    amount_1000: int
    """The amount times 1000."""


class DateTimeText(Content, kw_only=True):
    fallback_value: str


class TextParameter(Content, tag_field="type", tag="text", kw_only=True):
    text: Annotated[str, Meta(max_length=32_768)]
    parameter_name: str | None = None


class CurrencyParameter(Content, tag_field="type", tag="currency", kw_only=True):
    currency: Currency


class DateTimeParameter(Content, tag_field="type", tag="date_time", kw_only=True):
    date_time: DateTimeText


class ImageParameter(Content, tag_field="type", tag="image", kw_only=True):
    image: Image


class VideoParameter(Content, tag_field="type", tag="video", kw_only=True):
    video: Video


class DocumentParameter(Content, tag_field="type", tag="document", kw_only=True):
    document: Document


class LocationParameter(Content, tag_field="type", tag="location", kw_only=True):
    location: Location


class PayloadParameter(Content, tag_field="type", tag="payload", kw_only=True):
    payload: str


class CouponParameter(Content, tag_field="type", tag="coupon_code", kw_only=True):
    coupon_code: str


TemplateParameter = (
    TextParameter
    | CurrencyParameter
    | DateTimeParameter
    | ImageParameter
    | VideoParameter
    | DocumentParameter
    | LocationParameter
    | PayloadParameter
    | CouponParameter
)


class TemplateComponent(Content, kw_only=True):
    type: Literal["header", "body", "footer", "button"]
    parameters: list[TemplateParameter] = []
    sub_type: Literal["quick_reply", "url", "copy_code", "catalog", "flow"] | None = None
    """Of a button; `index` is its place from 0, a number or digits."""
    index: int | str | None = None


class Template(Content, kw_only=True):
    """A message by the name of a stored template and the values of its variables."""

    name: Annotated[str, Meta(min_length=1, max_length=512)]
    language: Language
    components: list[TemplateComponent] = []
    namespace: str | None = None
