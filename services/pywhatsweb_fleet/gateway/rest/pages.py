"""The gateway about itself: the OpenAPI document, a page to read it, health."""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache

import msgspec

from pywhatsweb_fleet.gateway import openapi
from pywhatsweb_fleet.gateway.rest import docs_page
from pywhatsweb_fleet.gateway.routes import JSON, Answer, Call, Route

HTML = "text/html; charset=utf-8"


@lru_cache(maxsize=1)
def document() -> bytes:
    from pywhatsweb_fleet.gateway.rest import tables  # it lists this file's routes too

    return msgspec.json.format(msgspec.json.encode(openapi.document(tables.ROUTES)), indent=1)


async def spec(_call: Call) -> Answer:
    return Answer(document(), kind=JSON)


async def docs(_call: Call) -> Answer:
    policy = (
        f"default-src 'none'; script-src '{_hash(docs_page.SCRIPT)}'; style-src '{_hash(docs_page.STYLE)}'; "
        "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )
    return Answer(docs_page.PAGE, kind=HTML, headers={"Content-Security-Policy": policy})


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


async def health(call: Call) -> Answer:
    """Says nothing of tenants: it needs no key."""
    report = call.deps.health.report()
    return Answer(report, status=200 if report["status"] == "ok" else 503)


ROUTES = (
    Route("GET", "/openapi.json", spec, "This document", "gateway", public=True),
    Route("GET", "/docs", docs, "This document as a page", "gateway", kinds=(HTML,), public=True),
    Route("GET", "/health", health, "Whether the gateway works", "gateway", public=True),
)
