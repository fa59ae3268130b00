"""What a JWT can be that is not one of ours: each case stands beside the good token that it spoils."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jwcrypto import jws
from jwcrypto.jwk import JWK

from gateway.errors import TokenRejected
from gateway.tokens.compact import MAX_TOKEN_BYTES
from gateway.tokens.jwt import Expected, PrivateKey, VerificationKey, VerifiedClaims, verify

NOW = 1_800_000_000
ISSUER = "https://portal.example.com"
EXPECTED = Expected("at+jwt", ISSUER, ISSUER)
PAIR = JWK.generate(kty="EC", crv="P-256", kid="k1", alg="ES256", use="sig")
STRANGER = JWK.generate(kty="EC", crv="P-256", kid="k1", alg="ES256", use="sig")
HEADER = {"alg": "ES256", "kid": "k1", "typ": "at+jwt"}
CLAIMS = {"iss": ISSUER, "aud": ISSUER, "sub": "u1", "iat": NOW, "exp": NOW + 900}
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
Spoil = Callable[[str], str]


def public(pair: JWK) -> JWK:
    return JWK(**json.loads(pair.export_public()))


def find(kid: str) -> VerificationKey | None:
    return VerificationKey("k1", "ES256", public(PAIR)) if kid == "k1" else None


def read(token: str, expected: Expected = EXPECTED, now: float = NOW) -> VerifiedClaims:
    return verify(token, find, expected, now)


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def signed(header: object = None, claims: object = None, key: JWK = PAIR) -> str:
    """Return a token with any header and payload at all, with a true ES256 signature over them."""
    first, second = (
        part if isinstance(part, bytes) else json.dumps(part).encode()
        for part in (HEADER if header is None else header, CLAIMS if claims is None else claims)
    )
    core = jws.JWSCore("ES256", key, first.decode("latin-1"), second, ["ES256"])
    core.protected = encoded(first)
    core.payload = encoded(second)
    core.sigin = f"{core.protected}.{core.payload}".encode()
    signature = core.engine.sign(key, core.sigin)
    return f"{core.protected}.{core.payload}.{encoded(signature)}"


def refusal(token: str, expected: Expected = EXPECTED, now: float = NOW) -> str:
    with pytest.raises(TokenRejected) as caught:
        read(token, expected, now)
    return caught.value.reason


def test_a_good_token_gives_its_claims() -> None:
    assert read(PrivateKey("k1", "ES256", PAIR).sign(CLAIMS, "at+jwt")) == CLAIMS
    assert read(signed()) == CLAIMS


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", "", " none", "HS256", "ES384", "es256", "RS256"])
@pytest.mark.parametrize("signature", ["", "AAAA", None], ids=["empty", "short", "true"])
def test_the_algorithm_is_the_keys_own(alg: str, signature: str | None) -> None:
    token = signed({**HEADER, "alg": alg})
    if signature is not None:
        token = f"{token.rpartition('.')[0]}.{signature}"
    assert refusal(token) == "wrong_algorithm"


@pytest.mark.parametrize("signature", ["", "AAAA", encoded(bytes(64)), encoded(bytes(63)), encoded(b"\xff" * 64)])
def test_a_signature_that_is_none_does_not_verify(signature: str) -> None:
    assert refusal(f"{signed().rpartition('.')[0]}.{signature}") == "bad_signature"


def test_an_hmac_with_the_public_key_does_not_verify() -> None:
    for secret in (PAIR.export_to_pem(), PAIR.export_public().encode(), b""):
        for algorithm in ("HS256", "ES256"):
            body = signed({**HEADER, "alg": algorithm}).rpartition(".")[0]
            forged = f"{body}.{encoded(hmac.digest(secret, body.encode(), hashlib.sha256))}"
            assert refusal(forged) in {"wrong_algorithm", "bad_signature"}


def test_a_key_of_one_algorithm_does_not_verify_another() -> None:
    token = signed({**HEADER, "alg": "RS256"})
    with pytest.raises(TokenRejected, match="bad_signature"):
        verify(token, lambda kid: VerificationKey(kid, "RS256", public(PAIR)), EXPECTED, NOW)
    shared = JWK(kty="oct", k=encoded(b"s" * 32))
    forged = signed({**HEADER, "alg": "HS256"})
    with pytest.raises(TokenRejected, match="wrong_algorithm"):
        verify(forged, lambda kid: VerificationKey(kid, "HS256", shared), EXPECTED, NOW)


def test_a_strangers_signature_is_refused() -> None:
    assert refusal(signed(key=STRANGER)) == "bad_signature"


@pytest.mark.parametrize(
    "members",
    [
        {"jwk": json.loads(STRANGER.export_public())},
        {"jku": "https://evil.example/jwks.json"},
        {"x5u": "https://evil.example/cert.pem"},
        {"x5c": ["MIIB"]},
        {"x5t": "AAAA"},
        {"crit": ["exp"], "exp": NOW},
        {"crit": []},
        {"b64": False, "crit": ["b64"]},
        {"b64": True},
        {"cty": "JWT"},
        {"zip": "DEF"},
        {"enc": "A256GCM"},
        {"p2c": 2_000_000_000},
    ],
    ids="+".join,
)
def test_no_header_member_steers_verification(members: dict[str, Any]) -> None:
    assert refusal(signed({**HEADER, **members})) == "unexpected_header"
    assert refusal(signed({**HEADER, **members}, key=STRANGER)) == "unexpected_header"


@pytest.mark.parametrize(
    ("kid", "reason"),
    [
        ("k2", "unknown_key"),
        ("", "unknown_key"),
        ("K1", "unknown_key"),
        ("k1 ", "unknown_key"),
        ("k1\0", "unknown_key"),
        ("../../dev/null", "unknown_key"),
        ("' or 1=1 --", "unknown_key"),
        ("\ud800", "unknown_key"),
        (None, "malformed"),
        (1, "malformed"),
        (True, "malformed"),
        (["k1"], "malformed"),
        ({"k1": 1}, "malformed"),
    ],
    ids=repr,
)
def test_a_kid_only_names_a_key_that_is_known(kid: Any, reason: str) -> None:
    assert refusal(signed({**HEADER, "kid": kid})) == reason


@pytest.mark.parametrize("name", ["alg", "kid", "typ"])
def test_every_header_member_is_needed_and_is_text(name: str) -> None:
    assert refusal(signed({key: value for key, value in HEADER.items() if key != name})) == "malformed"
    assert refusal(signed({**HEADER, name: 1})) == "malformed"


@pytest.mark.parametrize(
    "typ", ["JWT", "AT+JWT", "refresh+jwt", "gateway-assertion+jwt", "application/at+jwt", "logout+jwt", ""]
)
def test_one_kind_of_token_is_not_another(typ: str) -> None:
    assert refusal(signed({**HEADER, "typ": typ})) == "wrong_type"


@pytest.mark.parametrize("name", ["exp", "nbf"])
@pytest.mark.parametrize(
    "value",
    ["1800000900", True, None, [NOW + 9], {"s": 1}, 10**400, -(10**400), 1e300, 10**13],
    ids=lambda value: str(value)[:12],
)
def test_times_are_sane_numbers(name: str, value: Any) -> None:
    assert refusal(signed(claims={**CLAIMS, name: value})) == f"bad_{name}"


@pytest.mark.parametrize("literal", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b"1" * 5000])
@pytest.mark.parametrize("name", [b"exp", b"nbf"])
def test_what_is_no_number_is_no_time(name: bytes, literal: bytes) -> None:
    claims = {key: value for key, value in CLAIMS.items() if key != name.decode()}
    payload = json.dumps(claims).encode()[:-1] + b', "' + name + b'": ' + literal + b"}"
    assert refusal(signed(claims=payload)) in {"malformed", f"bad_{name.decode()}"}


def test_a_token_without_an_end_is_refused() -> None:
    assert refusal(signed(claims={key: value for key, value in CLAIMS.items() if key != "exp"})) == "bad_exp"
    assert refusal(signed(claims={**CLAIMS, "exp": NOW + 3652 * 86400})) == "bad_expiry"


def test_a_token_ends_at_its_second_without_leeway() -> None:
    token = signed()
    assert read(token, now=NOW + 899.9)
    assert refusal(token, now=NOW + 900) == "expired"
    lenient = Expected("at+jwt", ISSUER, ISSUER, leeway_seconds=30)
    assert read(token, lenient, NOW + 929)
    assert refusal(token, lenient, NOW + 930) == "expired"


def test_a_token_does_not_count_before_its_time() -> None:
    token = signed(claims={**CLAIMS, "nbf": NOW + 1})
    assert refusal(token) == "not_yet_valid"
    assert read(token, now=NOW + 1)


@pytest.mark.parametrize("issuer", ["https://evil.example", ISSUER + "/", "", None, [ISSUER], {"a": ISSUER}], ids=repr)
def test_the_issuer_is_exactly_ours(issuer: Any) -> None:
    assert refusal(signed(claims={**CLAIMS, "iss": issuer})) == "wrong_issuer"


@pytest.mark.parametrize("audience", ["wiki", "", None, [], ["wiki"], [ISSUER, 1], [[ISSUER]], {ISSUER: 1}], ids=repr)
def test_the_audience_is_ours(audience: Any) -> None:
    assert refusal(signed(claims={**CLAIMS, "aud": audience})) == "wrong_audience"
    assert read(signed(claims={**CLAIMS, "aud": ["wiki", ISSUER]}))


@pytest.mark.parametrize("subject", ["", None, 1, ["u1"], True], ids=repr)
def test_a_token_has_a_subject(subject: Any) -> None:
    assert refusal(signed(claims={**CLAIMS, "sub": subject})) == "no_subject"


@pytest.mark.parametrize("name", ["sub", "exp", "iss", "x"])
def test_a_member_that_is_given_twice_is_refused(name: str) -> None:
    payload = json.dumps({**CLAIMS, "x": 1}).encode()
    assert read(signed(claims=payload))
    assert refusal(signed(claims=payload[:-1] + f', "{name}": 2}}'.encode())) == "malformed"
    assert refusal(signed(json.dumps(HEADER).encode()[:-1] + b', "alg": "none"}')) == "malformed"


@pytest.mark.parametrize(
    "payload",
    [b"", b"[]", b"null", b"1", b'"x"', b"{", b"\xff\xfe", b"\xef\xbb\xbf{}", b"[" * 3000, b'{"a":' * 1000],
    ids=lambda payload: repr(payload[:8]),
)
def test_a_payload_or_header_that_is_no_object_is_refused(payload: bytes) -> None:
    assert refusal(signed(claims=payload)) == "malformed"
    assert refusal(f"{encoded(payload)}.{encoded(b'{}')}.AAAA") == "malformed"


def test_a_giant_token_is_refused_before_it_is_read() -> None:
    padding = MAX_TOKEN_BYTES // 2
    assert read(signed(claims={**CLAIMS, "pad": "x" * padding}))
    assert refusal(signed(claims={**CLAIMS, "pad": "x" * MAX_TOKEN_BYTES})) == "malformed"


def flip_last_bits(part: str) -> str:
    """Change the bits of the last character that stand for no byte (RFC 4648 section 3.5)."""
    assert len(part) % 4, "no spare bits"
    return part[:-1] + ALPHABET[ALPHABET.index(part[-1]) | 1]


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda token: token + "=", id="padding"),
        pytest.param(lambda token: token + "==", id="more-padding"),
        pytest.param(lambda token: token.replace(".", "=.", 1), id="padded-header"),
        pytest.param(lambda token: token + "\n", id="newline"),
        pytest.param(lambda token: " " + token, id="space-before"),
        pytest.param(lambda token: token + " ", id="space-after"),
        pytest.param(lambda token: token[:9] + "\n" + token[9:], id="newline-inside"),
        pytest.param(lambda token: token[:-4] + "%" + token[-4:], id="foreign-character"),
        pytest.param(lambda token: token + ".", id="four-parts"),
        pytest.param(lambda token: token + ".AAAA.AAAA", id="five-parts-as-jwe"),
        pytest.param(lambda token: token.rpartition(".")[0], id="two-parts"),
        pytest.param(lambda token: "." + token, id="empty-header"),
        pytest.param(lambda _: "", id="nothing"),
        pytest.param(lambda _: "..", id="dots"),
        pytest.param(lambda token: token + "\u00e9", id="not-ascii"),
        pytest.param(lambda token: token.replace("e", "\uff45", 1), id="full-width"),
        pytest.param(flip_last_bits, id="spare-bits"),
        pytest.param(lambda token: token.replace("-", "+").replace("_", "/") + "+/", id="plain-base64"),
    ],
)
def test_a_token_has_one_spelling(spoil: Spoil) -> None:
    token = signed()
    assert read(token)
    assert refusal(spoil(token)) in {"malformed", "bad_signature"}


def test_json_serialisation_is_refused() -> None:
    protected, payload, signature = signed().split(".")
    flattened = {"protected": protected, "payload": payload, "signature": signature}
    general = {"payload": payload, "signatures": [{"protected": protected, "signature": signature}]}
    assert refusal(json.dumps(flattened)) == "malformed"
    assert refusal(json.dumps(general)) == "malformed"
    # Dots enough to pass for three parts.
    assert refusal(json.dumps({**flattened, "x": ".."})) == "malformed"


@given(st.text(max_size=200) | st.binary(max_size=200).map(encoded))
def test_nothing_but_a_refusal_comes_out_of_noise(noise: str) -> None:
    for token in (noise, f"{noise}.{noise}.{noise}", f"{encoded(json.dumps(HEADER).encode())}.{noise}.{noise}"):
        refusal(token)


@given(
    st.dictionaries(
        st.sampled_from(["exp", "nbf", "iss", "aud", "sub"]),
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats(allow_nan=False, allow_infinity=False)
            | st.text(max_size=5),
            lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
        ),
    )
)
def test_claims_of_any_type_are_read_or_refused(members: dict[str, Any]) -> None:
    try:
        claims = read(signed(claims={**CLAIMS, **members}))
    except TokenRejected:
        return
    assert claims["iss"] == ISSUER
    assert ISSUER in claims["aud"]
