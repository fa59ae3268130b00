"""From a request's header fields to who asks: at once when it is known and fresh, else by asking the database.

Absent: None. Present and bad: CredentialRejected, never a fall-through to a weaker kind. The database does not answer:
StorageUnavailable.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from gateway.clock import Clock
from gateway.errors import CredentialRejected, StorageUnavailable
from gateway.identity.activity import Activity
from gateway.identity.authenticators import Authenticators
from gateway.identity.cache import CredentialCache, cache_key
from gateway.identity.certificate import ClientCertificate
from gateway.identity.identity import CredentialKind
from gateway.identity.ledger import RevocationLedger
from gateway.identity.memory import Memory
from gateway.identity.presented import Headers, Presented, Presenter
from gateway.identity.verified import Verified
from gateway.storage.events import EventFeed

# In place of a key where nothing is presented.
NOBODY: Final = b""


class Resolver:
    """Resolves credentials for one host and the kinds that a route lists."""

    def __init__(
        self,
        presenter: Presenter,
        authenticators: Authenticators,
        cache: CredentialCache,
        ledger: RevocationLedger,
        feed: EventFeed,
        activity: Activity,
        clock: Clock,
    ) -> None:
        self.presenter = presenter
        self._memory = Memory(cache, ledger, feed, clock)
        self._authenticate = authenticators.table(self._memory)
        self._activity = activity

    def key_of(self, headers: Headers, kinds: frozenset[CredentialKind], host: str) -> bytes | None:
        """Return the cache key of the one credential that is presented: None for several, ``NOBODY`` for none.

        A function of its arguments alone. Raises what ``Presenter.present`` raises.
        """
        presented = self.presenter.present(headers, kinds)
        if not presented:
            return NOBODY
        return cache_key(presented[0], host) if len(presented) == 1 else None

    def known(self, key: bytes) -> Verified | None:
        """Return who the credential with this key stands for, if that may be believed; None says nothing."""
        return self._memory.known(key)

    async def resolve(
        self,
        headers: Headers,
        kinds: frozenset[CredentialKind],
        host: str,
        certificate: ClientCertificate | None = None,
        key: bytes | None = None,
        address: str = "",
    ) -> Verified | None:
        """Return who asks, or None when nothing is presented. Every credential presented must be good.

        ``address`` is where the request comes from, ``key`` what ``key_of`` said of the same arguments, where it was
        asked.
        Raises CredentialRejected, StorageUnavailable, TargetRejected.
        """
        presented = self.presenter.present(headers, kinds, certificate)
        if not presented:
            return None
        if presented[0].kind is CredentialKind.BASIC:  # the most explicit comes first
            presented[0] = presented[0]._replace(address=address)
        if len(presented) == 1:
            return await self._verify(presented[0], host, key)
        verified = [await self._verify(each, host) for each in presented]
        first = verified[0]
        if any(each.identity.user_id != first.identity.user_id for each in verified):
            raise CredentialRejected("credentials_disagree")
        both = replace(
            first,
            consumed=frozenset().union(*(each.consumed for each in verified)),
            depends_on=frozenset().union(*(each.depends_on for each in verified)),
            expires_at=min(each.expires_at for each in verified),
            began=min(each.began for each in verified),
            headers={},
        )
        if self._memory.moved(both):
            raise StorageUnavailable("a credential was revoked while another was verified")
        return both

    async def _verify(self, presented: Presented, host: str, key: bytes | None = None) -> Verified:
        key = key or cache_key(presented, host)
        known = self._memory.known(key)
        if known is not None:
            return known
        authenticate = self._authenticate.get(presented.kind)
        if authenticate is None:
            raise CredentialRejected("unsupported_kind")
        verified = await self._memory.verify(key, lambda: authenticate(presented, host))
        self._activity.note(verified)
        return verified
