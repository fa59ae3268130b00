"""The lean reading of a token against jwcrypto's own verification: whatever one accepts and the other refuses fails,
but for what is stricter here on purpose, which ``STRICTER`` names.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jwcrypto import jws
from jwcrypto.common import JWException, base64url_decode
from jwcrypto.jwk import JWK

from gateway.errors import TokenRejected
from gateway.tokens.compact import MAX_TOKEN_BYTES, decoded, parted
from gateway.tokens.jwt import Expected, PrivateKey, VerificationKey, _header, _verified_payload, verify
from gateway.tokens.signature import ALGORITHMS, verifier

VECTORS = Path(__file__).parent.parent / "vectors" / "wycheproof_json_web_signature.json"
ISSUER = "https://portal.example.com"
NOW = 1_800_000_000
CLAIMS = {"iss": ISSUER, "aud": ISSUER, "sub": "u1", "iat": NOW, "exp": NOW + 900}
HEADER_MEMBERS = {"alg", "kid", "typ"}
# The order of P-256's group, and its field: where r and s begin to mean nothing.
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
FIELD = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
PARAMETERS: Final[dict[str, dict[str, Any]]] = {
    "ES256": {"kty": "EC", "crv": "P-256"},
    "RS256": {"kty": "RSA", "size": 2048},
    "EdDSA": {"kty": "OKP", "crv": "Ed25519"},
}
PAIRS = {name: JWK.generate(**parameters, kid="k1", use="sig", alg=name) for name, parameters in PARAMETERS.items()}
STRANGERS = {name: JWK.generate(**parameters, kid="k1", use="sig", alg=name) for name, parameters in PARAMETERS.items()}
KEYS = {name: VerificationKey("k1", name, JWK(**json.loads(pair.export_public()))) for name, pair in PAIRS.items()}
GOOD = {name: PrivateKey("k1", name, pair).sign(CLAIMS, "at+jwt") for name, pair in PAIRS.items()}
every_algorithm = pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def lean(token: str, key: VerificationKey) -> bytes | None:
    """Return the payload that the gateway's own reading believes."""
    try:
        parts = parted(token)
        if _header(parts.header)["alg"] != key.algorithm:
            return None
        return _verified_payload(parts, key)
    except TokenRejected:
        return None


def by_jwcrypto(token: str, key: VerificationKey) -> bytes | None:
    """Return the payload that jwcrypto believes when it is held to the key's algorithm."""
    reading = jws.JWS()
    reading.allowed_algs = [key.algorithm]
    try:
        reading.deserialize(token)
        reading.verify(key.jwk, alg=key.algorithm)
        payload: bytes = reading.payload
    except Exception:  # it raises whatever its parts raise
        return None
    return payload


# --- what is stricter here, told by other means than the code's ---


def _members(token: str) -> list[tuple[str, Any]]:
    header: list[tuple[str, Any]] = json.loads(
        base64url_decode(token.split(".", maxsplit=1)[0]), object_pairs_hook=lambda pairs: pairs
    )
    return header


def _is_canonical(part: str) -> bool:
    if not re.fullmatch(r"[A-Za-z0-9_-]*", part) or len(part) % 4 == 1:
        return False
    spare = {0: 0, 2: 4, 3: 2}[len(part) % 4]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return not spare or alphabet.index(part[-1]) % (1 << spare) == 0


STRICTER: Final[dict[str, Callable[[str, str], bool]]] = {
    "the JSON serialisation": lambda token, _: token.lstrip().startswith("{"),
    "more than 8 KiB": lambda token, _: len(token) > MAX_TOKEN_BYTES,
    "another spelling of base64url": lambda token, _: not all(map(_is_canonical, token.split("."))),
    "a signature with zeros before its halves": lambda token, algorithm: (
        algorithm == "ES256" and len(base64url_decode(token.split(".")[2])) > 64
    ),
    "no header": lambda token, _: token.startswith("."),
    "a header member twice": lambda token, _: len(dict(_members(token))) < len(_members(token)),
    "a header without alg, kid and typ as text, or with more": lambda token, _: (
        {name for name, _ in _members(token)} != HEADER_MEMBERS
        or not all(isinstance(value, str) for _, value in _members(token))
    ),
}


