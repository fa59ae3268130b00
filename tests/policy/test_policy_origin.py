"""A page of the same host, told by one Origin field."""

from __future__ import annotations

import pytest

from gateway.policy.origin import same_origin
from gateway.policy.target import parse_target
from tests.policy.asking import headers


@pytest.mark.parametrize(
    ("host", "origins", "same"),
    [
        ("a.example", ["https://a.example"], True),
        ("a.example", ["https://A.example:443"], True),
        ("a.example:8443", ["https://a.example:8443"], True),
        ("[::1]:8443", ["https://[::1]:8443"], True),
        ("a.example", [], False),
        ("a.example", ["null"], False),
        ("a.example", [""], False),
        ("a.example", ["a.example"], False),
        ("a.example", ["https://b.example"], False),
        ("a.example", ["https://a.example:8443"], False),
        ("a.example", ["http://a.example"], False),
        ("a.example", ["https://a.example.evil.test"], False),
        ("a.example", ["https://a.example@evil.test"], False),
        ("a.example", ["https://evil.test@a.example"], False),
        ("a.example", ["https://a.example/"], False),
        ("a.example", ["ftp://a.example"], False),
        ("a.example", ["chrome-extension://a.example"], False),
        ("a.example", ["https://a.example", "https://evil.test"], False),
        ("a.example", ["https://a.example, https://evil.test"], False),
    ],
    ids=str,
)
def test_same_origin(host: str, origins: list[str], same: bool) -> None:
    target = parse_target("GET", "/socket", host, "https")
    assert same_origin(headers(*(("Origin", origin) for origin in origins)), target) is same
