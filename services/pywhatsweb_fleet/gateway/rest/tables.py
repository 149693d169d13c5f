"""All routes, in the order of the documentation."""

from __future__ import annotations

from pywhatsweb_fleet.gateway.rest import (
    cloud,
    control,
    keys,
    legacy,
    messages,
    pages,
    sessions,
    signin,
    waha,
    waha_chats,
    waha_posts,
)
from pywhatsweb_fleet.gateway.routes import Route

ROUTES: tuple[Route, ...] = (
    *sessions.ROUTES,
    *messages.ROUTES,
    *control.ROUTES,
    *keys.ROUTES,
    *signin.ROUTES,
    *pages.ROUTES,
    *legacy.ROUTES,
    *waha.ROUTES,
    *waha_chats.ROUTES,
    *waha_posts.ROUTES,
    *cloud.ROUTES,
)
