"""Trusted issuers as they are configured: what is wrong is told by its place, and no two can be confused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.config.load import load_settings
from gateway.config.settings import Settings
from gateway.errors import ConfigError

ISSUER = "https://idp.example.com"
SAME_NAMES = "its usernames could be those of trusted_issuers[0]: give username_prefix"
HTTPS = "must begin with https://, unless allow_private is true"


def load(path: Path, *issuers: str) -> Settings:
    lines = "\n".join(f"  - {{{issuer}}}" for issuer in issuers)
    path.write_text(f"trusted_issuers:\n{lines}\nroutes: [{{name: wiki, upstream: 'http://a'}}]\n")
    return load_settings(path, {}, rules=True).settings


def wrong(path: Path, *issuers: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(path, *issuers)
    return [f"{problem.key.removeprefix('trusted_issuers')}: {problem.message}" for problem in caught.value.problems]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gateway.yaml"


def idp(more: str = "", issuer: str = ISSUER) -> str:
    return f"issuer: '{issuer}', audience: wiki" + (f", {more}" if more else "")


SECRET = "client_id: us, client_secret: s"
ASKED = f"introspection: {{url: 'https://idp.example.com/i', {SECRET}"


@pytest.mark.parametrize(
    ("issuers", "expected"),
    [
        (["issuer: 'https://a'"], ["[0].audience: is required"]),
        (["issuer: 'https://a', audience: []"], ["[0].audience: must not be empty"]),
        ([idp("algorithms: HS256")], ["[0].algorithms: must be one of RS256"]),
        ([idp("algorithms: none")], ["[0].algorithms: must be one of RS256"]),
        ([idp(issuer="https://a/{tenantid}")], ["[0].issuer: must be the issuer as"]),
        ([idp(issuer="https://a|b")], ["[0].issuer: must be the issuer as"]),
        ([idp(issuer="a b")], ["[0].issuer: must be the issuer as"]),
        ([idp(issuer="kubernetes/serviceaccount")], ["[0].issuer: is no address that could be asked"]),
        ([idp(issuer="http://localhost:8080")], ["[0].issuer: is the gateway itself", f"[0].issuer: {HTTPS}"]),
        ([idp("jwks_url: 'http://a/keys'")], [f"[0].jwks_url: {HTTPS}"]),
        ([idp("discovery_url: 'http://a/m'")], [f"[0].discovery_url: {HTTPS}"]),
        ([idp("jwks_url: 'file:///etc/keys'")], ["[0].jwks_url: must be a URL that starts with"]),
        ([idp("jwks_url: 'https://u:p@a/keys'")], ["[0].jwks_url: must not hold a user"]),
        ([idp("jwks_url: 'https://a:0/keys'")], ["[0].jwks_url: must be a URL"]),
        ([idp("jwks_url: 'https://a:x/keys'")], ["[0].jwks_url: is not a URL"]),
        ([idp("jwks_url: 'https://a/k', jwks_file: k")], ["[0].jwks_file: jwks_url and jwks_file exclude"]),
        (
            [idp("jwks_url: 'http://a/k', allow_private: true, token_file: t")],
            ["[0].jwks_url: must begin with https://: token_file is sent there"],
        ),
        ([idp("username_prefix: idp")], ["[0].username_prefix: must end with a colon"]),
        ([idp("username_prefix: ''")], ["[0].username_prefix: must end with a colon"]),
        ([idp("username_prefix: 'client:'")], ["[0].username_prefix: usernames that begin with 'client:'"]),
        ([idp("username_prefix: 'client:x:'")], ["[0].username_prefix: usernames that begin with 'client:'"]),
        ([idp("routes: [wik]")], ["[0].routes: no route is called 'wik'"]),
        ([idp("roles: [{claim: a, role: r}]")], ["[0].roles[0]: takes equals or in"]),
        ([idp("roles: [{claim: a, equals: b, in: c, role: r}]")], ["[0].roles[0]: takes equals or in"]),
        ([idp("roles: [{claim: 'a b', equals: b, role: r}]")], ["[0].roles[0].claim: must be a claim's name"]),
        ([idp("kubernetes: true, claims: {username: sub}")], ["[0].claims.username: has no effect"]),
        ([idp(), idp("username_prefix: 'b:'")], ["[1].issuer: is that of trusted_issuers[0] already"]),
        ([idp(), idp(issuer=f"{ISSUER}/realms/b")], [f"[1].issuer: {SAME_NAMES}"]),
        (
            [idp("username_prefix: 'a:'"), idp("username_prefix: 'a:b:'", issuer="https://b")],
            [f"[1].username_prefix: {SAME_NAMES}"],
        ),
        (
            [idp("kubernetes: true", issuer="https://a"), idp("kubernetes: true", issuer="https://b")],
            [f"[1].issuer: {SAME_NAMES}"],
        ),
        ([idp("introspection: {url: 'https://a/i', client_id: us}")], ["[0].introspection: takes client_secret"]),
        ([idp(ASKED + ", client_secret_file: f}")], ["[0].introspection.client_secret_file: client_secret and"]),
        ([idp(ASKED + ", cache: 6m}")], ["[0].introspection.cache: must be at most"]),
        ([idp(ASKED.replace("https:", "http:") + "}")], [f"[0].introspection.url: {HTTPS}"]),
        ([idp(ASKED + ", jwts: true}, jwks_file: k")], ["[0].jwks_file: has no effect where introspection.jwts"]),
        (
            [idp(ASKED + "}"), idp(ASKED + "}", issuer="https://b")],
            ["[1].introspection: begins its tokens as trusted_issuers[0] does"],
        ),
    ],
)
def test_what_is_wrong_is_told(path: Path, issuers: list[str], expected: list[str]) -> None:
    found = wrong(path, *issuers)
    assert len(found) >= len(expected)
    for text in expected:
        assert any(each.startswith(text) for each in found), found


@pytest.mark.parametrize(
    ("issuer", "prefix"),
    [
        (idp(), "idp.example.com:"),
        (idp(issuer="https://IDP.example.com:8443/a"), "idp.example.com:"),
        (idp("username_prefix: 'x:'"), "x:"),
        (idp("jwks_file: k", issuer="kubernetes/serviceaccount"), "kubernetes/serviceaccount:"),
        (idp("kubernetes: true"), "system:serviceaccount:"),
        (idp("kubernetes: true, username_prefix: 'east:'"), "east:"),
        (idp(f"{ASKED}, jwts: true}}", issuer="urn:idp"), "urn:idp:"),
    ],
)
def test_usernames_of_an_issuer_begin_alike(path: Path, issuer: str, prefix: str) -> None:
    assert load(path, issuer).trusted_issuers[0].prefix == prefix


def test_a_secret_may_stand_in_a_file_and_is_never_shown(path: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2\n")
    asked = "introspection: {url: 'https://idp.example.com/i', client_id: us, client_secret_file: secret}"
    settings = load(path, idp("routes: wiki"), idp(asked, issuer="https://b"))
    introspection = settings.trusted_issuers[1].introspection
    assert introspection is not None
    assert introspection.client_secret is not None
    assert introspection.client_secret.get_secret_value() == "hunter2"
    assert "hunter2" not in repr(settings)
    (tmp_path / "secret").write_text("hunter2\nhunter3")
    assert wrong(path, idp(asked)) == ["[0].introspection.client_secret_file: must be 1 to 1024 printable characters"]


def test_files_that_are_missing_or_open_are_warned_of(path: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t")
    (tmp_path / "token").chmod(0o644)
    load(path, idp("jwks_url: 'https://a/k', ca_file: ca.pem, token_file: token"), idp("jwks_file: k", issuer="urn:b"))
    warnings = [(each.key, each.message.removeprefix(f"{tmp_path}/")) for each in load_settings(path, {}).warnings]
    assert warnings == [
        ("trusted_issuers[0].ca_file", "ca.pem cannot be read: until it can, no token is taken"),
        (
            "trusted_issuers[0].token_file",
            f"token can be read by every user of this machine: chmod o-r {tmp_path}/token",
        ),
        ("trusted_issuers[1].jwks_file", "k cannot be read: until it can, no token is taken"),
    ]


PAGE = Path(__file__).resolve().parents[2] / "docs" / "trusted-issuers.md"
SNIPPETS = re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("text", SNIPPETS)
def test_what_the_documentation_shows_is_valid(path: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "secret").write_text("hunter2")
    path.write_text(text.replace("/run/secrets/idp_secret", "secret"))
    assert load_settings(path, {}, rules=True).settings.trusted_issuers
