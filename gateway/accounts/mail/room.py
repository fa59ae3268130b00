"""Mail put together: what letters are written with, kept in and sent by."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.accounts.mail.letters import Letters
from gateway.accounts.mail.notices import Notices
from gateway.accounts.mail.postbox import Postbox
from gateway.accounts.mail.postman import Postman
from gateway.clock import Clock
from gateway.config.settings import Settings
from gateway.storage.database import Database
from gateway.storage.events import EventFeed
from gateway.tokens.master_key import MasterKey


@dataclass(frozen=True, slots=True)
class MailRoom:
    """Everything about letters."""

    postbox: Postbox
    letters: Letters
    notices: Notices
    postman: Postman


def build_mail_room(
    settings: Settings, database: Database, master_key: MasterKey, clock: Clock, feed: EventFeed | None
) -> MailRoom:
    """Wire it. Without ``feed`` (in a command) the running program hears of letters all the same."""
    postbox = Postbox(database, master_key, clock, enabled=settings.mail.enabled)
    letters = Letters(settings)
    return MailRoom(
        postbox=postbox,
        letters=letters,
        notices=Notices(postbox, letters, settings.branding.name, clock),
        postman=Postman(postbox, settings.mail, clock, feed),
    )
