"""A password file beside the accounts, for routes that take `basic`."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator

from gateway.config.section import Section
from gateway.config.values import FilePath, Label, OneOrMore

_PREFIX: Final = re.compile(r"[!-~]{0,63}:")


def _username_prefix(text: str) -> str:
    if not _PREFIX.fullmatch(text):
        # No username of an account has a colon.
        raise ValueError("must end with a colon, and be of at most 64 printable ASCII characters without spaces")
    return text


class HtpasswdSettings(Section):
    """A password file beside the accounts, for routes that take `basic`."""

    file: FilePath | None = None
    """The file, as Apache's `htpasswd` writes it (bcrypt, apr1, SHA); read again when it changes."""
    roles: Annotated[tuple[Label, ...], OneOrMore] = ()
    """The roles of everybody in it."""
    username_prefix: Annotated[str, AfterValidator(_username_prefix)] = "htpasswd:"
    """What goes before their names, so that none is an account's."""
