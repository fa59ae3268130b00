"""Every catalogue says everything that the program says, and nothing of it in another shape."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from babel.messages.catalog import Message
from babel.messages.pofile import read_po
from jinja2 import Environment, nodes

from gateway.translation.messages import CATALOGS, PACKAGE, collected, template, update

FILES = sorted(CATALOGS.glob("*/LC_MESSAGES/messages.po"))
TEMPLATES = sorted(path for path in PACKAGE.rglob("templates/*") if path.suffix in {".html", ".txt"})
# What stands in a sentence and must stand in its translation: places of values, and marks of the page.
PARTS = re.compile(r"%\(\w+\)[sd]|%%|</?\w[^>]*>")
# Attributes that a person reads or hears.
READ_ALOUD = frozenset({"alt", "aria-label", "aria-description", "placeholder", "title", "value", "label", "content"})
# Words that are the same in every language: names, formats, and examples of them.
NO_WORDS = frozenset({"XXXX"})


def language(path: Path) -> str:
    return path.parent.parent.name


def messages(path: Path) -> Iterator[Message]:
    with path.open("rb") as file:
        yield from (each for each in read_po(file, locale=language(path)) if each.id)


def forms(of: str | tuple[str, ...] | list[str] | None) -> tuple[str, ...]:
    return (of,) if isinstance(of, str) else tuple(of or ())


def test_there_is_a_language_besides_english() -> None:
    assert "de" in [language(path) for path in FILES]


@pytest.mark.parametrize("path", FILES, ids=language)
def test_a_catalogue_is_up_to_date(path: Path, tmp_path: Path) -> None:
    """`make messages` would change nothing."""
    copy = tmp_path / language(path) / "LC_MESSAGES" / path.name
    copy.parent.mkdir(parents=True)
    shutil.copy(path, copy)
    update(tmp_path)
    assert [(each.id, each.string) for each in messages(copy)] == [(each.id, each.string) for each in messages(path)]


@pytest.mark.parametrize("path", FILES, ids=language)
def test_a_catalogue_is_complete(path: Path) -> None:
    lacking = [each.id for each in messages(path) if each.fuzzy or not all(forms(each.string) or ("",))]
    assert lacking == []


@pytest.mark.parametrize("path", FILES, ids=language)
def test_a_translation_has_the_values_and_marks_of_its_message(path: Path) -> None:
    for message in messages(path):
        wanted = set(PARTS.findall(forms(message.id)[-1]))
        for form in forms(message.string):
            assert set(PARTS.findall(form)) == wanted, message.id
            assert bool(form.endswith(" ")) is bool(forms(message.id)[0].endswith(" ")), message.id


def test_what_is_collected_comes_from_code_and_from_templates() -> None:
    said = {(form, message.file.rpartition(".")[2]) for message in collected() for form in message.forms}
    assert ("Sign in", "html") in said
    assert ("is not your password", "py") in said
    assert len(template()) > 500


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("from gateway.translation.words import text\ntext(f'{1} day')", "must be a literal"),
        ("from gateway.translation import words\nwords.counted('day', many, 2)", "must be a literal"),
        ("from gateway.translation.words import later as l\nl()", "must be a literal"),
    ],
)
def test_a_message_that_no_catalogue_can_hold_is_an_error(tmp_path: Path, code: str, problem: str) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "some.py").write_text(code)
    with pytest.raises(ValueError, match=rf"package/some.py:2: .*{problem}"):
        list(collected(package))


class Bare(HTMLParser):
    """Collects the words that stand in a page as they are, untranslated."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._skipping = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {"script", "style"}:
            self._skipping = tag
        kind = dict(attrs).get("type")
        for name, value in attrs:
            if name in READ_ALOUD and not (name == "value" and (tag, kind) != ("input", "submit")) and tag != "meta":
                self._keep(value or "")

    def handle_endtag(self, tag: str) -> None:
        if tag == self._skipping:
            self._skipping = ""

    def handle_data(self, data: str) -> None:
        if not self._skipping:
            self._keep(data)

    def _keep(self, data: str) -> None:
        self.found += [word for word in re.findall(r"[^\W\d_]{2,}", data) if word not in NO_WORDS]


def bare_words(source: str) -> list[str]:
    """Return the words of a template that are in none of its expressions."""
    tree = Environment(autoescape=True, extensions=["jinja2.ext.i18n"]).parse(source)
    literal = "".join(
        each.data if isinstance(each, nodes.TemplateData) else " "
        for output in tree.find_all(nodes.Output)
        for each in output.nodes
    )
    bare = Bare()
    # A macro may give a tag's attributes alone.
    bare.feed(re.sub(r' aria-[a-z]+="[a-z ]*"', "", literal))
    bare.close()
    return bare.found


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_no_template_says_anything_that_cannot_be_translated(path: Path) -> None:
    assert bare_words(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_no_template_translates_a_variable(path: Path) -> None:
    """What is looked up that way counts as markup: a person's words would be a script."""
    tree = Environment(autoescape=True).parse(re.sub(r"\{%-? ?(end)?(trans|pluralize)[^%]*%\}", "", path.read_text()))
    for call in tree.find_all(nodes.Call):
        if isinstance(call.node, nodes.Name) and call.node.name in {"_", "gettext", "ngettext"}:
            assert isinstance(call.args[0], nodes.Const), f"{path.name}:{call.lineno}"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("<p>Hello {{ name }}</p>", ["Hello"]),
        ("<p>{{ _('Hello') }}</p>", []),
        ("<p>{% trans %}Hello{% endtrans %}</p>", []),
        ('<a aria-label="Close" href="/close">{{ x }}</a>', ["Close"]),
        ("{% if x %}Yes{% endif %}", ["Yes"]),
        ("<style>body {{ x }}</style><script>let x</script>", []),
    ],
)
def test_bare_words_are_found(source: str, expected: list[str]) -> None:
    assert bare_words(source) == expected
