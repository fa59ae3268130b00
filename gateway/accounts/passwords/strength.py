"""How easily a password is guessed, by zxcvbn: names, words, dates, keyboards and repeats count for what they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from zxcvbn import zxcvbn
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from gateway.translation.words import later

# zxcvbn takes time by the square of the length; what makes a password strong shows sooner.
LONGEST_JUDGED: Final = 64
# What zxcvbn says, so that catalogues can hold it.
WARNINGS: Final = (
    later("This is a top-10 common password."),
    later("This is a top-100 common password."),
    later("This is a very common password."),
    later("This is similar to a commonly used password."),
    later("A word by itself is easy to guess."),
    later("Names and surnames by themselves are easy to guess."),
    later("Common names and surnames are easy to guess."),
    later("Straight rows of keys are easy to guess."),
    later("Short keyboard patterns are easy to guess."),
    later('Repeats like "aaa" are easy to guess.'),
    later('Repeats like "abcabcabc" are only slightly harder to guess than "abc".'),
    later('Sequences like "abc" or "6543" are easy to guess.'),
    later("Recent years are easy to guess."),
    later("Dates are often easy to guess."),
)
ADVICE: Final = later("Add another word or two.")


@dataclass(frozen=True, slots=True)
class Strength:
    """From 0, guessed at once, to 4, very hard to guess; and what makes it easy, in English, or nothing."""

    score: int
    warning: str


def judged(password: str, words: Sequence[str]) -> Strength:
    """Judge a password; ``words`` are those of its owner: name, address, this place. Takes some milliseconds."""
    found = zxcvbn(password[:LONGEST_JUDGED], user_inputs=[word[:LONGEST_JUDGED] for word in words if word])
    return Strength(int(found["score"]), str(found["feedback"]["warning"] or ""))


def is_common(password: str) -> bool:
    """Say whether a password is among the 30,000 that are tried first (the list of zxcvbn, from leaks)."""
    return password.casefold() in _common()


@cache
def _common() -> frozenset[str]:
    return frozenset(FREQUENCY_LISTS["passwords"])
