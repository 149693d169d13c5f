"""Interactive and template messages, in the Cloud API's shapes and limits; see `content.py`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import field

from pywhatsweb.contracts import limits
from pywhatsweb.contracts.content import Content, Document, Image, Integer, Location, Scalar, Video

MAX_BODY = 4096
"""Of a list; with buttons WhatsApp shows 1024, which `commands.check` keeps."""
MAX_BUTTON_BODY = 1024
MAX_HEADER = 60
MAX_FOOTER = 60
MAX_BUTTONS = 3
MAX_SECTIONS = 10
MAX_ROWS = 10
"""Over all sections of a list."""

Id = Annotated[str, limits.text(1, 256)]
ButtonTitle = Annotated[str, limits.text(1, 20)]
SectionTitle = Annotated[str, limits.text(high=24)]


class TextHeader(Content, tag_field="type", tag="text", frozen=True, kw_only=True):
    text: Annotated[str, limits.text(1, MAX_HEADER)]


class ImageHeader(Content, tag_field="type", tag="image", frozen=True, kw_only=True):
    image: Image


class VideoHeader(Content, tag_field="type", tag="video", frozen=True, kw_only=True):
    video: Video


class DocumentHeader(Content, tag_field="type", tag="document", frozen=True, kw_only=True):
    document: Document


Header = TextHeader | ImageHeader | VideoHeader | DocumentHeader


class Body(Content, frozen=True, kw_only=True):
    text: Annotated[str, limits.text(1, MAX_BODY)]


class Footer(Content, frozen=True, kw_only=True):
    text: Annotated[str, limits.text(1, MAX_FOOTER)]


class ReplyTitle(Content, frozen=True, kw_only=True):
    id: Id
    title: ButtonTitle


class ReplyButton(Content, frozen=True, kw_only=True):
    type: Literal["reply"]
    reply: ReplyTitle


class ButtonsAction(Content, frozen=True, kw_only=True):
    buttons: Annotated[list[ReplyButton], limits.items(1, MAX_BUTTONS)]


class Row(Content, frozen=True, kw_only=True):
    id: Annotated[str, limits.text(1, 200)]
    title: Annotated[str, limits.text(1, 24)]
    description: Annotated[str, limits.text(high=72)] | None = None


class Section(Content, frozen=True, kw_only=True):
    rows: Annotated[list[Row], limits.items(1, MAX_ROWS)]
    title: SectionTitle | None = None
    """Required when there is more than one section."""


class ListAction(Content, frozen=True, kw_only=True):
    button: ButtonTitle
    """What opens the list."""
    sections: Annotated[list[Section], limits.items(1, MAX_SECTIONS)]


class UrlParameters(Content, frozen=True, kw_only=True):
    display_text: ButtonTitle
    url: Annotated[str, limits.text(1, 2048, r"^https?://")]


class UrlAction(Content, frozen=True, kw_only=True):
    name: Literal["cta_url"]
    parameters: UrlParameters


class LocationAction(Content, frozen=True, kw_only=True):
    name: Literal["send_location"]


class FlowPayload(Content, frozen=True, kw_only=True):
    screen: str | None = None
    data: dict[str, Scalar] = field(default_factory=dict)


class FlowParameters(Content, frozen=True, kw_only=True):
    flow_message_version: str
    flow_cta: Annotated[str, limits.text(1, 30)]
    flow_id: str | None = None
    flow_name: str | None = None
    flow_token: str | None = None
    flow_action: Literal["navigate", "data_exchange"] = "navigate"
    mode: Literal["draft", "published"] = "published"
    flow_action_payload: FlowPayload | None = None


class FlowAction(Content, frozen=True, kw_only=True):
    name: Literal["flow"]
    parameters: FlowParameters


class ProductAction(Content, frozen=True, kw_only=True):
    catalog_id: str
    product_retailer_id: str


class ProductItem(Content, frozen=True, kw_only=True):
    product_retailer_id: str


class ProductSection(Content, frozen=True, kw_only=True):
    title: SectionTitle
    product_items: Annotated[list[ProductItem], limits.items(1, 30)]


class ProductListAction(Content, frozen=True, kw_only=True):
    catalog_id: str
    sections: Annotated[list[ProductSection], limits.items(1, MAX_SECTIONS)]


class Frame(Content, tag_field="type", frozen=True, kw_only=True):
    """What every interactive message has around its action."""

    header: Header | None = None
    body: Body | None = None
    footer: Footer | None = None


class Buttons(Frame, tag="button", frozen=True, kw_only=True):
    """Up to three reply buttons."""

    action: ButtonsAction


class ListMenu(Frame, tag="list", frozen=True, kw_only=True):
    """A menu of up to ten rows; its header can only be text."""

    action: ListAction


class UrlButton(Frame, tag="cta_url", frozen=True, kw_only=True):
    action: UrlAction


class LocationRequest(Frame, tag="location_request_message", frozen=True, kw_only=True):
    action: LocationAction


class Flow(Frame, tag="flow", frozen=True, kw_only=True):
    action: FlowAction


class Product(Frame, tag="product", frozen=True, kw_only=True):
    action: ProductAction


class ProductList(Frame, tag="product_list", frozen=True, kw_only=True):
    action: ProductListAction


Interactive = Buttons | ListMenu | UrlButton | LocationRequest | Flow | Product | ProductList


# What comes back (inbound only).


class ButtonReplied(Content, frozen=True, kw_only=True):
    id: str
    title: str = ""


class ListReplied(Content, frozen=True, kw_only=True):
    id: str
    title: str = ""
    description: str | None = None


class FlowReplied(Content, frozen=True, kw_only=True):
    name: str | None = None
    body: str | None = None
    response_json: str = "{}"


class ButtonReply(Content, tag_field="type", tag="button_reply", frozen=True, kw_only=True):
    button_reply: ButtonReplied


class ListReply(Content, tag_field="type", tag="list_reply", frozen=True, kw_only=True):
    list_reply: ListReplied


class FlowReply(Content, tag_field="type", tag="nfm_reply", frozen=True, kw_only=True):
    nfm_reply: FlowReplied


InteractiveReply = ButtonReply | ListReply | FlowReply


# Templates.


class Language(Content, frozen=True, kw_only=True):
    code: Annotated[str, limits.text(2, 16)]
    """Such as ``pt_BR``."""
    policy: Literal["deterministic"] | None = None


class Currency(Content, frozen=True, kw_only=True):
    fallback_value: str
    code: Annotated[str, limits.text(3, 3)]
    amount_1000: Integer
    """The amount times 1000."""


class DateTimeText(Content, frozen=True, kw_only=True):
    fallback_value: str


class TextParameter(Content, tag_field="type", tag="text", frozen=True, kw_only=True):
    text: Annotated[str, limits.text(high=32_768)]
    parameter_name: str | None = None


class CurrencyParameter(Content, tag_field="type", tag="currency", frozen=True, kw_only=True):
    currency: Currency


class DateTimeParameter(Content, tag_field="type", tag="date_time", frozen=True, kw_only=True):
    date_time: DateTimeText


class ImageParameter(Content, tag_field="type", tag="image", frozen=True, kw_only=True):
    image: Image


class VideoParameter(Content, tag_field="type", tag="video", frozen=True, kw_only=True):
    video: Video


class DocumentParameter(Content, tag_field="type", tag="document", frozen=True, kw_only=True):
    document: Document


class LocationParameter(Content, tag_field="type", tag="location", frozen=True, kw_only=True):
    location: Location


class PayloadParameter(Content, tag_field="type", tag="payload", frozen=True, kw_only=True):
    payload: str


class CouponParameter(Content, tag_field="type", tag="coupon_code", frozen=True, kw_only=True):
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


class TemplateComponent(Content, frozen=True, kw_only=True):
    type: Literal["header", "body", "footer", "button"]
    parameters: list[TemplateParameter] = field(default_factory=list)
    sub_type: Literal["quick_reply", "url", "copy_code", "catalog", "flow"] | None = None
    """Of a button; `index` is its place from 0, a number or digits."""
    index: Integer | str | None = None


class Template(Content, frozen=True, kw_only=True):
    """A message by the name of a stored template and the values of its variables.

    The values stand in `components`, in the Cloud API's form, or shorter in `variables`, by name or number.
    """

    name: Annotated[str, limits.text(1, 512)]
    language: Language
    components: list[TemplateComponent] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)
    namespace: str | None = None
