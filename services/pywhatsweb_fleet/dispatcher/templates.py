"""A tenant's templates: kept by ``template.*``, and put in the place of the commands that name them.

A command is rendered as it is taken in, before it is claimed. One that comes again after a crash is rendered again: the
streams know it by its id, whatever the template says by then.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection

from pywhatsweb.contracts import interactive as i
from pywhatsweb.contracts import template_data as t
from pywhatsweb.contracts.events import timestamp
from pywhatsweb.errors import ContractError, ErrorCode, RequestError
from pywhatsweb_fleet.dispatcher import rendering
from pywhatsweb_fleet.dispatcher.reading import Job, Tenant
from pywhatsweb_fleet.storage import audit, templates
from pywhatsweb_fleet.storage.store import Store
from pywhatsweb_fleet.storage.templates import TemplateRow

_text = msgspec.json.Decoder(t.TemplateText).decode
_to_json = msgspec.json.Encoder().encode
_TEXT = t.TemplateText.__struct_fields__


class Templates:
    """Made with the database; keeps nothing. All methods raise StorageUnavailable."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def render(self, tenant: Tenant, jobs: Sequence[Job]) -> None:
        """Puts into each job what its template comes to; what cannot be rendered is told in `Job.unrendered`."""
        wanted = [(job, job.template) for job in jobs if job.template is not None]
        if not wanted:
            return
        rows = await self._store.read(templates.named, tenant.id, {wish.name for _, wish in wanted})
        for job, wish in wanted:
            try:
                text = _text(_chosen(rows, wish.name, wish.language.code).content)
                job.body = rendering.rewrite(job.body, rendering.render(text, wish))
                job.needs = rendering.needs(job.body)
            except ContractError as error:
                job.unrendered = error
                if job.refusal is None:
                    job.refuse(error.code, error.details)

    def answers(self) -> dict[str, Callable[[Tenant, Any], Awaitable[Any]]]:
        return {
            "template.put": self.put,
            "template.get": self.get,
            "template.list": self.list,
            "template.delete": self.delete,
            "template.preview": self.preview,
        }

    async def put(self, tenant: Tenant, args: t.TemplatePut) -> t.TemplateInfo:
        """E_QUOTA_EXCEEDED when there are too many."""
        text = t.TemplateText(**{name: getattr(args, name) for name in _TEXT})
        content = _to_json(text).decode()
        row = TemplateRow(tenant.id, args.name, args.language, 1, content, _now(), args.by)
        return _info(await self._store.transact(_put, row))

    async def get(self, tenant: Tenant, args: t.TemplateRef) -> t.TemplateInfo:
        """E_TEMPLATE_NOT_FOUND, E_TEMPLATE_LANGUAGE."""
        return _info(await self._find(tenant, args))

    async def list(self, tenant: Tenant, args: t.TemplateList) -> t.Templates:
        place = _from_cursor(args.cursor)
        rows = await self._store.read(templates.after, tenant.id, place, args.name, args.limit)
        cursor = f"{rows[-1].name} {rows[-1].language}" if len(rows) == args.limit else None
        return t.Templates(templates=[_info(row) for row in rows], cursor=cursor)

    async def delete(self, tenant: Tenant, args: t.TemplateDelete) -> t.TemplateDeleted:
        """E_TEMPLATE_NOT_FOUND, E_TEMPLATE_LANGUAGE."""
        rows = await self._store.read(templates.named, tenant.id, {args.name})
        if args.language is not None or not rows:
            _chosen(rows, args.name, args.language)
        return await self._store.transact(_delete, tenant.id, args)

    async def preview(self, tenant: Tenant, args: t.TemplatePreview) -> t.TemplateRendered:
        """Raises what a command with these values would be refused for."""
        row = await self._find(tenant, args)
        text = _text(row.content)
        values = args.variables
        if not values and not args.components:
            text = msgspec.structs.replace(text, defaults={**text.defaults, **text.examples})
        wish = i.Template(
            name=row.name,
            language=i.Language(code=row.language),
            variables=values,
            components=args.components,
        )
        found = rendering.render(text, wish)
        return t.TemplateRendered(
            name=row.name,
            language=row.language,
            type=found.type,  # type: ignore[arg-type]
            content=found.content,
        )

    async def _find(self, tenant: Tenant, args: t.TemplateRef) -> TemplateRow:
        rows = await self._store.read(templates.named, tenant.id, {args.name})
        return _chosen(rows, args.name, args.language)


class _Named(NamedTuple):
    name: str
    language: str


def _put(conn: Connection, row: TemplateRow) -> TemplateRow:
    known = any(one.language == row.language for one in templates.named(conn, row.tenant, {row.name}))
    if not known and templates.count(conn, row.tenant) >= t.MAX_TEMPLATES:
        details = {"quota": "templates", "limit": t.MAX_TEMPLATES}
        raise RequestError(ErrorCode.E_QUOTA_EXCEEDED, details)
    version = templates.put(conn, row)
    _note(conn, row.tenant, "template.put", row.changed_by, _Named(row.name, row.language))
    return row._replace(version=version)


def _delete(conn: Connection, tenant: str, args: t.TemplateDelete) -> t.TemplateDeleted:
    gone = templates.delete(conn, tenant, args.name, args.language)
    for language in gone:
        _note(conn, tenant, "template.delete", args.by, _Named(args.name, language))
    return t.TemplateDeleted(name=args.name, languages=gone)


def _note(conn: Connection, tenant: str, what: str, by: str | None, named: _Named) -> None:
    detail = _to_json({"language": named.language}).decode()
    audit.append(conn, audit.Entry(tenant, _now(), by or "tenant", what, named.name, detail=detail))


def _chosen(rows: Sequence[TemplateRow], name: str, language: str | None) -> TemplateRow:
    """Raises ContractError: E_TEMPLATE_NOT_FOUND, E_TEMPLATE_LANGUAGE."""
    fitting = [row for row in rows if row.name == name]
    if not fitting:
        raise ContractError(ErrorCode.E_TEMPLATE_NOT_FOUND)
    if language is None and len(fitting) == 1:
        return fitting[0]
    for row in fitting:
        if row.language == language:
            return row
    raise ContractError(ErrorCode.E_TEMPLATE_LANGUAGE, {"languages": [row.language for row in fitting]})


def _info(row: TemplateRow) -> t.TemplateInfo:
    text = _text(row.content)
    variables = [name for words in t.texts_of(text) for name in t.variables_of(words)]
    return t.TemplateInfo(
        name=row.name, language=row.language, version=row.version, header=text.header, body=text.body,
        footer=text.footer, defaults=text.defaults, examples=text.examples,
        variables=list(dict.fromkeys(variables)), buttons=text.buttons,
        changed_at=timestamp(row.changed_at), changed_by=row.changed_by,
    )  # fmt: skip


def _from_cursor(cursor: str | None) -> templates.Place:
    """Raises ContractError(E_INVALID_CURSOR)."""
    if cursor is None:
        return ("", "")
    name, space, language = cursor.partition(" ")
    if not space:
        raise ContractError(ErrorCode.E_INVALID_CURSOR)
    return name, language


def _now() -> int:
    return time.time_ns() // 1_000_000