def assert_alike(token: str, key: VerificationKey) -> None:
    ours, theirs = lean(token, key), by_jwcrypto(token, key)
    if ours is None and theirs is not None:
        assert any(reason(token, key.algorithm) for reason in STRICTER.values()), (
            f"refused for no named reason: {token}"
        )
        return
    assert ours == theirs, token


# --- every vector ---


def vectors() -> list[Any]:
    groups = json.loads(VECTORS.read_text(encoding="utf-8"))["testGroups"]
    return [
        pytest.param(group.get("public") or group["private"], test["jws"], id=f"{number}-{test['tcId']}")
        for number, group in enumerate(groups)
        for test in group["tests"]
    ]


@pytest.mark.parametrize(("key", "token"), vectors())
def test_both_believe_the_same_vectors(key: dict[str, Any], token: Any) -> None:
    text = token if isinstance(token, str) else json.dumps(token)
    for algorithm in sorted(ALGORITHMS):
        bound = VerificationKey(key.get("kid", ""), algorithm, JWK(**key))
        assert_alike(text, bound)
        # The vectors' headers have no typ: the signature by itself, too.
        try:
            ours: bytes | None = _verified_payload(parted(text), bound)
        except TokenRejected:
            ours = None
        theirs = by_jwcrypto(text, bound)
        if theirs is None:
            assert ours is None or not _is_the_signature_to_blame(text, bound)
        elif ours is None:
            assert any(STRICTER[name](text, algorithm) for name in list(STRICTER)[:4])
        else:
            assert ours == theirs


def _is_the_signature_to_blame(token: str, key: VerificationKey) -> bool:
    """Tell whether jwcrypto refuses the very signature, by its engine for the algorithm."""
    protected, payload, signature = token.split(".")
    core = jws.JWSCore(key.algorithm, key.jwk, None, b"", [key.algorithm])
    try:
        core.engine.verify(key.jwk, f"{protected}.{payload}".encode(), base64url_decode(signature))
    except Exception:  # whatever it is, it does not believe it
        return True
    return False


# --- good tokens and what can become of them ---


@every_algorithm
def test_both_believe_a_good_token(algorithm: str) -> None:
    key = KEYS[algorithm]
    assert lean(GOOD[algorithm], key) == by_jwcrypto(GOOD[algorithm], key) == json_bytes(CLAIMS)


