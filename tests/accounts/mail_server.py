"""A mail server that keeps what it is given, or refuses it as it is told."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.gateways import free_port


@dataclass
class Kept:
    """What came. ``answers`` are given instead of taking a letter, one for each, before it."""

    letters: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    logins: list[tuple[bytes, bytes]] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    port: int = 0

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        self.encrypted.append(session.ssl is not None)
        if self.answers:
            return self.answers.pop(0)
        content = envelope.content
        assert isinstance(content, bytes)
        self.recipients.append(list(envelope.rcpt_tos))
        self.letters.append(message_from_bytes(content, policy=policy.default))
        return "250 OK"

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.logins.append((data.login, data.password))
        return AuthResult(success=data.password == b"p@ss word", handled=False)


@contextmanager
def mail_server(tls: ssl.SSLContext | None = None) -> Iterator[Kept]:
    """Run one on a free port of this machine. With ``tls`` it wants STARTTLS and a login."""
    kept = Kept(port=free_port())
    demanding: dict[str, Any] = {}
    if tls is not None:
        demanding = {"tls_context": tls, "require_starttls": True, "auth_required": True}
        demanding["authenticator"] = kept.authenticate
    controller = Controller(kept, hostname="127.0.0.1", port=kept.port, **demanding)
    controller.start()
    try:
        yield kept
    finally:
        controller.stop()


def body(letter: EmailMessage, kind: str = "plain") -> str:
    part = letter.get_body((kind,))
    assert part is not None
    return str(part.get_content())
