"""What letters say, in the language of whom they go to. Each function is one kind of letter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from babel.dates import format_datetime
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from gateway.accounts.mail.letter import Letter
from gateway.accounts.user import User
from gateway.config.settings import Settings
from gateway.translation import words
from gateway.translation.words import counted, text

_HERE: Final = Path(__file__).parent
_HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Link:
    """The one thing to do."""

    label: str
    url: str = field(repr=False)


class Letters:
    """Writes them."""

    def __init__(self, settings: Settings) -> None:
        self._brand = settings.branding.name
        self._place = f"{settings.server.public_url}{settings.server.prefix}"
        self._environment = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=select_autoescape(("html",)),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            extensions=["jinja2.ext.i18n"],
        )
        self._environment.install_gettext_callables(  # type: ignore[attr-defined]  # by the extension
            lambda message: words.current().gettext(message),
            lambda one, many, count: words.current().ngettext(one, many, count),
            newstyle=True,
        )

    def verify(self, user: User, url: str, lifetime: timedelta) -> Letter:
        with words.speaking(words.language_of(user.language)):
            return self._letter(
                user.email,
                text("Confirm your e-mail address"),
                greeting=_hello(user),
                paragraphs=[
                    text(
                        "Please confirm that this address is yours, so that you can use your account at %(brand)s.",
                        brand=self._brand,
                    ),
                ],
                link=Link(text("Confirm address"), url),
                after=[_lasting(lifetime), text("If you did not make this account, you need not do anything.")],
            )

    def reset(self, user: User, url: str, lifetime: timedelta) -> Letter:
        with words.speaking(words.language_of(user.language)):
            return self._letter(
                user.email,
                text("Choose a new password"),
                greeting=_hello(user),
                paragraphs=[
                    text(
                        "Somebody, most likely you, has asked for a new password for %(name)s at %(brand)s.",
                        name=user.username,
                        brand=self._brand,
                    ),
                ],
                link=Link(text("Choose a new password"), url),
                after=[
                    _lasting(lifetime),
                    text("If it was not you, you need not do anything: your password stays as it is."),
                ],
            )

    def change_from(self, user: User, new_email: str, url: str, lifetime: timedelta) -> Letter:
        """To the address that is to be given up."""
        with words.speaking(words.language_of(user.language)):
            return self._letter(
                user.email,
                text("Agree to a new e-mail address"),
                greeting=_hello(user),
                paragraphs=[
                    text(
                        "Your account at %(brand)s is to have a new e-mail address: %(email)s. It takes effect once "
                        "you have agreed here, and have confirmed the new address.",
                        brand=self._brand,
                        email=new_email,
                    ),
                ],
                link=Link(text("Agree to the new address"), url),
                after=[
                    _lasting(lifetime),
                    text("If it was not you who asked for this, change your password now: somebody else may know it."),
                ],
            )

    def change_to(self, user: User, new_email: str, url: str, lifetime: timedelta) -> Letter:
        """To the address that is to be used."""
        with words.speaking(words.language_of(user.language)):
            return self._letter(
                new_email,
                text("Confirm your new e-mail address"),
                greeting=_hello(user),
                paragraphs=[
                    text(
                        "This is to be the address of the account %(name)s at %(brand)s. Please confirm that it is "
                        "yours.",
                        name=user.username,
                        brand=self._brand,
                    ),
                ],
                link=Link(text("Confirm address"), url),
                after=[_lasting(lifetime), text("If you do not know about this, you need not do anything.")],
            )

    def invitation(self, email: str, url: str, lifetime: timedelta, language: str = "") -> Letter:
        with words.speaking(words.language_of(language)):
            return self._letter(
                email,
                text("You are invited to %(brand)s", brand=self._brand),
                greeting=text("Hello,"),
                paragraphs=[
                    text("An administrator of %(brand)s has invited you to make an account there.", brand=self._brand)
                ],
                link=Link(text("Make your account"), url),
                after=[_lasting(lifetime), text("If you do not want one, you need not do anything.")],
            )

    def already_registered(self, user: User, login_url: str) -> Letter:
        """To somebody whose address was given to make a second account."""
        with words.speaking(words.language_of(user.language)):
            return self._letter(
                user.email,
                text("You have an account already"),
                greeting=_hello(user),
                paragraphs=[
                    text(
                        "Somebody, most likely you, has tried to make an account at %(brand)s with this address. You "
                        "have one: its name is %(name)s.",
                        brand=self._brand,
                        name=user.username,
                    ),
                ],
                link=Link(text("Sign in"), login_url),
                after=[text("If it was not you, you need not do anything.")],
            )

    def news(self, user: User, subject: str, paragraphs: Sequence[str], facts: Sequence[str] = ()) -> Letter:
        """Something has happened to an account. The texts are in the language of the user already."""
        with words.speaking(words.language_of(user.language)):
            return self._letter(
                user.email,
                subject,
                greeting=_hello(user),
                paragraphs=paragraphs,
                facts=facts,
                after=[
                    text(
                        "If it was not you, change your password now, and look at your sessions under %(url)s.",
                        url=f"{self._place}/account",
                    )
                ],
            )

    def _letter(
        self,
        to: str,
        subject: str,
        *,
        greeting: str,
        paragraphs: Sequence[str],
        link: Link | None = None,
        facts: Sequence[str] = (),
        after: Sequence[str] = (),
    ) -> Letter:
        values = {
            "subject": subject,
            "greeting": greeting,
            "paragraphs": paragraphs,
            "link": link,
            "facts": facts,
            "after": after,
            "brand": self._brand,
            "place": self._place,
            "language": words.current().tag,
        }
        plain, html = (self._environment.get_template(f"letter.{kind}").render(values) for kind in ("txt", "html"))
        return Letter(to, subject, plain, html, words.current().tag)


def when(moment: datetime) -> str:
    """Say a moment as a letter does."""
    return f"{format_datetime(moment, 'd MMMM y, HH:mm', locale=words.current().locale)} UTC"


def _hello(user: User) -> str:
    return text("Hello %(name)s,", name=user.name or user.username)


def _lasting(lifetime: timedelta) -> str:
    if lifetime % timedelta(days=1):
        return counted(
            "The link is good once, for %(count)s hour.",
            "The link is good once, for %(count)s hours.",
            max(1, round(lifetime / _HOUR)),
        )
    return counted(
        "The link is good once, for %(count)s day.", "The link is good once, for %(count)s days.", lifetime.days
    )
