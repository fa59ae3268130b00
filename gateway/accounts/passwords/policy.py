"""What a new password must be: long enough, not among those that are tried first, not easy to guess, not leaked.

No rules of composition (NIST SP 800-63B-4 section 3.1.1.2): they make passwords worse.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from gateway.accounts.passwords.breach import LeakedPasswords, Leaks, NoLeaks
from gateway.accounts.passwords.hasher import LONGEST_PASSWORD, PasswordHasher
from gateway.accounts.passwords.strength import is_common, judged
from gateway.config.accounts import PasswordSettings
from gateway.errors import FieldError
from gateway.translation.words import later, text


class PasswordPolicy:
    """Judges passwords; the slow part is done in the hasher's threads, within its bounds."""

    def __init__(self, settings: PasswordSettings, hasher: PasswordHasher, leaks: Leaks | None = None) -> None:
        self._settings = settings
        self._hasher = hasher
        url = settings.leaked_url
        self._leaks = leaks or (LeakedPasswords(url, required=settings.leaked_required) if url else NoLeaks())

    async def check(self, password: str, words: Iterable[str] = ()) -> list[FieldError]:
        """Return what is wrong; ``words`` are those of its owner. Raises Overloaded, InvalidInput (see `Leaks`)."""
        least = self._settings.min_length
        if len(password) < least:
            return [FieldError("password", later("must have at least %(count)s characters"), {"count": least})]
        if len(password) > LONGEST_PASSWORD:
            message = later("must have at most %(count)s characters")
            return [FieldError("password", message, {"count": LONGEST_PASSWORD})]
        given = [part for word in words for part in (word, *word.split("@"))]
        if self._settings.reject_common and (is_common(password) or password.casefold() in _folded(given)):
            return [FieldError("password", later("is among those that are tried first: choose another"))]
        if self._settings.min_strength:
            strength = await self._hasher.run(partial(judged, password, given))
            if strength.score < self._settings.min_strength:
                why = text(strength.warning or "Add another word or two.")
                return [FieldError("password", later("is too easy to guess. %(why)s"), {"why": why})]
        if await self._leaks.holds(password):
            return [
                FieldError("password", later("has leaked somewhere, and is tried by those who know: choose another"))
            ]
        return []


def _folded(words: Iterable[str]) -> frozenset[str]:
    return frozenset(word.casefold() for word in words)
