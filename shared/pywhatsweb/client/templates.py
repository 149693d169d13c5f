"""``template.*``: texts with variables, in several languages, that commands name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pywhatsweb.client.control import Part
from pywhatsweb.contracts import interactive as i
from pywhatsweb.contracts import template_data as t


class Templates(Part):
    """A tenant's templates. RequestError: E_TEMPLATE_NOT_FOUND, E_TEMPLATE_LANGUAGE for those that are not there."""

    async def put(
        self,
        name: str,
        language: str,
        body: str,
        *,
        header: t.TemplateHeader | str | None = None,
        footer: str | None = None,
        buttons: Sequence[t.TemplateButton] = (),
        defaults: Mapping[str, str] | None = None,
        examples: Mapping[str, str] | None = None,
        by: str | None = None,
    ) -> t.TemplateInfo:
        """Stores it in this language, or replaces it there. `header`: a line of text, or a `TemplateHeader`.
        `buttons`: up to three replies, or one link.

        ContractError(E_INVALID_TEMPLATE) for texts that could not be filled.
        """
        if isinstance(header, str):
            header = t.TemplateHeader(type="text", text=header)
        args = t.TemplatePut(
            name=name,
            language=language,
            body=body,
            header=header,
            footer=footer,
            buttons=[*buttons],
            defaults=dict(defaults or {}),
            examples=dict(examples or {}),
            by=by,
        )
        return await self._ask("template.put", args, t.TemplateInfo)

    async def get(self, name: str, language: str | None = None) -> t.TemplateInfo:
        return await self._ask("template.get", t.TemplateRef(name=name, language=language), t.TemplateInfo)

    async def list(
        self, *, name: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> t.Templates:
        """By name and language, a page at a time."""
        return await self._ask(
            "template.list", t.TemplateList(name=name, limit=limit, cursor=cursor), t.Templates
        )

    async def delete(
        self, name: str, language: str | None = None, *, by: str | None = None
    ) -> t.TemplateDeleted:
        """Forgets one language, or all of them."""
        args = t.TemplateDelete(name=name, language=language, by=by)
        return await self._ask("template.delete", args, t.TemplateDeleted)

    async def preview(
        self,
        name: str,
        language: str | None = None,
        *,
        variables: Mapping[str, str] | None = None,
        components: Sequence[i.TemplateComponent] = (),
    ) -> t.TemplateRendered:
        """What would be sent; without values, with the template's own examples."""
        args = t.TemplatePreview(
            name=name, language=language, variables=dict(variables or {}), components=[*components]
        )
        return await self._ask("template.preview", args, t.TemplateRendered)
