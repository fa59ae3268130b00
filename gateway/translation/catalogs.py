"""Catalogues: one PO file a language, read when the program starts. English is in the code itself."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from gettext import GNUTranslations, NullTranslations
from pathlib import Path
from types import MappingProxyType
from typing import Final

from babel import Locale, negotiate_locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

_HERE: Final = Path(__file__).parent / "catalogs"
_MOST_ASKED: Final = 20
_LONGEST_HEADER: Final = 500


@dataclass(frozen=True, slots=True)
class Language:
    """One language: its tag (BCP 47) and its words."""

    tag: str
    translations: NullTranslations = field(repr=False, compare=False)

    @property
    def locale(self) -> Locale:
        return Locale.parse(self.tag, sep="-")

    def gettext(self, message: str) -> str:
        return self.translations.gettext(message)

    def ngettext(self, one: str, many: str, count: int) -> str:
        return self.translations.ngettext(one, many, count)


ENGLISH: Final = Language("en", NullTranslations())


@cache
def languages() -> Mapping[str, Language]:
    """Return every language that there is, by tag."""
    found = {"en": ENGLISH}
    for path in sorted(_HERE.glob("*/LC_MESSAGES/messages.po")):
        tag = path.parent.parent.name
        found[tag] = Language(tag, _compiled(path, tag))
    return MappingProxyType(found)


def _compiled(path: Path, tag: str) -> GNUTranslations:
    with path.open("rb") as file:
        catalog = read_po(file, locale=tag.replace("-", "_"), abort_invalid=True)
    compiled = io.BytesIO()
    write_mo(compiled, catalog)
    compiled.seek(0)
    return GNUTranslations(compiled)


def choose(chosen: str, accept_language: str) -> Language:
    """Return the language that was chosen by name, else the best of ``Accept-Language`` (RFC 9110 12.5.4)."""
    known = languages()
    if chosen in known:
        return known[chosen]
    best = negotiate_locale(_wanted(accept_language), list(known), sep="-")
    return known.get(best or "", ENGLISH)


def _wanted(accept_language: str) -> list[str]:
    return [tag for _, tag in sorted(_weighed(accept_language[:_LONGEST_HEADER].split(",")[:_MOST_ASKED]))]


def _weighed(items: Iterable[str]) -> Iterable[tuple[float, str]]:
    for item in items:
        tag, _, parameter = (part.strip() for part in item.partition(";"))
        weight = parameter.removeprefix("q=") if parameter.startswith("q=") else "1"
        try:
            quality = float(weight)
        except ValueError:
            continue
        if 0 < quality <= 1 and tag.replace("-", "").isalnum() and tag.isascii():
            yield -quality, tag
