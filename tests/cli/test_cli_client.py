"""``gateway client``: add, list, show, rotate-secret, disable, enable, delete."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
from jwcrypto.jwk import JWK

from gateway.cli.workshop import client_office
from gateway.clock import SystemClock
from gateway.config.load import load_settings
from gateway.errors import NotFound
from gateway.oauth.state.client import Client
from tests.cli.conftest import CommandLine

CALLBACK = "https://app.example.com/callback"


def stored(command_line: CommandLine, client_id: str) -> Client | None:
    """Ask the database for a client, as the server would."""

    async def work() -> Client | None:
        async with client_office(load_settings(command_line.config, {}).settings) as office:
            try:
                return await office.registry.get(client_id)
            except NotFound:
                return None

    return asyncio.run(work())


def accepts(command_line: CommandLine, client_id: str, secret: str, later: timedelta = timedelta(0)) -> bool:
    client = stored(command_line, client_id)
    assert client is not None
    return client.has_secret(secret, SystemClock().now() + later)


def test_an_application_is_added_and_its_secret_shown_once(command_line: CommandLine) -> None:
    ended = command_line("client", "add", "Grafana", "--redirect-uri", CALLBACK)
    assert (ended.code, "not shown again" in ended.err) == (0, True)
    printed = dict(line.split() for line in ended.out.splitlines())
    assert set(printed) == {"client_id", "client_secret"}
    assert re.fullmatch(r"gws_[0-9A-Za-z]{43}[0-9a-f]{8}", printed["client_secret"])
    client = stored(command_line, printed["client_id"])
    assert client is not None
    assert client.has_secret(printed["client_secret"], SystemClock().now())
    assert (client.name, client.redirect_uris) == ("Grafana", (CALLBACK,))
    assert client.grant_types == ("authorization_code", "refresh_token")
    assert (client.opens_routes, client.requires_pkce, client.first_party) == (True, True, False)
    for command in (("show", printed["client_id"]), ("list",), ("show", "Grafana", "--output", "json")):
        shown = command_line("client", *command)
        assert printed["client_id"] in shown.out
        assert printed["client_secret"] not in shown.out


def test_json_says_what_was_registered(command_line: CommandLine, tmp_path: Path) -> None:
    command_line.add("ann")
    keys = tmp_path / "keys.json"
    key = JWK.generate(kty="EC", crv="P-256", kid="one")
    keys.write_text(json.dumps({"keys": [key.export_public(as_dict=True)]}))
    options = ["--owner", "ann", "--first-party", "--introspect", "--scope", "openid", "--scope", "wiki:read"]
    options += ["--jwks", str(keys), "--id-token-alg", "EdDSA", "--access-lifetime", "5m", "--grant", "device_code"]
    options += ["--grant", "client_credentials", "--pairwise", "--output", "json"]
    made = command_line("client", "add", "Robot", *options).json
    assert made["token_endpoint_auth_method"] == "private_key_jwt"
    assert made["jwks"]["keys"][0]["kid"] == "one"
    assert made["client_secret"] is None
    assert made["grant_types"] == ["client_credentials", "urn:ietf:params:oauth:grant-type:device_code"]
    assert (made["scope"], made["subject_type"]) == ("openid wiki:read", "pairwise")
    assert (made["access_token_lifetime"], made["id_token_signed_response_alg"]) == (300, "EdDSA")
    assert (made["first_party"], made["may_introspect"]) == (True, True)
    (listed,) = command_line("client", "list", "--owner", "ann", "--output", "json").json
    assert (listed["client_id"], listed["owner"]) == (made["client_id"], "ann")
    assert command_line("client", "show", "Robot", "--output", "json").json["owner"] == "ann"


def test_a_program_without_an_address_stands_for_itself(command_line: CommandLine) -> None:
    made = command_line("client", "add", "Nightly", "--output", "json").json
    assert made["grant_types"] == ["client_credentials"]
    assert made["client_secret"].startswith("gws_")


def test_a_client_that_publishes_keys_signs_with_them(command_line: CommandLine) -> None:
    made = command_line("client", "add", "App", "--jwks-uri", "https://app.example.com/keys", "--output", "json").json
    assert (made["token_endpoint_auth_method"], made["client_secret"]) == ("private_key_jwt", None)


@pytest.mark.parametrize("grant", ["password", "implicit"])
def test_old_grants_are_given_with_a_warning(command_line: CommandLine, grant: str) -> None:
    ended = command_line("client", "add", "Old", "--redirect-uri", CALLBACK, "--grant", grant, "--output", "json")
    assert (ended.code, ended.json["grant_types"]) == (0, [grant])
    assert ended.err.count("\n") == 1
    assert f"warning: the grant {grant}" in ended.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--redirect-uri", "http://app.example.com/cb"], "localhost"),
        (["--redirect-uri", "javascript:alert(1)"], "redirect_uris"),
        (["--grant", "authorization_code"], "redirect_uris: is required"),
        (["--redirect-uri", CALLBACK, "--auth-method", "none", "--no-pkce"], "PKCE"),
        (["--auth-method", "private_key_jwt"], "jwks"),
        (["--auth-method", "none"], "authenticate itself"),
        (["--redirect-uri", CALLBACK, "--auth-method", "none", "--introspect"], "introspection"),
        (["--owner", "nobody"], "gateway user list"),
    ],
    ids=[
        "http",
        "javascript",
        "no-address",
        "public-no-pkce",
        "no-keys",
        "public-alone",
        "public-introspects",
        "owner",
    ],
)
def test_what_cannot_be_is_one_line(command_line: CommandLine, options: list[str], said: str) -> None:
    ended = command_line("client", "add", "App", *options)
    assert (ended.code, ended.out, ended.err.count("\n")) == (1, "", 1)
    assert said in ended.err
    assert command_line("client", "list", "--output", "json").json == []


@pytest.mark.parametrize(
    "options",
    [["--grant", "magic"], ["--jwks", "/nowhere"], ["--access-lifetime", "soon"], ["--auth-method", "hope"]],
    ids=["grant", "jwks", "lifetime", "method"],
)
def test_wrong_usage_is_2(command_line: CommandLine, options: list[str]) -> None:
    ended = command_line("client", "add", "App", *options)
    assert (ended.code, ended.err.count("\n")) == (2, 1)


def test_a_rotated_secret_overlaps_and_the_third_ends_the_first(command_line: CommandLine) -> None:
    made = command_line("client", "add", "App", "--redirect-uri", CALLBACK, "--output", "json").json
    client_id, first = made["client_id"], made["client_secret"]
    second = command_line("client", "rotate-secret", client_id, "--output", "json").json["client_secret"]
    assert accepts(command_line, client_id, first)
    assert accepts(command_line, client_id, second)
    shown = command_line("client", "show", "App", "--output", "json").json["secrets"]
    assert [secret["expires_at"] is not None for secret in shown] == [True, False]
    assert "ends" in command_line("client", "show", "App").out
    assert not accepts(command_line, client_id, first, timedelta(hours=24, minutes=1))
    assert accepts(command_line, client_id, second, timedelta(days=4000))
    third = command_line("client", "rotate-secret", "App", "--overlap", "0s", "--output", "json").json["client_secret"]
    assert [accepts(command_line, client_id, each) for each in (first, second, third)] == [False, False, True]


def test_a_client_without_a_secret_has_none_to_rotate(command_line: CommandLine) -> None:
    command_line("client", "add", "App", "--redirect-uri", CALLBACK, "--auth-method", "none")
    ended = command_line("client", "rotate-secret", "App")
    assert (ended.code, ended.err.count("\n")) == (1, 1)
    assert "no secret" in ended.err


def test_disable_enable_delete(command_line: CommandLine) -> None:
    made = command_line("client", "add", "App", "--redirect-uri", CALLBACK, "--output", "json").json
    assert command_line("client", "disable", "App").code == 0
    client = stored(command_line, made["client_id"])
    assert client is not None
    assert not client.is_active
    assert command_line("client", "enable", made["client_id"]).code == 0
    client = stored(command_line, made["client_id"])
    assert client is not None
    assert client.is_active
    assert command_line("client", "delete", "App", "--yes").code == 0
    assert stored(command_line, made["client_id"]) is None
    gone = command_line("client", "delete", "App", "--yes")
    assert (gone.code, "gateway client list" in gone.err) == (1, True)


def test_a_name_of_two_says_which(command_line: CommandLine) -> None:
    ids = [command_line("client", "add", "App", "--output", "json").json["client_id"] for _ in range(2)]
    ended = command_line("client", "show", "App")
    assert ended.code == 1
    assert all(client_id in ended.err for client_id in ids)
    assert command_line("client", "show", ids[0]).code == 0
