"""Which browser is signed in, in words."""

from __future__ import annotations

import pytest

from gateway.accounts.user_agent import browser_words


@pytest.mark.parametrize(
    ("user_agent", "words"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0", "Firefox on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/129.0 Safari/537.36 Edg/129.0", "Edge on Windows"),
        ("Mozilla/5.0 (Linux; Android 14) Chrome/129.0 Mobile Safari/537.36", "Chrome on Android"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 14_0) Version/17.0 Safari/605.1", "Safari on macOS"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17 like Mac OS X) CriOS/129 Safari/604.1", "Chrome on iPhone"),
        ("curl/8.5.0", "curl"),
        ("Something (Linux)", "A browser on Linux"),
        ("<script>alert(1)</script>", "An unknown browser"),
        ("", "An unknown browser"),
    ],
    ids=["firefox", "edge", "android", "safari", "iphone", "program", "system-only", "markup", "nothing"],
)
def test_a_browser_is_called_what_its_owner_calls_it(user_agent: str, words: str) -> None:
    assert browser_words(user_agent) == words
