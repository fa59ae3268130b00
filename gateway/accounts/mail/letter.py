"""One letter, and the message (RFC 5322) that it becomes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid, parseaddr

from gateway.clock import Clock


@dataclass(frozen=True, slots=True)
class Letter:
    """What is told to whom. The texts may hold links that are as good as a password."""

    to: str
    subject: str
    text: str = field(repr=False)
    html: str = field(repr=False)
    language: str = "en"

    def sealed_form(self) -> str:
        """Return the letter as text, to be encrypted."""
        return json.dumps(asdict(self))

    @classmethod
    def opened(cls, text: str) -> Letter:
        return cls(**json.loads(text))


def message(letter: Letter, sender: str, reply_to: str | None, clock: Clock) -> EmailMessage:
    """Return the letter as a message. Whatever a subject holds, it stays one line (the policy sees to it)."""
    made = EmailMessage(policy=SMTP)
    made["From"] = sender
    made["To"] = letter.to
    made["Subject"] = " ".join(letter.subject.split())
    made["Date"] = format_datetime(clock.now())
    made["Message-ID"] = make_msgid(domain=parseaddr(sender)[1].rpartition("@")[2])
    made["Content-Language"] = letter.language
    # RFC 3834 section 5: no holiday notices, please.
    made["Auto-Submitted"] = "auto-generated"
    if reply_to is not None:
        made["Reply-To"] = reply_to
    made.set_content(letter.text)
    made.add_alternative(letter.html, subtype="html")
    return made
