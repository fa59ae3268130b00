"""What other proxies need to ask for decisions."""

from __future__ import annotations

import re
from typing import Final

from pydantic import SecretStr

from gateway.config.section import Section
from gateway.config.values import FilePath

_KEY: Final = re.compile(r"[!-~]{16,256}")


class Authz(Section):
    """Decisions for other proxies."""

    key: SecretStr | None = None
    """What a proxy must send in `X-Gateway-Authz-Key` to get a decision, 16 to 256 printable characters; else: 403."""
    key_file: FilePath | None = None
    """A file that holds the key."""


def check_authz_key(text: str) -> None:
    """Raise ValueError when ``text`` cannot stand in a header field or is easily guessed. It is never repeated."""
    if not _KEY.fullmatch(text):
        raise ValueError("must be 16 to 256 printable characters without spaces; make one with: openssl rand -hex 32")
