"""Which language is spoken to whom."""

from __future__ import annotations

from gettext import NullTranslations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import FieldError
from gateway.translation import catalogs, words
from gateway.translation.catalogs import ENGLISH, Language, choose

GERMAN = Language("de", NullTranslations())


@pytest.fixture(autouse=True)
def _two_languages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogs, "languages", lambda: {"en": ENGLISH, "de": GERMAN})


@pytest.mark.parametrize(
    ("chosen", "accepted", "expected"),
    [
        ("", "", "en"),
        ("", "de", "de"),
        ("", "de-AT,en;q=0.5", "de"),
        ("", "en;q=0.5, de;q=0.9", "de"),
        ("", "fr, de;q=0", "en"),
        ("", "de;q=nan, en", "en"),
        ("", "*", "en"),
        ("de", "en", "de"),
        ("xx", "de", "de"),
        ("", "," * 10_000 + "de", "en"),
    ],
)
def test_the_language_is_the_chosen_one_or_the_best_that_the_browser_takes(
    chosen: str, accepted: str, expected: str
) -> None:
    assert choose(chosen, accepted).tag == expected


@given(st.text(max_size=600))
def test_no_header_is_an_error(header: str) -> None:
    assert choose("", header).tag in {"en", "de"}


def test_a_letter_speaks_another_language_than_the_page_that_sends_it() -> None:
    with words.speaking(GERMAN):
        assert words.current() is GERMAN
    assert words.current() is ENGLISH


def test_values_are_filled_in_and_counted() -> None:
    assert words.text("at least %(count)s characters", count=8) == "at least 8 characters"
    assert words.counted("%(count)s day", "%(count)s days", 1) == "1 day"
    assert words.counted("%(count)s day", "%(count)s days", 3) == "3 days"
    assert FieldError("password", "at least %(count)s", {"count": 8}).detail == "at least 8"
    assert FieldError("password", "100 % of them").detail == "100 % of them"
