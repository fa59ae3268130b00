"""Which header fields are credentials, and of which kind."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from gateway.errors import CredentialRejected, TargetRejected
from gateway.identity.cache import cache_key
from gateway.identity.identity import CredentialKind
from gateway.identity.presented import Presented, Presenter, is_ours

ALL = frozenset(CredentialKind)
ISSUER = "https://portal.example.com"
Fields = list[tuple[str, str]]
SESSION, BEARER, API_TOKEN = CredentialKind.SESSION, CredentialKind.BEARER, CredentialKind.API_TOKEN


def present(fields: Fields, kinds: frozenset[CredentialKind] = ALL) -> list[Presented]:
    return Presenter("__Host-gateway").present(CIMultiDict(fields), kinds)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([], []),
        ([("Accept", "*/*")], []),
        ([("Authorization", "Bearer a.b.c")], [(BEARER, "authorization", "a.b.c")]),
        ([("authorization", "bEaReR a.b.c")], [(BEARER, "authorization", "a.b.c")]),
        ([("Authorization", "Bearer  a.b.c ")], [(BEARER, "authorization", "a.b.c")]),
        ([("Authorization", "Bearer")], [(BEARER, "authorization", "")]),
        ([("Authorization", "Bearer gwt_x")], [(API_TOKEN, "authorization", "gwt_x")]),
        ([("Authorization", "Token gwt_x")], [(API_TOKEN, "authorization", "gwt_x")]),
        ([("Authorization", "Token a.b.c")], [(API_TOKEN, "authorization", "a.b.c")]),
        ([("Authorization", "Basic YTpi")], [(CredentialKind.BASIC, "authorization", "YTpi")]),
        ([("Authorization", "Digest username=a")], []),
        ([("Authorization", "BearerX a.b.c")], []),
        ([("Authorization", "")], []),
        ([("X-API-Key", "gwt_x")], [(API_TOKEN, "x-api-key", "gwt_x")]),
        ([("X-API-Key", "")], [(API_TOKEN, "x-api-key", "")]),
        ([("X_API_Key", "gwt_x")], []),
        ([("Cookie", "__Host-gateway=abc")], [(SESSION, "cookie", "abc")]),
        ([("Cookie", "a=b; __Host-gateway=abc; c=d")], [(SESSION, "cookie", "abc")]),
        ([("Cookie", "a=b;__Host-gateway=abc")], [(SESSION, "cookie", "abc")]),
        ([("Cookie", "a=b"), ("Cookie", "__Host-gateway=abc")], [(SESSION, "cookie", "abc")]),
        ([("Cookie", '__Host-gateway="abc"')], [(SESSION, "cookie", "abc")]),
        ([("Cookie", "__Host-gateway=")], [(SESSION, "cookie", "")]),
        ([("Cookie", "__host-gateway=abc")], []),
        ([("Cookie", "x__Host-gateway=abc")], []),
        ([("Cookie", "a=__Host-gateway=abc")], []),
        ([("Cookie", "__Host-gateway2=abc; gateway=abc")], []),
        ([("Cookie", "__Host-gateway")], []),
        (
            [("Cookie", "__Host-gateway=abc"), ("X-API-Key", "gwt_x"), ("Authorization", "Bearer a.b.c")],
            [(BEARER, "authorization", "a.b.c"), (API_TOKEN, "x-api-key", "gwt_x"), (SESSION, "cookie", "abc")],
        ),
    ],
    ids=repr,
)
def test_what_is_presented(fields: Fields, expected: list[tuple[CredentialKind, str, str]]) -> None:
    assert present(fields) == [Presented(*each) for each in expected]


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ([("Authorization", "Bearer a"), ("Authorization", "Bearer a")], TargetRejected),
        ([("Authorization", "Basic a"), ("authorization", "Bearer a")], TargetRejected),
        ([("X-API-Key", "a"), ("x-api-key", "a")], CredentialRejected),
        ([("Cookie", "__Host-gateway=a; __Host-gateway=b")], CredentialRejected),
        ([("Cookie", "__Host-gateway=a"), ("Cookie", "__Host-gateway=a")], CredentialRejected),
        ([("Cookie", "__Host-gateway=a; __Host-gateway=")], CredentialRejected),
        ([("Authorization", "Bearer " + "a" * 8193)], CredentialRejected),
        ([("X-API-Key", "a" * 8193)], CredentialRejected),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_what_has_no_single_reading_is_refused(fields: Fields, error: type[Exception]) -> None:
    with pytest.raises(error):
        present(fields)


def test_two_authorization_fields_are_refused_whatever_a_route_lists() -> None:
    with pytest.raises(TargetRejected, match="duplicate_authorization"):
        present([("Authorization", "Basic a"), ("Authorization", "Basic b")], frozenset())


@pytest.mark.parametrize("kind", [SESSION, BEARER, API_TOKEN])
def test_only_the_kinds_that_a_route_lists_are_looked_at(kind: CredentialKind) -> None:
    for authorization in ("Bearer a.b.c", "Bearer gwt_x", "Token gwt_x"):
        fields = [("Cookie", "__Host-gateway=abc"), ("X-API-Key", "gwt_x"), ("Authorization", authorization)]
        assert {each.kind for each in present(fields, frozenset({kind}))} <= {kind}
        assert present(fields, frozenset()) == []


def test_a_credential_shows_in_no_repr() -> None:
    fields = [("Cookie", "__Host-gateway=SECRET"), ("X-API-Key", "SECRET"), ("Authorization", "Bearer SECRET")]
    assert len(present(fields)) == 3
    assert "SECRET" not in repr(present(fields))


@given(st.lists(st.tuples(st.sampled_from(["Authorization", "X-API-Key", "Cookie"]), st.text(max_size=40))))
def test_noise_is_read_or_refused(fields: Fields) -> None:
    try:
        for each in present(fields):
            cache_key(each, "h")
    except (CredentialRejected, TargetRejected, UnicodeEncodeError):
        return  # header values are decoded with surrogateescape: a lone high surrogate cannot come


def jwt(claims: object) -> str:
    payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    return f"e30.{base64.urlsafe_b64encode(payload).rstrip(b'=').decode()}.AAAA"


@pytest.mark.parametrize(
    ("fields", "ours"),
    [
        ([("Authorization", f"Bearer {jwt({'iss': ISSUER})}")], {"authorization"}),
        ([("Authorization", f"token {jwt({'iss': ISSUER})}")], {"authorization"}),
        ([("Authorization", "Bearer gwt_anything")], {"authorization"}),
        ([("Authorization", "Basic a"), ("Authorization", "Bearer gwt_anything")], {"authorization"}),
        ([("X-API-Key", " gwt_anything ")], {"x-api-key"}),
        ([("Authorization", f"Bearer {jwt({'iss': 'https://idp.example'})}")], set()),
        ([("Authorization", f"Bearer {jwt([ISSUER])}")], set()),
        ([("Authorization", f"Bearer {jwt(b'[' * 3000)}")], set()),
        ([("Authorization", f"Bearer {jwt(bytes([255, 254]))}")], set()),
        ([("Authorization", "Bearer a.\udcff.c")], set()),
        ([("Authorization", "Bearer a.b"), ("X-API-Key", "sk_live_1")], set()),
        ([("Authorization", "Basic gwt_x")], set()),
    ],
    ids=lambda value: repr(value)[:50],
)
def test_tokens_of_ours_are_known_by_their_looks(fields: Fields, ours: set[str]) -> None:
    assert is_ours(CIMultiDict(fields), ISSUER) == ours


def test_cache_keys_are_over_every_byte_and_delimited() -> None:
    keys = [
        cache_key(presented, host)
        for presented, host in [
            (Presented(SESSION, "cookie", "ab"), "h"),
            (Presented(SESSION, "cookie", "ab"), "h2"),
            (Presented(SESSION, "cookie", "b"), "ha"),
            (Presented(BEARER, "authorization", "ab"), "h"),
            (Presented(API_TOKEN, "authorization", "ab"), "h"),
            (Presented(API_TOKEN, "x-api-key", "ab"), "h"),
            (Presented(API_TOKEN, "x-api-key", "\udcff"), "h"),
        ]
    ]
    assert len(set(keys)) == len(keys)
    # A token counts on every host, so that it is verified once.
    assert cache_key(Presented(BEARER, "authorization", "ab"), "other") == keys[3]
