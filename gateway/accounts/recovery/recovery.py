"""What goes by mail, put together: for the program, and for its commands."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypedDict

from gateway.accounts.decoys import Decoys
from gateway.accounts.login import PasswordLogin
from gateway.accounts.mail.letters import Letters
from gateway.accounts.mail.notices import Notices
from gateway.accounts.mail.postbox import Postbox
from gateway.accounts.mail.postman import Postman
from gateway.accounts.mail.room import MailRoom
from gateway.accounts.recovery.addresses import Addresses
from gateway.accounts.recovery.email_change import EmailChanges
from gateway.accounts.recovery.forgotten import ATTEMPTS_KIND, Forgotten
from gateway.accounts.recovery.invitations import Invitations
from gateway.accounts.recovery.links import Links
from gateway.accounts.recovery.registering import ATTEMPTS_KIND as REMINDERS_KIND
from gateway.accounts.recovery.registering import Registering
from gateway.accounts.recovery.verification import Verification
from gateway.accounts.throttle.attempts import Attempts
from gateway.accounts.users import Users
from gateway.clock import Clock
from gateway.config.settings import Settings
from gateway.storage.database import Database


@dataclass(frozen=True, slots=True)
class Recovery:
    """The parts that write to people, and those that take their answers."""

    postbox: Postbox
    postman: Postman
    links: Links
    notices: Notices
    verification: Verification
    registering: Registering
    forgotten: Forgotten
    email_changes: EmailChanges
    invitations: Invitations
    cleaning: tuple[Callable[[], Awaitable[int]], ...]


class _Writing(TypedDict):
    database: Database
    users: Users
    links: Links
    postbox: Postbox
    letters: Letters
    addresses: Addresses


def build_recovery(
    settings: Settings,
    database: Database,
    clock: Clock,
    mail: MailRoom,
    users: Users,
    decoys: Decoys,
    login: PasswordLogin,
) -> Recovery:
    """Wire it."""
    postbox, letters, notices = mail.postbox, mail.letters, mail.notices
    addresses, links = Addresses(settings), Links(database, clock)
    verification = Verification(database, users, links, postbox, letters, addresses)
    # What all of them need that write to somebody and take an answer.
    writing = _Writing(
        database=database, users=users, links=links, postbox=postbox, letters=letters, addresses=addresses
    )
    email_changes = EmailChanges(notices=notices, clock=clock, **writing)
    forgotten = Forgotten(login=login, attempts=Attempts(ATTEMPTS_KIND, database, settings.login, clock), **writing)
    return Recovery(
        postbox=postbox,
        postman=mail.postman,
        links=links,
        notices=notices,
        verification=verification,
        registering=Registering(
            users,
            decoys,
            verification,
            postbox,
            letters,
            addresses,
            settings.registration,
            Attempts(REMINDERS_KIND, database, settings.login, clock),
        ),
        forgotten=forgotten,
        email_changes=email_changes,
        invitations=Invitations(registration=settings.registration, **writing),
        cleaning=(postbox.forget_expired, links.forget_expired, email_changes.forget_expired, decoys.forget_old),
    )
