"""What a client may say of itself: RFC 7591 section 2, with a passing twin beside what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jwcrypto.jwk import JWK

from gateway.errors import FieldError, InvalidInput
from gateway.oauth.state.client_metadata import DEVICE_CODE, checked_metadata, metadata_error_code

CALLBACK = "https://app.example.com/callback"
KEY = JWK.generate(kty="EC", crv="P-256", kid="one")
PUBLIC = KEY.export_public(as_dict=True)
PRIVATE = KEY.export_private(as_dict=True)
RSA = JWK.generate(kty="RSA", size=2048, kid="rsa")


def wrong_fields(members: dict[str, Any], *, by_admin: bool = False, **kept: Any) -> set[str]:
    """Return the fields that are refused; none when all is good."""
    try:
        checked_metadata(members, by_admin=by_admin, kept=kept)
    except InvalidInput as error:
        return {each.field for each in error.errors if each.detail}
    return set()


def test_an_address_that_is_refused_is_not_missing_as_well() -> None:
    with pytest.raises(InvalidInput) as caught:
        checked_metadata({"redirect_uris": ["http://app.example.com/"]}, by_admin=False)
    assert [error.field for error in caught.value.errors] == ["redirect_uris"]


@pytest.mark.parametrize(
    "uri",
    [
        CALLBACK,
        "https://app.example.com",
        "https://app.example.com:8443/cb?tenant=1&x=%2F",
        "https://[2001:db8::1]/cb",
        "http://localhost/cb",
        "http://localhost:3000/cb",
        "http://127.0.0.1/",
        "http://127.0.0.1:51004/cb",
        "http://127.8.8.8/cb",
        "http://[::1]:8080/cb",
        "com.example.app:/oauth2redirect",
        "cursor://anysphere.cursor-mcp/oauth/callback",
        "vscode://example.extension/callback",
        "com.example.app://callback",
        "net.openid.appauthdemo:/oauth2redirect",
    ],
)
def test_addresses_that_may_be_registered(uri: str) -> None:
    members = {"redirect_uris": [uri], "post_logout_redirect_uris": [uri]}
    checked = checked_metadata(members)
    assert (checked["redirect_uris"], checked["post_logout_redirect_uris"]) == ([uri], [uri])  # to the letter


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "/callback",
        "//app.example.com/callback",
        "app.example.com/callback",
        "https:",
        "https://",
        "https:///callback",
        "https:app.example.com/callback",
        "http://app.example.com/callback",
        "http://localhost.evil.example/",
        "http://127.0.0.1.evil.example/",
        "http://192.168.0.1/",
        "http://0.0.0.0/",
        "http://0x7f000001/",
        "http://2130706433/",
        "http://127.1/",
        "https://ann@app.example.com/",
        "https://ann:pw@app.example.com/",
        "https://app.example.com@evil.example/",
        "http://localhost@evil.example/",
        "https://app.example.com/#fragment",
        "https://app.example.com/#",
        "https://*.example.com/",
        "https://app.example.com/*",
        "https://app.example.com/a/../b",
        "https://app.example.com/a/%2e%2E/b",
        "https://app.example.com/./b",
        "https://app.example.com\\@evil.example/",
        "https://app.example.com/a b",
        " https://app.example.com/",
        "https://app.example.com/\n",
        "https://app.example.com/\t",
        "https://app.example.com/\x00",
        "https://app.example.com/%",
        "https://app.example.com/%zz",
        "https://app.exämple.com/",
        "https://app.example.com:0/",
        "https://app.example.com:99999/",
        "https://app.example.com:/",
        "https://[::1/",
        "https://[nonsense]/",
        "https://app..example.com/",
        "https://app.example.com%2eevil.example/",
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "java.script:alert(1)//\n",
        "data:text/html,x",
        "vbscript:x",
        "file:///etc/passwd",
        "blob:https://app.example.com/1",
        "about:blank",
        "ftp://app.example.com/",
        "ws://app.example.com/",
        "urn:ietf:wg:oauth:2.0:oob",
        "myapp:/callback",
        "myapp://callback",
        ".app:/cb",
        "app.:/cb",
        "https://app.example.com/" + "a" * 1024,
    ],
)
def test_addresses_that_may_not_be_registered(uri: str) -> None:
    assert wrong_fields({"redirect_uris": [uri]}) == {"redirect_uris"}
    assert wrong_fields({"redirect_uris": [CALLBACK, uri]}) == {"redirect_uris"}
    assert wrong_fields({"redirect_uris": [CALLBACK], "post_logout_redirect_uris": [uri]}) == {
        "post_logout_redirect_uris"
    }
    assert wrong_fields({"redirect_uris": [uri]}, by_admin=True) == {"redirect_uris"}


def test_defaults_are_written_down() -> None:
    assert checked_metadata({"redirect_uris": [CALLBACK], "client_name": None, "jwks": None}) == {
        "redirect_uris": [CALLBACK],
        "grant_types": ["authorization_code"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "client_secret_basic",
    }


PASS: list[tuple[str, dict[str, Any]]] = [
    ("device", {"grant_types": ["refresh_token", DEVICE_CODE], "redirect_uris": [], "response_types": []}),
    ("machine", {"grant_types": ["client_credentials"], "redirect_uris": None}),
    ("code", {"response_types": ["code"]}),
    ("scope", {"scope": "openid profile wiki:read"}),
    ("no-scope", {"scope": ""}),
    ("native", {"application_type": "native", "redirect_uris": ["com.example.app:/cb"]}),
    ("public", {"token_endpoint_auth_method": "none"}),
    ("post", {"token_endpoint_auth_method": "client_secret_post"}),
    ("jwks", {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [PUBLIC]}}),
    ("jwks-uri", {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://app.example.com/keys"}),
    ("name", {"client_name": "Müllers Wiki, 日本"}),
    ("pages", {"client_uri": "https://a.example/", "logo_uri": "https://a.example/l.png"}),
    ("contacts", {"contacts": ["ann@example.com"]}),
    ("logout", {"backchannel_logout_uri": "https://a.example/out", "backchannel_logout_session_required": True}),
    ("logout-here", {"backchannel_logout_uri": "http://127.0.0.1:8080/out"}),
    ("pairwise", {"subject_type": "pairwise", "redirect_uris": [CALLBACK, "https://app.example.com:8443/x"]}),
    ("alg", {"id_token_signed_response_alg": "EdDSA"}),
    ("age", {"default_max_age": 0, "require_auth_time": True}),
    ("acr", {"default_acr_values": ["1", "urn:mace:silver"]}),
    ("par", {"require_pushed_authorization_requests": True}),
    ("plain-userinfo", {"userinfo_signed_response_alg": "none", "require_signed_request_object": False}),
    ("initiate", {"initiate_login_uri": "https://a.example/login"}),
]


@pytest.mark.parametrize("changes", [changes for _, changes in PASS], ids=[name for name, _ in PASS])
def test_what_a_client_may_say(changes: dict[str, Any]) -> None:
    members = {"redirect_uris": [CALLBACK], **changes}
    checked = checked_metadata(members)
    for name, value in changes.items():
        if value not in (None, [], "none", False) or name == "scope":
            assert checked[name] == value
    assert checked_metadata(checked) == checked  # what is stored is good as it is


FAIL: list[tuple[str, dict[str, Any], str]] = [
    ("grant", {"grant_types": ["magic"]}, "grant_types"),
    ("no-redirect", {"redirect_uris": []}, "redirect_uris"),
    ("password", {"grant_types": ["authorization_code", "password"]}, "grant_types"),
    ("implicit", {"grant_types": ["implicit"]}, "grant_types"),
    ("implicit-by-type", {"response_types": ["id_token"]}, "grant_types"),
    ("hybrid", {"response_types": ["code id_token"]}, "response_types"),
    ("odd-type", {"response_types": ["x" * 3000]}, "response_types"),
    ("disagree", {"grant_types": ["authorization_code"], "response_types": ["token"]}, "response_types"),
    ("types-without", {"grant_types": ["client_credentials"], "response_types": ["code"]}, "response_types"),
    ("public-machine", {"grant_types": ["client_credentials"], "token_endpoint_auth_method": "none"}, "grant_types"),
    ("method", {"token_endpoint_auth_method": "client_secret_jwt"}, "token_endpoint_auth_method"),
    ("no-keys", {"token_endpoint_auth_method": "private_key_jwt"}, "jwks"),
    ("both-keys", {"jwks": {"keys": [PUBLIC]}, "jwks_uri": "https://a.example/k"}, "jwks"),
    ("http-keys", {"jwks_uri": "http://a.example/k"}, "jwks_uri"),
    ("loopback-keys", {"jwks_uri": "http://localhost/k"}, "jwks_uri"),
    ("scope-quote", {"scope": 'a"b'}, "scope"),
    ("scope-spaces", {"scope": "a  b"}, "scope"),
    ("scope-many", {"scope": " ".join(f"s{number}" for number in range(101))}, "scope"),
    ("scope-api", {"scope": "openid gateway"}, "scope"),
    ("scope-list", {"scope": ["openid"]}, "scope"),
    ("web-scheme", {"redirect_uris": ["com.example.app:/cb"], "application_type": "web"}, "redirect_uris"),
    ("type", {"application_type": "browser"}, "application_type"),
    ("bidi", {"client_name": "Gr\u202eanafa"}, "client_name"),
    ("isolate", {"client_name": "Gr\u2066anafa"}, "client_name"),
    ("zero-width", {"client_name": "Gra\u200bfana"}, "client_name"),
    ("newline", {"client_name": "Gra\nfana"}, "client_name"),
    ("escape", {"client_name": "Gra\x1b[2Jfana"}, "client_name"),
    ("long-name", {"client_name": "x" * 101}, "client_name"),
    ("padded", {"client_name": " Grafana"}, "client_name"),
    ("http-logo", {"logo_uri": "http://a.example/l.png"}, "logo_uri"),
    ("script-page", {"client_uri": "javascript:alert(1)"}, "client_uri"),
    ("private-page", {"policy_uri": "com.example.app:/x"}, "policy_uri"),
    ("http-login", {"initiate_login_uri": "http://localhost/login"}, "initiate_login_uri"),
    ("http-logout", {"backchannel_logout_uri": "http://a.example/out"}, "backchannel_logout_uri"),
    ("private-logout", {"backchannel_logout_uri": "com.example.app:/x"}, "backchannel_logout_uri"),
    ("flag", {"backchannel_logout_session_required": "true"}, "backchannel_logout_session_required"),
    ("contacts", {"contacts": "ann@example.com"}, "contacts"),
    ("contacts-many", {"contacts": [f"a{number}@b.example" for number in range(21)]}, "contacts"),
    ("hosts", {"subject_type": "pairwise", "redirect_uris": [CALLBACK, "https://b.example/"]}, "subject_type"),
    ("pairwise-device", {"subject_type": "pairwise", "grant_types": [DEVICE_CODE]}, "subject_type"),
    ("subject", {"subject_type": "secret"}, "subject_type"),
    ("sector", {"sector_identifier_uri": "https://a.example/s"}, "sector_identifier_uri"),
    ("alg-none", {"id_token_signed_response_alg": "none"}, "id_token_signed_response_alg"),
    ("alg-hs", {"id_token_signed_response_alg": "HS256"}, "id_token_signed_response_alg"),
    ("age", {"default_max_age": -1}, "default_max_age"),
    ("age-text", {"default_max_age": "300"}, "default_max_age"),
    ("age-true", {"default_max_age": True}, "default_max_age"),
    ("lifetime", {"access_token_lifetime": 60}, "access_token_lifetime"),
    ("encrypted", {"id_token_encrypted_response_alg": "RSA-OAEP"}, "id_token_encrypted_response_alg"),
    ("signed-userinfo", {"userinfo_signed_response_alg": "RS256"}, "userinfo_signed_response_alg"),
    ("dpop", {"dpop_bound_access_tokens": True}, "dpop_bound_access_tokens"),
    ("mtls", {"tls_client_certificate_bound_access_tokens": True}, "tls_client_certificate_bound_access_tokens"),
    ("signed-request", {"require_signed_request_object": True}, "require_signed_request_object"),
    ("much", {"post_logout_redirect_uris": [f"https://a.example/{i}{'x' * 900}" for i in range(50)]}, ""),
]


@pytest.mark.parametrize(("changes", "field"), [each[1:] for each in FAIL], ids=[each[0] for each in FAIL])
def test_what_a_client_may_not_say(changes: dict[str, Any], field: str) -> None:
    assert field in wrong_fields({"redirect_uris": [CALLBACK], **changes})


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"grant_types": ["password"]}, "grant_types"),
        ({"grant_types": ["implicit"], "response_types": ["id_token token"]}, "grant_types"),
        ({"scope": "openid gateway"}, "scope"),
        ({"access_token_lifetime": 300}, "access_token_lifetime"),
        ({"refresh_token_lifetime": 300}, "refresh_token_lifetime"),
        ({"subject_type": "pairwise", "sector_identifier_uri": "https://a.example/s"}, "sector_identifier_uri"),
    ],
    ids=["password", "implicit", "api-scope", "access-lifetime", "refresh-lifetime", "sector"],
)
def test_what_administrators_alone_give_is_kept(changes: dict[str, Any], field: str) -> None:
    members = {"redirect_uris": [CALLBACK, "https://b.example/"], **changes}
    assert field in wrong_fields(members)
    given = checked_metadata(members, by_admin=True)
    assert checked_metadata(members, kept=given) == given
    assert field in wrong_fields(members, **{name: value for name, value in given.items() if name != field})


@pytest.mark.parametrize("before", [{"subject_type": "public"}, {"redirect_uris": ["https://b.example/"]}])
def test_names_of_another_host_are_not_had_by_a_change(before: dict[str, Any]) -> None:
    """A device's answer goes to no host, so that none of its names may be asked for."""
    asked = {
        "redirect_uris": [CALLBACK],
        "subject_type": "pairwise",
        "grant_types": ["authorization_code", DEVICE_CODE],
    }
    given = checked_metadata({**asked, **before}, by_admin=True)
    assert "subject_type" in wrong_fields(asked, **given)


