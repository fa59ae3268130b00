"""A return address leads to the portal, to hosts that routes name, to configured origins, and nowhere else."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.server import Server
from gateway.policy.rules import HostNames
from gateway.web.return_to import Place, ReturnTo

CORPUS = [
    line
    for line in (Path(__file__).parent.parent / "vectors" / "open_redirects.txt").read_text("utf-8").splitlines()
    if line.strip()
]
# The corpus writes attacks on this host as if it were allowed, so here it is.
ALLOWED = HostNames(frozenset({"www.whitelisteddomain.tld", "wiki.example.com"}), (".apps.example.com",))
RETURN_TO = ReturnTo(Server(public_url="https://auth.example.com"), ALLOWED, ["https://spa.example:8443"])
WITH_PORT = ReturnTo(Server(public_url="http://localhost:8080"), HostNames(frozenset({"app.localhost"})), [])


@pytest.mark.parametrize(
    ("rd", "url", "place"),
    [
        ("/", "https://auth.example.com/", Place.PORTAL),
        ("/account?tab=1&x=%2F", "https://auth.example.com/account?tab=1&x=%2F", Place.PORTAL),
        ("https://auth.example.com/x", "https://auth.example.com/x", Place.PORTAL),
        ("https://auth.example.com", "https://auth.example.com/", Place.PORTAL),
        ("https://AUTH.example.com.:443/x", "https://auth.example.com/x", Place.PORTAL),
        ("https://wiki.example.com/a?b#", None, None),
        (
            "https://wiki.example.com/a?b=https://evil.example",
            "https://wiki.example.com/a?b=https://evil.example",
            Place.HOST,
        ),
        ("https://x.apps.example.com/", "https://x.apps.example.com/", Place.HOST),
        ("https://spa.example:8443/cb", "https://spa.example:8443/cb", Place.ELSEWHERE),
        ("https://apps.example.com/", None, None),
        ("https://wiki.example.com:8443/", None, None),
        ("https://spa.example/", None, None),
        ("http://wiki.example.com/", None, None),
        ("https://wiki.example.com@evil.example/", None, None),
        ("https://evil.example\\@wiki.example.com/", None, None),
        ("https://wiki.example.com.evil.example/", None, None),
        ("https://evilapps.example.com/", None, None),
        ("https:wiki.example.com/", None, None),
        ("https:///wiki.example.com/", None, None),
        ("//wiki.example.com/", None, None),
        ("/\\wiki.example.com/", None, None),
        ("/\t/evil.example/", None, None),
        ("/a/../..//evil.example", None, None),
        ("/.gateway/sign_out", None, None),
        ("/%2egateway/sign_out", None, None),
        ("https://wiki.example.com/.gateway/callback?ticket=x", None, None),
        ("relative", None, None),
        ("/" + "a" * 5000, None, None),
        ("", None, None),
        (None, None, None),
    ],
)
def test_return_address(rd: str | None, url: str | None, place: Place | None) -> None:
    destination = RETURN_TO.read(rd)
    assert (destination and destination.url, destination and destination.place) == (url, place)


@pytest.mark.parametrize(
    ("rd", "allowed"),
    [
        ("http://localhost:8080/x", True),
        ("http://app.localhost:8080/x", True),
        ("http://app.localhost/x", False),
        ("http://app.localhost:80/x", False),
        ("http://app.localhost:8081/x", False),
        ("https://app.localhost:8080/x", False),
    ],
)
def test_port_and_scheme_are_the_portal_s(rd: str, allowed: bool) -> None:
    assert (WITH_PORT.read(rd) is not None) is allowed


def leads_home(url: str) -> bool:
    parts = urlsplit(url)
    host = parts.hostname or ""
    allowed = host in {"auth.example.com", "www.whitelisteddomain.tld", "wiki.example.com"}
    return parts.scheme == "https" and parts.netloc == host and (allowed or host.endswith(".apps.example.com"))


def test_corpus_is_whole() -> None:
    assert len(CORPUS) > 500


@pytest.mark.parametrize("form", [str, unquote, lambda line: unquote(unquote(line))], ids=["raw", "decoded", "twice"])
def test_open_redirect_corpus_never_leads_away(form: object) -> None:
    assert callable(form)
    for line in CORPUS:
        for attack in (form(line), "/" + form(line), "https://auth.example.com" + form(line)):
            destination = RETURN_TO.read(attack)
            assert destination is None or leads_home(destination.url), attack


PIECES = st.sampled_from(
    [
        "/",
        "//",
        "\\",
        "https:",
        "http://",
        "https://",
        "auth.example.com",
        "evil.example",
        "@",
        ":",
        ".",
        "..",
        "%2f",
        "%5c",
        "\t",
        "\n",
        "\r",
        "#",
        "?",
        "a",
        "%09",
        "\u3002",
        "\uff0f",
        "[::1]",
        "443",
        ".apps.example.com",
        "\x00",
    ]
)


@given(st.lists(PIECES, max_size=9).map("".join) | st.text(max_size=60))
def test_nothing_leads_away(rd: str) -> None:
    destination = RETURN_TO.read(rd)
    if destination is not None:
        assert leads_home(destination.url), rd
        assert destination.url.isascii()
        assert destination.url.isprintable()
        assert destination.url == destination.origin + destination.path
        assert RETURN_TO.read(destination.url) == destination


@given(host=st.sampled_from(["wiki.example.com", "auth.example.com"]), rd=st.lists(PIECES, max_size=9).map("".join))
def test_path_on_a_host_is_always_a_path_there(host: str, rd: str) -> None:
    path = RETURN_TO.path_on(host, rd)
    assert path.startswith("/")
    assert not path.startswith(("//", "/\\"))
    assert path.isprintable()


def test_ipv6_portal_is_read_in_its_one_spelling() -> None:
    return_to = ReturnTo(Server(public_url="http://[::1]:8080"), HostNames(), [])
    destination = return_to.read("http://[0:0::1]:8080/x")
    assert destination is not None
    assert (destination.place, destination.url) == (Place.PORTAL, "http://[::1]:8080/x")
