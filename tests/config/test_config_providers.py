"""Providers in the configuration: what does not fit together is named where it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.load import load_settings
from gateway.errors import ConfigError

PROVIDER = "{type: oidc, issuer: 'https://id.example.com', client_id: wiki}"


def load(tmp_path: Path, *providers: str) -> None:
    path = tmp_path / "gateway.yaml"
    lines = "".join(f"\n  p{number}: {each}" for number, each in enumerate(providers))
    path.write_text(f"version: 1\nproviders:{lines}\n", encoding="utf-8")
    load_settings(path, {})


@pytest.mark.parametrize(
    "provider",
    [
        PROVIDER,
        "{type: google, client_id: wiki, client_secret: s}",
        "{type: microsoft, client_id: wiki, issuer: 'https://login.microsoftonline.com/x/v2.0'}",
        "{issuer: 'http://127.0.0.1:9', client_id: wiki, allow_private: true}",
        (
            "{type: oauth2, client_id: a, authorization_url: 'https://a', token_url: 'https://b', userinfo_url: 'https://c',"
            " claims: {subject: id}}"
        ),
    ],
)
def test_what_fits_is_taken(tmp_path: Path, provider: str) -> None:
    load(tmp_path, provider)


@pytest.mark.parametrize(
    ("providers", "key", "message"),
    [
        (["{client_id: wiki}"], "providers.p0.issuer", "is required"),
        (["{type: github, client_id: a, issuer: 'https://x'}"], "providers.p0.issuer", "has no effect"),
        (["{type: oauth2, client_id: a, claims: {subject: id}}"], "providers.p0.token_url", "is required"),
        (
            [
                "{type: oauth2, client_id: a, authorization_url: 'https://a', token_url: 'https://b', userinfo_url: 'https://c'}"
            ],
            "providers.p0.claims",
            "takes subject",
        ),
        (["{issuer: 'https://a', client_id: a, token_url: 'https://a'}"], "providers.p0.token_url", "has no effect"),
        (["{issuer: 'http://a', client_id: a}"], "providers.p0.issuer", "must begin with https"),
        (["{issuer: 'https://u:p@a', client_id: a}"], "providers.p0.issuer", "must not hold a user"),
        (["{type: apple, client_id: a}"], "providers.p0.team_id", "is required"),
        (["{type: microsoft, client_id: a, trust_email: true}"], "providers.p0.trust_email", "has no effect"),
        (["{type: google, client_id: a, client_secret: s, client_secret_file: /x}"], "client_secret_file", "exclude"),
        (["{type: google, client_id: a, client_secret_file: /nowhere}"], "client_secret_file", "cannot read /nowhere"),
        (
            ["{type: google, client_id: a, domains: [x.example]}"] * 2,
            "providers.p1.domains",
            "by the provider 'p0' already",
        ),
        (["{type: google, client_id: a, domains: [nothing]}"], "providers.p0.domains", "such as example.com"),
        (["{type: myspace, client_id: a}"], "providers.p0.type", "google"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, providers: list[str], key: str, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, *providers)
    text = str(refused.value)
    assert key in text
    assert message in text
    assert "gateway.yaml:" in text


def test_a_name_stands_in_addresses(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(f"version: 1\nproviders: {{'../x': {PROVIDER}}}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="stands in addresses"):
        load_settings(path, {})


def test_no_secret_shows(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text("version: 1\nproviders: {g: {type: google, client_id: a, client_secret: hunter2}}\n")
    assert "hunter2" not in repr(load_settings(path, {}).settings)
