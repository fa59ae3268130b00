"""Whose a client's certificate is: one exact name, one active account."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import DNSName, GeneralName, RFC822Name, UniformResourceIdentifier, load_pem_x509_certificate
from multidict import CIMultiDict

from gateway.accounts.changes import Changes
from gateway.config.server import ClientCertificates
from gateway.errors import CredentialRejected
from gateway.identity.authenticators import Authenticators
from gateway.identity.certificate import ClientCertificate
from gateway.identity.identity import CredentialKind
from gateway.identity.memory import Memory
from gateway.identity.presented import Presented
from gateway.identity.verified import Verified
from gateway.oauth.state.client_tokens import ClientTokens
from tests.identity.reception import Reception, open_reception
from tests.listening.authority import CLIENT, Authority, common_name

__all__ = ["open_reception"]

KINDS = frozenset({CredentialKind.CLIENT_CERTIFICATE})
Issue = Callable[..., ClientCertificate]


@pytest.fixture
def issue(tmp_path: Path) -> Issue:
    authority = Authority(tmp_path / "ca")

    def make(*names: GeneralName, subject: x509.Name | None = None) -> ClientCertificate:
        pair = authority.issue(*names, usage=CLIENT, subject=subject)
        return ClientCertificate.of(load_pem_x509_certificate(pair.cert.read_bytes()).public_bytes(Encoding.DER))

    return make


async def whose(reception: Reception, certificate: ClientCertificate, **mapping: str) -> Verified:
    """Ask the authenticator with a mapping of the test's own."""
    accounts = reception.accounts
    authenticators = Authenticators(
        sessions=accounts.sessions,
        access_tokens=accounts.access_tokens,
        refresh_tokens=accounts.refresh_tokens,
        client_tokens=ClientTokens(reception.database),
        api_tokens=accounts.api_tokens,
        users=accounts.users,
        client_certificates=ClientCertificates.model_validate(mapping),
        clock=reception.clock,
    )
    memory = Memory(reception.cache, reception.ledger, reception.feed, reception.clock)
    presented = Presented(CredentialKind.CLIENT_CERTIFICATE, "", certificate.fingerprint, certificate)
    return await authenticators.table(memory)[CredentialKind.CLIENT_CERTIFICATE](presented, "app.test")


SPIFFE = "spiffe://example.com/user/"
ANN = RFC822Name("ann@example.com")


@pytest.mark.parametrize(
    ("names", "subject", "mapping"),
    [
        pytest.param([ANN], (), {}, id="email"),
        pytest.param([RFC822Name("Ann@EXAMPLE.com")], (), {}, id="email-in-capitals"),
        pytest.param([ANN, DNSName("bob")], ("bob",), {}, id="only-what-was-asked-for"),
        pytest.param([ANN, ANN], (), {}, id="the-same-twice"),
        pytest.param([], ("ann",), {"user_from": "subject_cn"}, id="common-name"),
        pytest.param([DNSName("ann")], (), {"user_from": "san_dns"}, id="dns"),
        pytest.param(
            [DNSName("ann.people.test"), UniformResourceIdentifier(f"{SPIFFE}ann")],
            (),
            {"user_from": "san_uri", "strip_prefix": SPIFFE},
            id="uri",
        ),
    ],
)
async def test_a_certificate_names_one_account(
    reception: Reception, issue: Issue, names: list[GeneralName], subject: tuple[str, ...], mapping: dict[str, str]
) -> None:
    await reception.accounts.users.change(reception.ann.id, Changes(is_verified=True))
    verified = await whose(reception, issue(*names, subject=common_name(*subject)), **mapping)
    assert (verified.identity.username, verified.identity.roles) == ("ann", ("staff", "user"))
    assert (verified.kind, verified.identity.scopes) == (CredentialKind.CLIENT_CERTIFICATE, None)
    assert verified.depends_on == {("account", reception.ann.id)}


