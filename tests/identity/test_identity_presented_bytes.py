"""Credentials that no hash and no database could take are refused before they get there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import CredentialRejected, TargetRejected
from gateway.identity.cache import cache_key
from gateway.identity.identity import CredentialKind
from gateway.identity.presented import Headers, Presenter
from tests.identity.credentials import ALL_KINDS, HOST, bearer, cookie, fields

presenter = Presenter("gateway")
UNSOUND: dict[str, Headers] = {
    "bytes in a bearer": bearer("a\udcffb"),
    "bytes in a token": fields(("Authorization", "Token gwt_\udcff")),
    "bytes in a key": fields(("X-API-Key", "\udcff")),
    "bytes in a cookie": cookie("\udcff" * 43),
    "letters in a cookie": cookie("é" * 43),
    "long cookie": cookie("a" * 8193),
    "long bearer": bearer("a" * 8193),
}


@pytest.mark.parametrize("headers", UNSOUND.values(), ids=UNSOUND)
def test_what_no_credential_of_ours_looks_like_is_refused(headers: Headers) -> None:
    with pytest.raises(CredentialRejected):
        presenter.present(headers, ALL_KINDS)
    # A kind that a route does not list is not looked at, so neither is what is wrong with it.
    assert presenter.present(headers, frozenset({CredentialKind.BASIC})) == []


def test_another_schemes_value_is_not_ours_to_judge() -> None:
    assert presenter.present(fields(("Authorization", "Basic " + "é" * 9000)), ALL_KINDS) == []


_any_text = st.text(st.characters(min_codepoint=0, max_codepoint=0xDFFF), max_size=40)
_values = st.one_of(_any_text, _any_text.map("gateway={}".format), _any_text.map("Bearer {}".format))
_names = st.sampled_from(["Cookie", "Authorization", "X-API-Key", "cookie", "x-api-key"])


@given(st.lists(st.tuples(_names, _values), max_size=5))
def test_whatever_is_read_can_be_hashed(pairs: list[tuple[str, str]]) -> None:
    try:
        found = presenter.present(fields(*pairs), ALL_KINDS)
    except (CredentialRejected, TargetRejected):
        return
    assert len({each.header for each in found}) == len(found) <= 3
    assert all(each.unverified.encode() and cache_key(each, HOST) for each in found if each.unverified)
