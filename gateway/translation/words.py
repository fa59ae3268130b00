"""The words of the language that the present task speaks.

Messages are written in English where they are used and looked up when they are shown: ``text("Sign in")``,
``text("%(count)s days", count=3)``, ``counted("%(count)s day", "%(count)s days", 3)``. `later` marks a message that is
kept in a table or an error and shown elsewhere, so that it is found when catalogues are made.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from gateway.translation.catalogs import ENGLISH, Language, choose

_current: ContextVar[Language] = ContextVar("language", default=ENGLISH)


def current() -> Language:
    """Return the language that is spoken here and now."""
    return _current.get()


def speak(language: Language) -> None:
    """Speak ``language`` for the rest of this task, as the answer to one request is."""
    _current.set(language)


@contextmanager
def speaking(language: Language) -> Iterator[None]:
    """Speak ``language`` for a while, as a letter to somebody else is."""
    token = _current.set(language)
    try:
        yield
    finally:
        _current.reset(token)


def language_of(chosen: str) -> Language:
    """Return the language to write to somebody in: the chosen one, else what is spoken to who asks for the letter."""
    return choose(chosen, "") if chosen else current()


def later(message: str) -> str:
    """Mark ``message`` for the catalogues; it is looked up where it is shown."""
    return message


def text(message: str, **values: object) -> str:
    """Return ``message`` in the current language, with ``%(name)s`` filled in."""
    found = current().gettext(message)
    return found % values if values else found


def counted(one: str, many: str, count: int, **values: object) -> str:
    """Return the form of a message that ``count`` takes, with ``%(count)s`` filled in."""
    return current().ngettext(one, many, count) % {"count": count, **values}