@pytest.mark.parametrize(
    ("names", "subject", "mapping", "reason"),
    [
        pytest.param([], ("ann",), {}, "nobody", id="no-email"),
        pytest.param([RFC822Name("eve@example.com")], (), {}, "nobody", id="email-of-nobody"),
        pytest.param([RFC822Name("ann")], (), {}, "nobody", id="username-for-email"),
        pytest.param([], ("ann@example.com",), {"user_from": "subject_cn"}, "nobody", id="email-for-username"),
        pytest.param([ANN, RFC822Name("bob@example.com")], (), {}, "several", id="two-emails"),
        pytest.param([], ("ann", "bob"), {"user_from": "subject_cn"}, "several", id="two-common-names"),
        pytest.param([], ("ANN",), {"user_from": "subject_cn"}, "nobody", id="other-case"),
        pytest.param([], ("\uff41nn",), {"user_from": "subject_cn"}, "nobody", id="full-width"),
        pytest.param([], (" ann",), {"user_from": "subject_cn"}, "nobody", id="with-a-space"),
        pytest.param([], ("ann\x00",), {"user_from": "subject_cn"}, "nobody", id="with-a-nul"),
        pytest.param(
            [UniformResourceIdentifier("spiffe://other/user/ann")],
            (),
            {"user_from": "san_uri", "strip_prefix": SPIFFE},
            "nobody",
            id="other-prefix",
        ),
        pytest.param(
            [UniformResourceIdentifier(f"x{SPIFFE}ann")],
            (),
            {"user_from": "san_uri", "strip_prefix": SPIFFE},
            "nobody",
            id="prefix-inside",
        ),
        pytest.param(
            [UniformResourceIdentifier(SPIFFE)],
            (),
            {"user_from": "san_uri", "strip_prefix": SPIFFE},
            "nobody",
            id="nothing-behind-the-prefix",
        ),
    ],
)
async def test_any_other_certificate_is_refused(
    reception: Reception,
    issue: Issue,
    names: list[GeneralName],
    subject: tuple[str, ...],
    mapping: dict[str, str],
    reason: str,
) -> None:
    await reception.accounts.users.change(reception.ann.id, Changes(is_verified=True))
    with pytest.raises(CredentialRejected) as raised:
        await whose(reception, issue(*names, subject=common_name(*subject)), **mapping)
    assert raised.value.reason == f"certificate_names_{reason}"


async def test_an_id_is_no_name(reception: Reception, issue: Issue) -> None:
    certificate = issue(subject=common_name(reception.ann.id))
    with pytest.raises(CredentialRejected):
        await whose(reception, certificate, user_from="subject_cn")


async def test_an_address_that_nobody_verified_names_nobody(reception: Reception, issue: Issue) -> None:
    """Whoever registers with another's address would be given the requests that the other's certificate signs."""
    with pytest.raises(CredentialRejected):
        await whose(reception, issue(ANN))
    await reception.accounts.users.change(reception.ann.id, Changes(is_verified=True))
    assert (await whose(reception, issue(ANN))).identity.username == "ann"


async def test_a_malformed_certificate_is_refused(reception: Reception, issue: Issue) -> None:
    certificate = issue(ANN)
    with pytest.raises(CredentialRejected, match="certificate_malformed"):
        await whose(reception, replace(certificate, der=certificate.der[:-9]))


async def test_a_disabled_account_s_certificate_is_refused_at_once(reception: Reception, issue: Issue) -> None:
    users, certificate = reception.accounts.users, issue(ANN)
    await users.change(reception.ann.id, Changes(is_verified=True))
    await reception.feed.caught_up()
    headers: CIMultiDict[str] = CIMultiDict()
    for _ in range(2):
        found = await reception.resolver.resolve(headers, KINDS, "app.test", certificate)
        assert found is not None
    await users.change(reception.ann.id, Changes(is_active=False))
    await reception.feed.caught_up()
    with pytest.raises(CredentialRejected):
        await reception.resolver.resolve(headers, KINDS, "app.test", certificate)


async def test_what_is_known_of_a_certificate_ends_with_it(reception: Reception, issue: Issue) -> None:
    await reception.accounts.users.change(reception.ann.id, Changes(is_verified=True))
    certificate = issue(ANN)
    parsed = x509.load_der_x509_certificate(certificate.der)
    reception.clock.set(parsed.not_valid_after_utc)
    verified = await whose(reception, certificate)
    assert verified.expires_at <= reception.clock.monotonic()


async def test_a_certificate_is_not_looked_at_for_other_kinds(reception: Reception, issue: Issue) -> None:
    kinds = frozenset(CredentialKind) - KINDS
    assert await reception.resolver.resolve(CIMultiDict(), kinds, "app.test", issue(ANN)) is None
