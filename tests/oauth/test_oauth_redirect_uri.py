"""Where an authorization response may go: to an address that is registered, compared as text (RFC 9700 section 4.1)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.oauth.op import Op

WEB = "https://rp.example.com/callback"
WITH_QUERY = "https://rp.example.com/callback?tenant=a"
LOOPBACK = "http://127.0.0.1/callback"
LOOPBACK_PORT = "http://127.0.0.1:8400/callback"
LOOPBACK_V6 = "http://[::1]/callback"
LOCALHOST = "http://localhost:8400/callback"
NATIVE = "com.example.app:/callback"
ALL = (WEB, WITH_QUERY, LOOPBACK, LOOPBACK_PORT, LOOPBACK_V6, LOCALHOST, NATIVE)

OTHERS = {
    "prefix": "https://rp.example.com/callback/more",
    "shorter": "https://rp.example.com/",
    "no-path": "https://rp.example.com",
    "suffix-host": "https://evil-rp.example.com/callback",
    "subdomain": "https://a.rp.example.com/callback",
    "longer-host": "https://rp.example.com.evil.example/callback",
    "dot-host": "https://rp.example.com./callback",
    "upper-host": "https://RP.example.com/callback",
    "upper-scheme": "HTTPS://rp.example.com/callback",
    "upper-path": "https://rp.example.com/Callback",
    "scheme": "http://rp.example.com/callback",
    "default-port": "https://rp.example.com:443/callback",
    "port": "https://rp.example.com:8443/callback",
    "empty-port": "https://rp.example.com:/callback",
    "slash": "https://rp.example.com/callback/",
    "double-slash": "https://rp.example.com//callback",
    "traversal": "https://rp.example.com/x/../callback",
    "traversal-after": "https://rp.example.com/callback/../evil",
    "encoded-traversal": "https://rp.example.com/callback/%2e%2e/evil",
    "dot": "https://rp.example.com/./callback",
    "encoded": "https://rp.example.com/%63allback",
    "encoded-slash": "https://rp.example.com%2fcallback",
    "encoded-nul": "https://rp.example.com/callback%00",
    "userinfo": "https://user@rp.example.com/callback",
    "userinfo-confusion": "https://rp.example.com@evil.example/callback",
    "userinfo-port": "https://rp.example.com:443@evil.example/callback",
    "backslash": "https://rp.example.com\\@evil.example/callback",
    "backslash-path": "https://rp.example.com\\callback",
    "fragment": "https://rp.example.com/callback#x",
    "empty-fragment": "https://rp.example.com/callback#",
    "query-added": "https://rp.example.com/callback?x=1",
    "empty-query": "https://rp.example.com/callback?",
    "query-changed": "https://rp.example.com/callback?tenant=b",
    "query-longer": "https://rp.example.com/callback?tenant=a&x=1",
    "path-parameter": "https://rp.example.com/callback;x",
    "leading-space": " https://rp.example.com/callback",
    "trailing-space": "https://rp.example.com/callback ",
    "tab": "https://rp.example.com/call\tback",
    "newline": "https://rp.example.com/callback\n",
    "no-scheme": "//rp.example.com/callback",
    "path-only": "/callback",
    "javascript": "javascript:alert(1)",
    "data": "data:text/html,x",
    "wildcard": "https://*.example.com/callback",
    "idn": "https://rp.exаmple.com/callback",  # noqa: RUF001 - a Cyrillic letter, which is the attack
    "full-width": "https://rp。example.com/callback",
    "two": "https://rp.example.com/callback https://evil.example/",
    "two-by-comma": "https://rp.example.com/callback,https://evil.example/",
    "loopback-path": "http://127.0.0.1:5000/other",
    "loopback-query": "http://127.0.0.1:5000/callback?x=1",
    "loopback-https": "https://127.0.0.1:5000/callback",
    "loopback-localhost": "http://localhost:5000/callback",
    "loopback-other": "http://127.0.0.2:5000/callback",
    "loopback-short": "http://127.1:5000/callback",
    "loopback-decimal": "http://2130706433:5000/callback",
    "loopback-hex": "http://0x7f000001:5000/callback",
    "loopback-any": "http://0.0.0.0:5000/callback",
    "loopback-userinfo": "http://127.0.0.1:5000@evil.example/callback",
    "loopback-userinfo-2": "http://evil@127.0.0.1:5000/callback",
    "loopback-port-0": "http://127.0.0.1:0/callback",
    "loopback-port-high": "http://127.0.0.1:65536/callback",
    "loopback-port-sign": "http://127.0.0.1:+80/callback",
    "loopback-port-word": "http://127.0.0.1:a/callback",
    "loopback-port-digits": "http://127.0.0.1:\u0665\u0660\u0660\u0660/callback",
    "loopback-port-empty": "http://127.0.0.1:/callback",
    "loopback-dot": "http://127.0.0.1.:5000/callback",
    "loopback-host": "http://127.0.0.1.evil.example:5000/callback",
    "loopback-v6-long": "http://[0:0:0:0:0:0:0:1]:5000/callback",
    "loopback-v6-mapped": "http://[::ffff:127.0.0.1]:5000/callback",
    "native-case": "com.example.App:/callback",
    "native-slashes": "com.example.app://callback",
    "native-path": "com.example.app:/other",
}

SAME = {
    "web": WEB,
    "query": WITH_QUERY,
    "loopback": LOOPBACK,
    "loopback-port": LOOPBACK_PORT,
    "loopback-any-port": "http://127.0.0.1:51004/callback",
    "loopback-low-port": "http://127.0.0.1:80/callback",
    "loopback-v6": LOOPBACK_V6,
    "localhost": LOCALHOST,
    "loopback-v6-any-port": "http://[::1]:51004/callback",
    "native": NATIVE,
}


@pytest.mark.parametrize("uri", SAME.values(), ids=SAME)
async def test_a_registered_address_gets_the_answer_and_redeems(op: Op, uri: str) -> None:
    """RFC 8252 section 7.3: a native application listens on whatever port is free."""
    rp = await op.client(auth_method="none", redirect_uris=ALL, application_type="native", requires_pkce=True)
    request = rp.request(redirect_uri=uri)
    browser = op.browser()
    page = await browser.through(await browser.open(request.url))
    assert page.url.startswith(uri)
    assert "&code=" in page.url or "?code=" in page.url
    if "?" in uri:
        assert page.parameters.pop("tenant") == "a"
    answer = await rp.redeem(page.parameters["code"], request)
    assert answer.status == 200, answer.text


async def test_any_other_address_gets_nothing(op: Op) -> None:
    rp = await op.client(auth_method="none", redirect_uris=ALL, application_type="native", requires_pkce=True)
    cookie = await op.running.session(await op.person())
    for name, uri in OTHERS.items():
        for kept in ("", cookie):
            parts = rp.request(redirect_uri=uri).url.removeprefix(op.running.origin)
            answer = await op.running.get(parts, cookie=kept)
            assert answer.status == 400, (name, answer.status, answer.headers.get("Location"))
            assert "Location" not in answer.headers, name
            assert "Refresh" not in answer.headers, name


def open_redirects() -> list[str]:
    text = (Path(__file__).parent.parent / "vectors" / "open_redirects.txt").read_text("utf-8")
    return [line for line in text.splitlines() if line]


async def test_no_known_open_redirect_is_a_redirect_uri(op: Op) -> None:
    rp = await op.client(redirect_uris=[WEB, "https://example.com/", "https://whitelisted.com/callback"])
    cookie = await op.running.session(await op.person())
    vectors = open_redirects()
    assert len(vectors) > 500
    for uri in vectors:
        target = rp.request(redirect_uri=uri, prompt="none").url.removeprefix(op.running.origin)
        answer = await op.running.get(target, cookie=cookie)
        assert answer.status == 400, uri
        assert "Location" not in answer.headers, uri


async def test_no_known_open_redirect_is_a_post_logout_redirect_uri(op: Op) -> None:
    rp = await op.client(post_logout_redirect_uris=["https://rp.example.com/bye", "https://example.com/"])
    tokens = await rp.flow(op.browser(), pkce=False)
    path = rp.path("end_session_endpoint")
    for uri in open_redirects():
        fields = {"id_token_hint": tokens.id_token, "post_logout_redirect_uri": uri}
        answer = await op.running.post(path, data=fields)
        location = answer.headers.get("Location", "/")
        assert answer.status < 500, uri
        assert not location.startswith(("//", "/\\")), uri
        assert location.startswith(("/", f"{op.running.origin}/")), uri
        assert "Refresh" not in answer.headers, uri
