"""News of an account for its owner: what changed, when, and from where. Nothing happens where no mail is configured."""

from __future__ import annotations

from gateway.accounts.mail.letters import Letters, when
from gateway.accounts.mail.postbox import Postbox
from gateway.accounts.user import User
from gateway.accounts.user_agent import browser_words
from gateway.clock import Clock
from gateway.storage.database import Executor
from gateway.translation import words
from gateway.translation.words import text


class Notices:
    """Writes them to the postbox, in the caller's transaction when there is one."""

    def __init__(self, postbox: Postbox, letters: Letters, brand: str, clock: Clock) -> None:
        self._postbox = postbox
        self._letters = letters
        self._brand = brand
        self._clock = clock

    async def new_device(self, user: User, *, user_agent: str, address: str) -> None:
        """Somebody has signed in where the account was never seen."""
        with words.speaking(words.language_of(user.language)):
            facts = [text("Device: %(device)s", device=browser_words(user_agent)), *self._facts(address)]
            said = text(
                "Your account at %(brand)s was signed in on a device that it was not used on before.", brand=self._brand
            )
            subject = text("New sign-in to your account")
        await self._postbox.put(self._letters.news(user, subject, [said], facts))

    async def password_changed(self, user: User, connection: Executor | None = None) -> None:
        with words.speaking(words.language_of(user.language)):
            said = text("The password of your account at %(brand)s was changed.", brand=self._brand)
            subject, facts = text("Your password was changed"), self._facts("")
        await self._postbox.put(self._letters.news(user, subject, [said], facts), connection)

    async def email_changed(self, user: User, old_email: str, connection: Executor | None = None) -> None:
        """Tell the address that was given up. ``user`` has the new one."""
        with words.speaking(words.language_of(user.language)):
            said = text(
                "Your account at %(brand)s has a new e-mail address: %(email)s.", brand=self._brand, email=user.email
            )
            subject, facts = text("Your e-mail address was changed"), self._facts("")
        await self._postbox.put(self._letters.news(user.with_email(old_email), subject, [said], facts), connection)

    async def factor_changed(self, user: User, what: str, *, added: bool, connection: Executor | None = None) -> None:
        """A second factor was set up or removed; ``what`` is its name."""
        with words.speaking(words.language_of(user.language)):
            said = (
                text(
                    "%(what)s was added to your account at %(brand)s as a second factor.", what=what, brand=self._brand
                )
                if added
                else text(
                    "%(what)s was removed from the second factors of your account at %(brand)s.",
                    what=what,
                    brand=self._brand,
                )
            )
            subject, facts = text("Your second factors were changed"), self._facts("")
        await self._postbox.put(self._letters.news(user, subject, [said], facts), connection)

    async def locked(self, user: User, address: str) -> None:
        """Too many wrong passwords: nobody can sign in for a while from where the account is not known."""
        with words.speaking(words.language_of(user.language)):
            said = text(
                "Somebody has tried many wrong passwords for your account at %(brand)s. For a while nobody can sign in "
                "to it on devices that it was not used on before.",
                brand=self._brand,
            )
            subject, facts = text("Many wrong passwords for your account"), self._facts(address)
        await self._postbox.put(self._letters.news(user, subject, [said], facts))

    def _facts(self, address: str) -> list[str]:
        facts = [text("Time: %(when)s", when=when(self._clock.now()))]
        if address:
            facts.append(text("From: %(address)s", address=address))
        return facts
