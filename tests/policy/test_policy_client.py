"""Forwarded metadata counts from trusted proxies only, read from the right."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import TargetRejected
from gateway.policy.client import TrustedProxies
from gateway.policy.rejection import REJECTIONS
from tests.policy.asking import headers

PROXIES = TrustedProxies(["10.0.0.0/8", "fd00::/8"])
FORGED = headers(("X-Forwarded-For", "10.9.9.9"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "admin.example"))


@pytest.mark.parametrize("peer", ["192.0.2.1", "2001:db8::1", "11.0.0.1", "::ffff:192.0.2.1"])
def test_nobody_else_is_believed(peer: str) -> None:
    client = PROXIES.client_of(peer, FORGED)
    assert not client.trusted
    assert (client.scheme, client.host) == (None, None)
    assert client.address == peer.removeprefix("::ffff:")
    assert client.chain == (client.address,)


def test_without_trusted_proxies_nobody_is_believed() -> None:
    assert TrustedProxies().client_of("127.0.0.1", FORGED).address == "127.0.0.1"


@pytest.mark.parametrize("peer", ["", None])
def test_a_unix_socket_s_peer_is_believed_where_that_is_configured(peer: str | None) -> None:
    proxies = TrustedProxies(["unix"])
    named = proxies.client_of(
        peer, headers(("X-Forwarded-For", "203.0.113.9, 192.0.2.1"), ("X-Forwarded-Proto", "https"))
    )
    assert (named.address, named.chain, named.scheme, named.trusted) == ("192.0.2.1", ("192.0.2.1",), "https", True)
    silent = proxies.client_of(peer, headers())
    assert (silent.address, silent.ip, silent.chain, silent.trusted) == ("", None, (), True)
    assert not proxies.trusts("127.0.0.1")


def test_unix_socket_has_no_address_and_is_not_believed() -> None:
    for peer in (None, ""):
        client = PROXIES.client_of(peer, FORGED)
        assert (client.ip, client.trusted, client.chain) == (None, False, ())


CHAINS = [
    ([], "10.0.0.1", ("10.0.0.1",)),
    (["192.0.2.7"], "192.0.2.7", ("192.0.2.7", "10.0.0.1")),
    (["10.0.0.2"], "10.0.0.2", ("10.0.0.2", "10.0.0.1")),
    (["192.0.2.7, 10.0.0.2"], "192.0.2.7", ("192.0.2.7", "10.0.0.2", "10.0.0.1")),
    # what stands left of the first stranger is the stranger's own claim
    (["10.6.6.6, 192.0.2.7"], "192.0.2.7", ("192.0.2.7", "10.0.0.1")),
    (["garbage, 192.0.2.7"], "192.0.2.7", ("192.0.2.7", "10.0.0.1")),
    (["10.6.6.6", "192.0.2.7"], "192.0.2.7", ("192.0.2.7", "10.0.0.1")),
    (["192.0.2.7:4711"], "192.0.2.7", ("192.0.2.7", "10.0.0.1")),
    (["[2001:db8::7]:4711"], "2001:db8::7", ("2001:db8::7", "10.0.0.1")),
    (["[2001:db8::7]"], "2001:db8::7", ("2001:db8::7", "10.0.0.1")),
    (["2001:DB8:0::7"], "2001:db8::7", ("2001:db8::7", "10.0.0.1")),
    (["::ffff:192.0.2.7"], "192.0.2.7", ("192.0.2.7", "10.0.0.1")),
    (["fe80::1%eth0"], "fe80::1", ("fe80::1", "10.0.0.1")),
    (["192.0.2.7,, ,"], "192.0.2.7", ("192.0.2.7", "10.0.0.1")),
]


@pytest.mark.parametrize(("lines", "address", "chain"), CHAINS, ids=str)
@pytest.mark.parametrize("peer", ["10.0.0.1", "::ffff:10.0.0.1"])
def test_client_is_the_first_stranger_from_the_right(
    peer: str, lines: list[str], address: str, chain: tuple[str, ...]
) -> None:
    client = PROXIES.client_of(peer, headers(*(("X-Forwarded-For", line) for line in lines)))
    assert (client.address, str(client.ip)) == (address, address)
    assert client.chain == chain


@pytest.mark.parametrize(
    "line",
    [
        "unknown",
        "_hidden",
        "192.0.2",
        "192.0.2.7.1",
        "192.0.2.07",
        "0x7f.1",
        "2130706433",
        "[::1",
        "[]",
        "a:1",
        "192.0.2.7:x",
        "[::1]x",
        "[192.0.2.7",
        "192.0.2.7; 10.0.0.2",
        "192.0.2.7 10.0.0.2",
        "localhost",
        "192.0.2.7:" + "0" * 100,
        "fe80::1%" + "a" * 100,
    ],
)
def test_address_that_cannot_be_read_is_refused(line: str) -> None:
    for text in (line, f"192.0.2.1, {line}, 10.0.0.2"):
        with pytest.raises(TargetRejected) as caught:
            PROXIES.client_of("10.0.0.1", headers(("X-Forwarded-For", text)))
        assert caught.value.reason == "bad_forwarded_for"


@pytest.mark.parametrize(
    ("lines", "scheme"),
    [
        ([], None),
        (["https"], "https"),
        (["HTTP"], "http"),
        (["wss"], "https"),
        (["ws"], "http"),
        (["https, http"], "http"),
        (["https", "http"], "http"),
        ([""], None),
    ],
)
def test_scheme(lines: list[str], scheme: str | None) -> None:
    client = PROXIES.client_of("10.0.0.1", headers(*(("X-Forwarded-Proto", line) for line in lines)))
    assert client.scheme == scheme


@pytest.mark.parametrize("line", ["ftp", "https:", "https;", "https http", "javascript"])
def test_scheme_that_is_none_is_refused(line: str) -> None:
    with pytest.raises(TargetRejected) as caught:
        PROXIES.client_of("10.0.0.1", headers(("X-Forwarded-Proto", line)))
    assert caught.value.reason == "bad_forwarded_proto"


def test_host_is_the_nearest_proxy_s_word() -> None:
    sent = headers(("X-Forwarded-Host", "forged.example, a.example"), ("X-Forwarded-Host", "b.example"))
    assert PROXIES.client_of("10.0.0.1", sent).host == "b.example"
    assert PROXIES.client_of("10.0.0.1", headers()).host is None
    with pytest.raises(TargetRejected):
        PROXIES.client_of("10.0.0.1", headers(("X-Forwarded-Host", " , ")))


@given(st.text(max_size=40), st.lists(st.text(max_size=40), max_size=3), st.text(max_size=10))
def test_no_input_raises_anything_but_target_rejected(peer: str, lines: list[str], scheme: str) -> None:
    sent = headers(("X-Forwarded-Proto", scheme), *(("X-Forwarded-For", line) for line in lines))
    reasons: list[str] = []
    for address in (peer, "10.0.0.1"):
        try:
            PROXIES.client_of(address, sent)
        except TargetRejected as error:
            reasons.append(error.reason)
    assert set(reasons) <= set(REJECTIONS)


def test_peers_seen_before_stay_bounded() -> None:
    proxies = TrustedProxies()
    for number in range(5000):
        proxies.client_of(f"192.0.{number // 250}.{number % 250}", headers())
    assert len(proxies._peers) <= 4096


def test_hops_seen_before_stay_bounded() -> None:
    proxies = TrustedProxies(["10.0.0.0/8"])
    for number in range(5000):
        proxies.client_of("10.0.0.1", headers(("X-Forwarded-For", f"192.0.{number // 250}.{number % 250}")))
    assert len(proxies._hops) <= 4096