def json_bytes(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


LETTERS = st.sampled_from('ABQgwxyz019-_+/=. \n\t%{}"\0\u00e9\uff21')
EDITS = st.lists(
    st.tuples(st.sampled_from(["replace", "insert", "delete", "cut"]), st.floats(0, 1, exclude_max=True), LETTERS),
    min_size=1,
    max_size=3,
)


def edited(token: str, edits: list[tuple[str, float, str]]) -> str:
    for how, place, letter in edits:
        at = int(place * len(token))
        # The ends of the parts are where spellings differ.
        ends = [match.start() for match in re.finditer(r"\.|$", token)]
        at = ends[at % len(ends)] - at % 3 if at % 2 else at
        rest = {"replace": token[at + 1 :], "insert": token[at:], "delete": token[at + 1 :], "cut": ""}[how]
        token = token[:at] + ("" if how in {"delete", "cut"} else letter) + rest
    return token


@every_algorithm
@given(edits=EDITS)
def test_both_read_a_spoilt_token_alike(algorithm: str, edits: list[tuple[str, float, str]]) -> None:
    assert_alike(edited(GOOD[algorithm], edits), KEYS[algorithm])


def signed_over(algorithm: str, header: bytes, payload: bytes, pair: JWK | None = None) -> str:
    """Return a token with a true signature over any header and payload at all."""
    key = pair or PAIRS[algorithm]
    engine = jws.JWSCore(algorithm, key, None, b"", [algorithm]).engine
    text = f"{encoded(header)}.{encoded(payload)}"
    return f"{text}.{encoded(engine.sign(key, text.encode()))}"


HEADERS = st.builds(
    lambda members, tail: json.dumps(dict(members)).encode()[:-1] + tail + b"}",
    st.lists(
        st.tuples(
            st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk", "cty", "x"]),
            st.sampled_from(
                ["ES256", "RS256", "EdDSA", "none", "k1", "at+jwt", "", None, 1, True, False, [], ["exp"], {}]
            ),
        ),
        max_size=5,
    ),
    st.sampled_from([b"", b"", b', "alg": "none"', b', "x": NaN', b" ", b', "kid": "k1"']),
) | st.sampled_from([b"", b"[]", b"null", b'"x"', b"{}", b"\xff", b"\xef\xbb\xbf{}", b"[" * 2000])


@every_algorithm
@given(header=HEADERS)
@example(header=b'{"alg":"ES256","kid":"k1","typ":"at+jwt"}')
@example(header=b'{"alg":"RS256","kid":"k1","typ":"at+jwt"}')
@example(header=b'{"alg":"EdDSA","kid":"k1","typ":"at+jwt"}')
@example(header=b'{"alg":"ES256","kid":"k1","typ":"at+jwt","b64":true}')
@example(header=b'{"alg":"ES256","kid":"k1","typ":"at+jwt","alg":"ES256"}')
def test_both_read_any_signed_header_alike(algorithm: str, header: bytes) -> None:
    assert_alike(signed_over(algorithm, header, json_bytes(CLAIMS)), KEYS[algorithm])


@every_algorithm
@given(payload=st.binary(max_size=60))
def test_both_read_any_signed_payload_alike(algorithm: str, payload: bytes) -> None:
    header = json_bytes({"alg": algorithm, "kid": "k1", "typ": "at+jwt"})
    assert lean(signed_over(algorithm, header, payload), KEYS[algorithm]) == payload
    assert_alike(signed_over(algorithm, header, payload), KEYS[algorithm])
    assert_alike(signed_over(algorithm, header, payload, STRANGERS[algorithm]), KEYS[algorithm])


EDGES = st.sampled_from([0, 1, 2, ORDER - 1, ORDER, ORDER + 1, FIELD - 1, FIELD, FIELD + 1, 2**255, 2**256 - 1])


@given(r=EDGES | st.integers(0, 2**256 - 1), s=EDGES | st.integers(0, 2**256 - 1), keep=st.sampled_from("rs "))
def test_both_read_any_pair_of_numbers_alike(r: int, s: int, keep: str) -> None:
    body, _, true = GOOD["ES256"].rpartition(".")
    good = base64url_decode(true)
    first = good[:32] if keep == "r" else r.to_bytes(32, "big")
    second = good[32:] if keep == "s" else s.to_bytes(32, "big")
    assert_alike(f"{body}.{encoded(first + second)}", KEYS["ES256"])


def test_the_other_root_of_a_signature_is_the_same_to_both() -> None:
    """ECDSA has two signatures for one: neither reading takes the token's text for its identity."""
    body, _, true = GOOD["ES256"].rpartition(".")
    good = base64url_decode(true)
    other = ORDER - int.from_bytes(good[32:], "big")
    token = f"{body}.{encoded(good[:32] + other.to_bytes(32, 'big'))}"
    assert lean(token, KEYS["ES256"]) == by_jwcrypto(token, KEYS["ES256"]) == json_bytes(CLAIMS)


@every_algorithm
@given(signature=st.binary(max_size=300))
@example(signature=b"")
@example(signature=bytes(63))
@example(signature=bytes(64))
@example(signature=bytes(65))
@example(signature=bytes(256))
def test_both_refuse_any_other_signature(algorithm: str, signature: bytes) -> None:
    token = f"{GOOD[algorithm].rpartition('.')[0]}.{encoded(signature)}"
    assert lean(token, KEYS[algorithm]) is None
    assert by_jwcrypto(token, KEYS[algorithm]) is None


def _padded_halves(token: str) -> str:
    body, _, signature = token.rpartition(".")
    raw = base64url_decode(signature)
    return f"{body}.{encoded(bytes(2) + raw[:32] + bytes(2) + raw[32:])}"


def _padded_end(token: str) -> str:
    body, _, signature = token.rpartition(".")
    raw = base64url_decode(signature)
    return f"{body}.{encoded(raw[:32] + bytes(1) + raw[32:])}"


def _as_json(token: str) -> str:
    protected, payload, signature = token.split(".")
    return json.dumps({"protected": protected, "payload": payload, "signature": signature})


def _with_header(header: bytes, payload: bytes = b"{}") -> Callable[[str], str]:
    return lambda _: signed_over("ES256", header, payload)


WHAT_IS_STRICTER = [
    ("the JSON serialisation", _as_json),
    ("more than 8 KiB", _with_header(b'{"alg":"ES256","kid":"k1","typ":"at+jwt"}', bytes(MAX_TOKEN_BYTES))),
    ("another spelling of base64url", lambda token: token + "="),
    ("another spelling of base64url", lambda token: token[:-5] + "\n" * 4 + token[-5:]),
    ("another spelling of base64url", lambda token: token[:-1] + chr(ord(token[-1]) + 1)),
    ("a signature with zeros before its halves", _padded_halves),
    ("a signature with zeros before its halves", _padded_end),
    ("no header", _with_header(b"")),
    ("a header member twice", _with_header(b'{"alg":"ES256","kid":"k2","typ":"at+jwt","kid":"k1"}')),
    ("a header without alg, kid and typ as text, or with more", _with_header(b'{"alg":"ES256"}')),
    ("a header without alg, kid and typ as text, or with more", _with_header(b'{"alg":"ES256","kid":1,"typ":"x"}')),
    (
        "a header without alg, kid and typ as text, or with more",
        _with_header(b'{"alg":"ES256","kid":"k1","typ":"at+jwt","cty":"JWT"}'),
    ),
]


@pytest.mark.parametrize(("name", "spoil"), WHAT_IS_STRICTER, ids=[name for name, _ in WHAT_IS_STRICTER])
def test_each_stricter_case_is_one(name: str, spoil: Callable[[str], str]) -> None:
    token = spoil(GOOD["ES256"])
    assert by_jwcrypto(token, KEYS["ES256"]) is not None
    assert lean(token, KEYS["ES256"]) is None
    assert STRICTER[name](token, "ES256")


def test_every_stricter_case_has_its_example() -> None:
    assert {name for name, _ in WHAT_IS_STRICTER} == set(STRICTER)


# --- keys ---


@pytest.mark.parametrize("algorithm", [*sorted(ALGORITHMS), "HS256", "ES384", "none", ""])
@pytest.mark.parametrize(
    "made",
    [
        *PARAMETERS.values(),
        {"kty": "EC", "crv": "P-384"},
        {"kty": "EC", "crv": "secp256k1"},
        {"kty": "OKP", "crv": "Ed448"},
        {"kty": "OKP", "crv": "X25519"},
        {"kty": "oct", "size": 256},
        {**PARAMETERS["ES256"], "use": "enc"},
        {**PARAMETERS["RS256"], "use": "enc"},
        {**PARAMETERS["EdDSA"], "use": "enc"},
        {**PARAMETERS["ES256"], "key_ops": ["deriveKey"]},
    ],
    ids=lambda made: "-".join(map(str, made.values())),
)
def test_a_key_holds_for_its_own_algorithm_and_use_only(made: dict[str, Any], algorithm: str) -> None:
    """The signature is true in the eyes of whoever ignores what the key is for."""
    pair = JWK.generate(**made)
    free = JWK(**{name: value for name, value in pair.export(as_dict=True).items() if name not in {"use", "key_ops"}})
    fits = next((name for name, wanted in PARAMETERS.items() if wanted.items() <= made.items()), "")
    signable = algorithm if algorithm == fits else fits
    if not signable:
        assert not verifier(pair, algorithm)(bytes(64), b"x")
        return
    engine = jws.JWSCore(signable, free, None, b"", [signable]).engine
    signature = engine.sign(free, b"x")
    is_free = "use" not in made and "key_ops" not in made
    assert verifier(pair, algorithm)(signature, b"x") is (algorithm == fits and is_free)


def test_a_curve_of_the_same_size_is_another_algorithm() -> None:
    pair = JWK.generate(kty="EC", crv="secp256k1")
    engine = jws.JWSCore("ES256K", pair, None, b"", ["ES256K"]).engine
    signature = engine.sign(pair, b"x")
    engine.verify(pair, b"x", signature)
    assert len(signature) == 64
    assert not verifier(pair, "ES256")(signature, b"x")


# --- what is written ---

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def written_by_jwcrypto(algorithm: str, claims: dict[str, Any], typ: str) -> str:
    token = jws.JWS(json.dumps(claims, separators=(",", ":")))
    token.allowed_algs = [algorithm]
    header = json.dumps({"alg": algorithm, "kid": "k1", "typ": typ}, separators=(",", ":"))
    token.add_signature(PAIRS[algorithm], None, header)
    text: str = token.serialize(compact=True)
    return text


@every_algorithm
@given(claims=st.dictionaries(st.text(), JSON, max_size=4), typ=st.sampled_from(["at+jwt", "JWT", "", "\u00e9"]))
def test_both_write_the_same_token(algorithm: str, claims: dict[str, Any], typ: str) -> None:
    """An ECDSA signature is another one each time; what is signed is not, and jwcrypto believes it."""
    token = PrivateKey("k1", algorithm, PAIRS[algorithm]).sign(claims, typ)
    theirs = written_by_jwcrypto(algorithm, claims, typ)
    if algorithm == "ES256":
        assert token.rpartition(".")[0] == theirs.rpartition(".")[0]
    else:
        assert token == theirs
    assert by_jwcrypto(token, KEYS[algorithm]) == json_bytes(claims)


def test_small_halves_of_a_signature_are_filled_up() -> None:
    """One signature in 128 has a half that begins with a zero byte (RFC 7518 section 3.4)."""
    private = PrivateKey("k1", "ES256", PAIRS["ES256"])
    signatures = [private.signs(b"x") for _ in range(1500)]
    assert {len(each) for each in signatures} == {64}
    assert any(each[0] == 0 or each[32] == 0 for each in signatures)
    assert all(KEYS["ES256"].holds(each, b"x") for each in signatures)


@pytest.mark.parametrize(
    ("made", "algorithm"),
    [
        (PARAMETERS["ES256"], "RS256"),
        (PARAMETERS["RS256"], "EdDSA"),
        (PARAMETERS["EdDSA"], "ES256"),
        (PARAMETERS["ES256"], "none"),
        ({"kty": "EC", "crv": "secp256k1"}, "ES256"),
        ({"kty": "EC", "crv": "P-384"}, "ES256"),
        ({"kty": "OKP", "crv": "Ed448"}, "EdDSA"),
        ({"kty": "oct", "size": 256}, "ES256"),
        ({**PARAMETERS["ES256"], "use": "enc"}, "ES256"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(map(str, value.values())),
)
def test_a_key_signs_by_its_own_algorithm_only(made: dict[str, Any], algorithm: str) -> None:
    with pytest.raises((TypeError, KeyError, JWException)):
        PrivateKey("k1", algorithm, JWK.generate(**made))


@every_algorithm
def test_a_public_key_signs_nothing(algorithm: str) -> None:
    with pytest.raises((TypeError, JWException)):
        PrivateKey("k1", algorithm, KEYS[algorithm].jwk)


# --- the whole way, and the memo of headers ---


@every_algorithm
def test_a_header_that_was_read_before_hides_nothing(algorithm: str) -> None:
    key, expected = KEYS[algorithm], Expected("at+jwt", ISSUER, ISSUER)
    token = GOOD[algorithm]
    for _ in range(2):
        assert verify(token, {"k1": key}.get, expected, NOW) == CLAIMS
    body = token.rpartition(".")[0]
    spoilt = [
        (f"{body}.{encoded(bytes(64))}", {"k1": key}, expected, "bad_signature"),
        (token, {}, expected, "unknown_key"),
        (token, {"k1": VerificationKey("k1", _other(algorithm), key.jwk)}, expected, "wrong_algorithm"),
        (token, {"k1": key}, Expected("refresh+jwt", ISSUER, ISSUER), "wrong_type"),
        (token, {"k1": VerificationKey("k1", algorithm, STRANGERS[algorithm])}, expected, "bad_signature"),
    ]
    for text, keys, wanted, reason in spoilt:
        with pytest.raises(TokenRejected) as caught:
            verify(text, keys.get, wanted, NOW)
        assert caught.value.reason == reason


def _other(algorithm: str) -> str:
    return next(name for name in sorted(ALGORITHMS) if name != algorithm)


@given(st.binary(max_size=50))
def test_what_is_encoded_is_decoded(content: bytes) -> None:
    assert decoded(encoded(content).encode()) == content


@given(st.text("ABQgwxyz019-_+/=. \n", max_size=9))
def test_only_the_canonical_spelling_is_decoded(part: str) -> None:
    try:
        decoded(part.encode())
    except TokenRejected:
        assert not _is_canonical(part)
    else:
        assert _is_canonical(part)
