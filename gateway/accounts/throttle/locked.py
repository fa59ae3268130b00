"""What this process has seen locked: a guess for it is refused without asking the database.

It only ever says no, and only for seconds: what the database counts may be logins that are just being checked, and
turn out right. An unlocking is heard by the event feed.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from gateway.clock import Clock
from gateway.storage.events import EventFeed

TOPIC: Final = "unlock"
_MOST: Final = 20_000
_BELIEVED_FOR: Final = timedelta(seconds=5)


class Locked:
    """Subjects and until when each is locked; the oldest are forgotten when there are many."""

    def __init__(self, clock: Clock, feed: EventFeed | None = None) -> None:
        self._clock = clock
        # Until when it is locked, and until when that is believed.
        self._until: dict[str, tuple[datetime, datetime]] = {}
        if feed is not None:
            feed.subscribe(self._on_event, self._until.clear)

    def until(self, subject: str) -> datetime | None:
        """Return until when ``subject`` is known to be locked; None says nothing."""
        known = self._until.get(subject)
        if known is None:
            return None
        moment, believed_until = known
        if believed_until > self._clock.now():
            return moment
        del self._until[subject]
        return None

    def hold(self, subject: str, until: datetime) -> None:
        """Note that the database has ``subject`` locked."""
        self._until.pop(subject, None)
        self._until[subject] = (until, min(until, self._clock.now() + _BELIEVED_FOR))
        if len(self._until) > _MOST:
            del self._until[next(iter(self._until))]

    def clear(self) -> None:
        """Ask the database about everybody again."""
        self._until.clear()

    def _on_event(self, topic: str, _key: str) -> None:
        if topic == TOPIC:
            self._until.clear()
