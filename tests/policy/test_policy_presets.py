"""Identity headers: values that read back exactly, and nothing more than the route sends."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.presets import (
    IDENTITY_HEADERS,
    PRESETS,
    IdentitySpec,
    Preset,
    decode_value,
    encode_list,
    encode_value,
    identity_headers,
    parse_template,
    secret_header,
)
from tests.policy.asking import someone

ANY_TEXT = st.text(st.characters(codec=None), max_size=20)
PRINTABLE = re.compile(r"(?:[!-~](?:[ -~]*[!-~])?)?")


@given(ANY_TEXT)
def test_encoded_value_reads_back(value: str) -> None:
    encoded = encode_value(value)
    assert PRINTABLE.fullmatch(encoded)
    assert decode_value(encoded) == value


@given(st.lists(ANY_TEXT.filter(bool), max_size=5))
def test_encoded_list_has_the_members_it_was_made_of(values: list[str]) -> None:
    encoded = encode_list(tuple(values))
    assert PRINTABLE.fullmatch(encoded)
    assert [decode_value(member) for member in encoded.split(",") if member] == values


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        ("ann", "ann"),
        ("Ann Example", "Ann Example"),
        ("Zoë", "Zo%C3%AB"),
        ("100%", "100%25"),
        ("%41", "%2541"),
        ("a\r\nX-Admin: 1", "a%0D%0AX-Admin: 1"),
        ("a\x00b", "a%00b"),
        ("a\tb\x7f", "a%09b%7F"),
        (" ann ", "%20ann%20"),
        ("a,b", "a,b"),
        ("😀", "%F0%9F%98%80"),
    ],
)
def test_value_is_percent_encoded_as_utf8(value: str, encoded: str) -> None:
    assert encode_value(value) == encoded


def test_comma_in_a_role_adds_no_role() -> None:
    assert encode_list(("a,admin", "ops")) == "a%2Cadmin,ops"


PERSON = someone("zoë", roles=("admin", "it, hr"), email="zoe@example.com", name="Zoë\nX: y")


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        (
            Preset.FORWARDED,
            [
                ("X-Forwarded-User", "zo%C3%AB"),
                ("X-Forwarded-Preferred-Username", "zo%C3%AB"),
                ("X-Forwarded-Email", "zoe@example.com"),
                ("X-Forwarded-Groups", "admin,it%2C hr"),
            ],
        ),
        (
            Preset.AUTH_REQUEST,
            [
                ("X-Auth-Request-User", "zo%C3%AB"),
                ("X-Auth-Request-Preferred-Username", "zo%C3%AB"),
                ("X-Auth-Request-Email", "zoe@example.com"),
                ("X-Auth-Request-Groups", "admin,it%2C hr"),
            ],
        ),
        (
            Preset.REMOTE_USER,
            [
                ("Remote-User", "zo%C3%AB"),
                ("Remote-Name", "Zo%C3%AB%0AX: y"),
                ("Remote-Email", "zoe@example.com"),
                ("Remote-Groups", "admin,it%2C hr"),
            ],
        ),
        (Preset.NONE, []),
    ],
)
def test_preset(preset: Preset, expected: list[tuple[str, str]]) -> None:
    assert identity_headers(PERSON, IdentitySpec(preset)) == expected


@pytest.mark.parametrize("preset", list(Preset))
def test_nobody_is_sent_as_nobody(preset: Preset) -> None:
    assert identity_headers(None, IdentitySpec(preset)) == []


def test_every_preset_header_is_taken_from_clients() -> None:
    assert {name.lower() for headers in PRESETS.values() for name, _ in headers} < IDENTITY_HEADERS
    assert "x-gateway-assertion" in IDENTITY_HEADERS


def test_empty_values_are_left_out() -> None:
    assert [name for name, _ in identity_headers(someone(email=""), IdentitySpec(Preset.REMOTE_USER))] == [
        "Remote-User",
        "Remote-Name",
    ]


def test_own_header_replaces_the_preset_s() -> None:
    spec = IdentitySpec(Preset.REMOTE_USER, (parse_template("remote-USER", "{email}"),))
    sent = identity_headers(someone(), spec)
    assert [value for name, value in sent if name.lower() == "remote-user"] == ["ann@example.com"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("fixed", "fixed"),
        ("{username}", "ann"),
        ("<{username}|{email}>", "<ann|ann@example.com>"),
        ("{{{username}}}", "{ann}"),
        ("{roles}", "a%2Cb,c"),
        ("{scopes}", "r,w"),
        ("{credential}", "api_token"),
        ("{user_id}", "7b0d5d0a-0f4f-4a0e-9f4c-0b1f5d3c2a11"),
        ("{name}", "ann"),
        ("{claims.team}", "R%26D%0A".replace("%26", "&")),
        ("{claims.teams}", "x%2Cy,z"),
        ("{claims.level}", "3"),
        ("{claims.mfa}", "true"),
        ("team={claims.none}", None),
    ],
)
def test_template(text: str, value: str | None) -> None:
    from gateway.identity.identity import CredentialKind

    person = someone(
        roles=("a,b", "c"),
        scopes=frozenset({"w", "r"}),
        kind=CredentialKind.API_TOKEN,
        claims={"team": "R&D\n", "teams": ("x,y", "z"), "level": 3, "mfa": True},
    )
    assert parse_template("X-Own", text).value(person) == value


def test_template_without_identity_sends_only_fixed_text() -> None:
    spec = IdentitySpec(
        headers=(parse_template("X-Own", "{username}"), parse_template("X-Fixed", "1"), secret_header("X-S", "pw"))
    )
    assert identity_headers(None, spec) == [("X-Fixed", "1"), ("X-S", "pw")]


@pytest.mark.parametrize("text", ["{", "}", "{user", "a}b", "{}", "{User}", "{claims.}", "{claims.a b}", "{password}"])
def test_bad_template_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not known|single"):
        parse_template("X-Own", text)


@pytest.mark.parametrize("text", ["a\r\nX: y", "a\nb", "a\x00", "é"])
def test_template_cannot_split_a_header(text: str) -> None:
    with pytest.raises(ValueError, match="printable"):
        parse_template("X-Own", text)


@pytest.mark.parametrize("secret", ["", "a\nb", " a", "é", "a\x00"])
def test_bad_secret_is_refused_without_being_told(secret: str) -> None:
    with pytest.raises(ValueError, match="one line") as caught:
        secret_header("X-Own", secret)
    assert not secret.strip() or secret not in str(caught.value)


def test_secret_is_in_no_repr() -> None:
    spec = IdentitySpec(headers=(secret_header("X-Proxy-Secret", "hunter2"),))
    assert "hunter2" not in repr(spec)
