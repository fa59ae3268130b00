"""Mail that the gateway sends to people: links, and news of their accounts."""

from __future__ import annotations

import re
from typing import Annotated, Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from pydantic import AfterValidator, Field, SecretStr

from gateway.config.scalars import Duration, parse_duration
from gateway.config.section import Section
from gateway.config.values import FilePath

# RFC 5322 section 3.4, as far as anybody writes it: an address, or a name before one in angle brackets.
_ADDRESS: Final = r"[^\s@<>\"(),:;\\\[\]]+@[^\s@<>\"(),:;\\\[\]]+"
_MAILBOX: Final = re.compile(rf"(?:[^<>\x00-\x1f\x7f]{{0,100}}<{_ADDRESS}>|{_ADDRESS})")
_SCHEMES: Final = {"smtp": 587, "smtps": 465}


def _mailbox(text: str) -> str:
    if not _MAILBOX.fullmatch(text):
        raise ValueError("must be an address, such as Gateway <gateway@example.com>")
    return text


Mailbox = Annotated[str, AfterValidator(_mailbox)]


class MailSettings(Section):
    """Mail that the gateway sends. Without `url`, `gateway user` prints links for an administrator to pass on."""

    url: SecretStr | None = None
    """`smtp://user:password@host:587` (with STARTTLS; `?tls=none` on a network of your own) or `smtps://…:465`."""
    url_file: FilePath | None = None
    """A file that holds the URL."""
    sender: Mailbox | None = Field(None, alias="from")
    """Whom letters come from, such as `Wiki <wiki@example.com>`; needed where mail is sent."""
    reply_to: Mailbox | None = None
    """Where answers go, when not to `from`."""
    timeout: Duration = Field(parse_duration("30s"), le=parse_duration("5m"))
    """How long the mail server may take to answer."""

    @property
    def enabled(self) -> bool:
        return self.url is not None


def check_mail_url(text: str) -> SplitResult:
    """Return the parts of a mail server's URL. Raises ValueError, which never repeats it: it holds a password."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError("is not a URL: smtp://user:password@host:587") from None
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise ValueError("must start with smtp:// or smtps:// and name a host")
    if port == 0 or parts.path not in {"", "/"} or parts.fragment:
        raise ValueError("holds more than user, password, host, port and ?tls=")
    if dict(parse_qsl(parts.query)).keys() - {"tls"}:
        raise ValueError("knows no other parameter than tls")
    if dict(parse_qsl(parts.query)).get("tls", "starttls") not in {"starttls", "none"}:
        raise ValueError("tls must be starttls or none")
    if (parts.username is None) is not (parts.password is None):
        raise ValueError("must hold a user and a password, or neither")
    return parts


class MailServer:
    """Where letters are given to, out of a checked URL. It never shows its password."""

    def __init__(self, url: str) -> None:
        parts = check_mail_url(url)
        self.host = parts.hostname or ""
        self.port = parts.port or _SCHEMES[parts.scheme]
        self.implicit_tls = parts.scheme == "smtps"
        self.starttls = not self.implicit_tls and dict(parse_qsl(parts.query)).get("tls") != "none"
        self.username = unquote(parts.username) if parts.username is not None else None
        self.password = unquote(parts.password) if parts.password is not None else None

    def __repr__(self) -> str:
        return f"MailServer({self.host}:{self.port})"