def test_an_administrators_lifetimes_are_bounded() -> None:
    members = {"redirect_uris": [CALLBACK], "access_token_lifetime": 0, "refresh_token_lifetime": 10**12}
    assert wrong_fields(members, by_admin=True) == {"access_token_lifetime", "refresh_token_lifetime"}


def test_implicit_brings_its_response_types() -> None:
    members = {"redirect_uris": [CALLBACK], "grant_types": ["authorization_code", "implicit"]}
    assert checked_metadata(members, by_admin=True)["response_types"] == ["code", "id_token", "id_token token", "token"]
    turned = checked_metadata({**members, "response_types": ["token id_token", "code"]}, by_admin=True)
    assert turned["response_types"] == ["code", "id_token token"]  # words in any order are one type


@pytest.mark.parametrize(
    ("jwks", "said"),
    [
        ({"keys": [PRIVATE]}, "private"),
        ({"keys": [{"kty": "oct", "k": "AAAA"}]}, "private"),
        ({"keys": [{"kty": "oct"}]}, "RSA, EC or OKP"),
        ({"keys": []}, "1 to 20"),
        ({"keys": [PUBLIC] * 21}, "1 to 20"),
        ({"keys": [PUBLIC, PUBLIC]}, "same kid"),
        ({"keys": [PUBLIC, {**PUBLIC, "kid": None}]}, "kid of its own"),
        ({"keys": ["x"]}, "no JSON object"),
        ({"keys": [{**PUBLIC, "x": 7}]}, "no text"),
        ({"keys": [{**PUBLIC, "x": "AAAA"}]}, "cannot be read"),
        ({"keys": [{**PUBLIC, "kid": "\ud800"}]}, "no text"),
        ({"keys": [{**PUBLIC, "use": "enc"}]}, "signatures"),
        ({"keys": [{**PUBLIC, "crv": "secp256k1"}]}, "curve"),
        ({"keys": [JWK.generate(kty="RSA", size=1024).export_public(as_dict=True)]}, "2048"),
        ({"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}]}, ""),
        ({"keys": [{"kty": "RSA"}]}, "cannot be read"),
        ({"keys": [{**RSA.export_public(as_dict=True), "e": "AQAAAAE"}]}, "exponent"),
        ({}, "Key Set"),
        ([PUBLIC], "Key Set"),
        ("keys", "Key Set"),
        (7, "Key Set"),
    ],
    ids=lambda value: str(value)[:30] if isinstance(value, str) else "",
)
def test_keys_that_are_not_taken(jwks: Any, said: str) -> None:
    members = {"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "private_key_jwt", "jwks": jwks}
    with pytest.raises(InvalidInput) as refused:
        checked_metadata(members)
    (error,) = refused.value.errors
    assert error.field == "jwks"
    assert said in error.detail
    assert "AAAA" not in error.detail


def test_nothing_of_a_key_is_kept_but_what_verifies() -> None:
    rsa = {**RSA.export_public(as_dict=True), "x5c": ["junk\ud800"], "key_ops": ["verify"], "alg": "RS256"}
    members = {"redirect_uris": [CALLBACK], "jwks": {"keys": [{**PUBLIC, "x5u": "https://a.example"}, rsa], "more": 1}}
    kept = checked_metadata(members)["jwks"]
    assert set(kept) == {"keys"}
    assert kept["keys"][0] == PUBLIC
    assert set(kept["keys"][1]) == {"kty", "n", "e", "kid", "alg"}


def test_errors_are_told_by_the_codes_of_rfc_7591() -> None:
    redirect, name = FieldError("redirect_uris", "x"), FieldError("client_name", "x")
    assert metadata_error_code([redirect]) == "invalid_redirect_uri"
    assert metadata_error_code([name]) == "invalid_client_metadata"
    assert metadata_error_code([redirect, name]) == "invalid_client_metadata"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
NAMES = sorted({name for _, changes in PASS for name in changes} | {each[2] for each in FAIL} | {"keys", "unknown"})


@settings(suppress_health_check=[HealthCheck.too_slow])  # the first text of a process loads tables of Unicode
@given(members=st.dictionaries(st.sampled_from(NAMES), JSON), by_admin=st.booleans())
def test_whatever_is_sent_is_refused_by_name_or_good_to_store(members: dict[str, Any], by_admin: bool) -> None:
    try:
        checked = checked_metadata(members, by_admin=by_admin)
    except InvalidInput:
        return
    text = json.dumps(checked)
    assert "\\u0000" not in text
    assert "\\ud8" not in text
    assert checked_metadata(checked, by_admin=by_admin) == checked


@given(uri=st.text(alphabet=st.sampled_from("htps:/@.*#?[]%2eE\\ \t\na1x;-_é"), max_size=40).map("https".__add__))
def test_an_address_that_is_taken_has_one_reading(uri: str) -> None:
    if wrong_fields({"redirect_uris": [uri]}):
        return
    assert uri.startswith("https://")
    assert not set(uri) & set("@*#\\ \t\né")
