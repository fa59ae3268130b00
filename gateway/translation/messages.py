"""Every message that the program says, collected from its code and templates: for who keeps the catalogues.

``python -m gateway.translation.messages`` brings the catalogues up to date; what is new in them is empty.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po
from jinja2.ext import babel_extract

PACKAGE: Final = Path(__file__).resolve().parent.parent
CATALOGS: Final = Path(__file__).resolve().parent / "catalogs"
_NO_DATE: Final = datetime(2026, 1, 1, tzinfo=UTC)
# The functions of gateway.translation.words, by how many of their arguments are messages.
_SAYING: Final = {"text": 1, "later": 1, "counted": 2}


class Message(NamedTuple):
    """A message, or its two forms in English, and the file that says it."""

    forms: tuple[str, ...]
    file: str


def collected(package: Path = PACKAGE) -> Iterator[Message]:
    """Yield every message, in the order of the files. Raises ValueError for one that is not written as a literal."""
    for path in sorted(package.rglob("*.py")):
        if path != Path(__file__).resolve():
            yield from _of_code(path, package)
    for path in sorted(package.rglob("templates/*")):
        if path.suffix in {".html", ".txt"}:
            yield from _of_template(path, package)


def _of_code(path: Path, package: Path) -> Iterator[Message]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = _imported(tree)
    file = path.relative_to(package.parent).as_posix()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (function := _saying(node.func, names)):
            yield Message(_literals(node, _SAYING[function], file), file)


def _imported(tree: ast.Module) -> dict[str, str]:
    """Return what a module calls the functions that say something, and the module that has them."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "gateway.translation.words":
            names |= {alias.asname or alias.name: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "gateway.translation":
            names |= {alias.asname or alias.name: "" for alias in node.names if alias.name == "words"}
    return names


def _saying(function: ast.expr, names: dict[str, str]) -> str | None:
    called = None
    if isinstance(function, ast.Name):
        called = names.get(function.id)
    elif isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
        called = function.attr if names.get(function.value.id) == "" else None
    return called if called in _SAYING else None


def _literals(call: ast.Call, count: int, file: str) -> tuple[str, ...]:
    messages = tuple(
        each.value for each in call.args[:count] if isinstance(each, ast.Constant) and isinstance(each.value, str)
    )
    # `text(variable)` looks up what `later` has marked elsewhere.
    if len(messages) != count and not (count == 1 and call.args and not isinstance(call.args[0], ast.JoinedStr)):
        raise ValueError(f"{file}:{call.lineno}: a message must be a literal, or no catalogue can hold it")
    return messages


def _of_template(path: Path, package: Path) -> Iterator[Message]:
    file = path.relative_to(package.parent).as_posix()
    options = {"extensions": "jinja2.ext.i18n", "trimmed": "true", "silent": "false"}
    with path.open("rb") as source:
        for _, _, forms, _ in babel_extract(source, ("_", "gettext", "ngettext"), (), options):
            yield Message((forms,) if isinstance(forms, str) else tuple(each for each in forms or () if each), file)


def template(package: Path = PACKAGE) -> Catalog:
    """Return the catalogue of all messages, untranslated."""
    catalog = Catalog(project="auth-gateway", charset="utf-8", fuzzy=False)
    for message in collected(package):
        if message.forms:
            catalog.add(message.forms[0] if len(message.forms) == 1 else message.forms, locations=[(message.file, 0)])
    return catalog


def update(catalogs: Path = CATALOGS) -> None:
    """Bring every catalogue up to date: new messages are empty, those that nobody says any more are gone."""
    fresh = template()
    for path in sorted(catalogs.glob("*/LC_MESSAGES/messages.po")):
        tag = path.parent.parent.name
        with path.open("rb") as file:
            catalog = read_po(file, locale=tag.replace("-", "_"))
        catalog.update(fresh, no_fuzzy_matching=True, update_creation_date=False)
        catalog.obsolete.clear()
        _head(catalog, tag)
        with path.open("wb") as file:
            write_po(file, catalog, sort_by_file=True, include_lineno=False, width=110)


def _head(catalog: Catalog, tag: str) -> None:
    """Say what tools ask for, and nothing that changes by itself: a catalogue that is up to date stays as it is."""
    catalog.project, catalog.version = "auth-gateway", "1"
    catalog.copyright_holder, catalog.header_comment = "", f"# What the pages, letters and errors say: {tag}"
    catalog.msgid_bugs_address, catalog.last_translator, catalog.language_team = "", "the project", tag
    catalog.creation_date = catalog.revision_date = _NO_DATE


if __name__ == "__main__":
    update()
