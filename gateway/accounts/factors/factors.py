"""Second factors together: who has which, who has to, and what a login still needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum, auto
from typing import Final
from uuid import UUID

from gateway.accounts.devices import KnownDevices, distrust_devices
from gateway.accounts.factors.recovery_codes import RecoveryCodes
from gateway.accounts.factors.totp import DIGITS, MOST_PER_ACCOUNT, Enrolment, Totps
from gateway.accounts.mail.notices import Notices
from gateway.accounts.throttle.attempts import Attempts
from gateway.accounts.user import User
from gateway.config.factors import SecondFactorSettings
from gateway.errors import FieldError, InvalidInput, NotFound
from gateway.storage.database import Database, Executor
from gateway.storage.statements import statements
from gateway.translation.words import later

# RFC 8176: what a code proves, and that there was more than one factor.
OTP: Final = "otp"
MFA: Final = "mfa"
ATTEMPTS_KIND: Final = "factor"
_SQL: Final = statements("second_factor")
_NAME_LENGTH: Final = 60


class Step(Enum):
    """What a login needs after its first factor."""

    NOTHING = auto()
    PROVE = auto()
    ENROL = auto()


@dataclass(frozen=True, slots=True)
class Enrolled:
    """How many of each an account has. Recovery codes are no factor of their own: they replace a lost one."""

    totps: int
    passkeys: int
    recovery_codes: int

    def __bool__(self) -> bool:
        return bool(self.totps or self.passkeys)


@dataclass(frozen=True, slots=True)
class Proven:
    """A factor that counts from now on. ``recovery_codes`` are new, to be shown once, with an account's first one."""

    recovery_codes: Sequence[str] = field(default=(), repr=False)


class SecondFactors:
    """Decides what a login needs, takes codes, and changes what an account has."""

    def __init__(
        self,
        *,
        database: Database,
        totps: Totps,
        recovery_codes: RecoveryCodes,
        devices: KnownDevices,
        attempts: Attempts,
        settings: SecondFactorSettings,
        passkeys_open: bool,
        notices: Notices,
    ) -> None:
        self._database = database
        self.totps = totps
        self._recovery_codes = recovery_codes
        self._devices = devices
        self._attempts = attempts
        self._settings = settings
        self.passkeys_open = passkeys_open
        self._notices = notices
        self._required_roles = frozenset(settings.required_roles)

    @property
    def remember_for(self) -> timedelta | None:
        """For how long a device may be trusted; None when none may."""
        return self._settings.remember_for or None

    def required_of(self, user: User) -> bool:
        """Say whether one of the user's roles demands a second factor."""
        return not self._required_roles.isdisjoint(user.roles)

    async def of(self, account_id: str) -> Enrolled:
        row = await self._database.fetchrow(_SQL["summary"], UUID(account_id))
        if row is None:
            raise LookupError("a count returned no row")
        return Enrolled(row["totps"], row["passkeys"], row["recovery_codes"])

    async def next_step(self, user: User, device_secret: str | None = None) -> Step:
        """Return what a login of ``user`` needs after its password, on the browser with this device cookie."""
        if await self.of(user.id):
            device = await self._devices.find(device_secret, user.id) if self.remember_for else None
            return Step.NOTHING if device is not None and device.trusted else Step.PROVE
        return Step.ENROL if self.required_of(user) else Step.NOTHING

    async def verify(self, account_id: str, code: str, address: str) -> bool:
        """Take a code of an app, or a recovery code. Raises TooManyAttempts.

        Attempts are counted for the account and the address, whichever logins they belong to.
        """
        reserved = await self._attempts.reserve(account_id, address)
        digits = code.replace(" ", "")
        if digits.isascii() and digits.isdigit() and len(digits) == DIGITS:
            right = await self.totps.verify(account_id, digits)
        else:
            right = await self._recovery_codes.use(account_id, code)
        if right:
            await self._attempts.forgive(reserved)
        return right

    async def begin_totp(self, user: User, name: str) -> Enrolment:
        """Begin to set up an app; it counts for nothing before `prove_totp`."""
        return await self.totps.begin(user, name)

    async def unproven_totp(self, user: User, totp_id: str) -> Enrolment | None:
        """Return an app that is being set up, and waits for its first code."""
        identifier = uuid_of(totp_id)
        return await self.totps.unproven(user, identifier) if identifier is not None else None

    async def prove_totp(self, user: User, totp_id: str, code: str, name: str | None = None) -> Proven | None:
        """Take an app's first code: it counts from now on. Returns None for a wrong code. Raises NotFound."""
        if (identifier := uuid_of(totp_id)) is None or await self.totps.unproven(user, identifier) is None:
            raise NotFound("no such app is being set up")
        async with self._database.transaction() as connection:
            await connection.fetchrow(_SQL["lock_account"], UUID(user.id))
            proven = await self.totps.prove(user.id, identifier, code.replace(" ", ""), name, connection)
            return await self.added(user, proven, connection) if proven is not None else None

    async def added(self, user: User, name: str, connection: Executor) -> Proven:
        """Do what goes with a new factor, in its transaction: its owner hears of it, trust in no device, codes."""
        await self._notices.factor_changed(user, name, added=True, connection=connection)
        await distrust_devices(connection, user.id)
        row = await connection.fetchrow(_SQL["summary"], UUID(user.id))
        if row is not None and row["recovery_codes"] == 0:
            return Proven(await self._recovery_codes.renew(user.id, connection))
        return Proven()

    async def check_room(self, account_id: str, name: str) -> str:
        """Return the name of a new factor as it is stored. Raises InvalidInput for a bad one, or one too many."""
        name = " ".join(name.split())
        if not 1 <= len(name) <= _NAME_LENGTH or not name.isprintable():
            message = later("must be 1 to %(count)s printable characters")
            raise InvalidInput([FieldError("name", message, {"count": _NAME_LENGTH})])
        if (await self.of(account_id)).totps >= MOST_PER_ACCOUNT:
            raise InvalidInput([FieldError("", later("There are enough apps: remove one first."))])
        return name

    async def remove_totp(self, user: User, totp_id: str) -> str:
        """Remove an app and return its name. Raises NotFound, and InvalidInput for the last one that a role demands."""
        if (identifier := uuid_of(totp_id)) is None:
            raise NotFound("no such app")
        async with self._database.transaction() as connection:
            await connection.fetchrow(_SQL["lock_account"], UUID(user.id))
            name = await connection.fetchval(_SQL["drop_totp"], identifier, UUID(user.id))
            if name is None:
                raise NotFound("no such app")
            await self.removed(user, str(name), connection)
        return str(name)

    async def removed(self, user: User, name: str, connection: Executor) -> None:
        """Do what goes with a removed factor, in its transaction. Raises InvalidInput: the last one is demanded."""
        await self._notices.factor_changed(user, name, added=False, connection=connection)
        row = await connection.fetchrow(_SQL["summary"], UUID(user.id))
        if row is not None and (row["totps"] or row["passkeys"]):
            return
        if self.required_of(user):
            raise InvalidInput([FieldError("", later("One of your roles demands a second factor: add another first."))])
        await connection.execute(_SQL["drop_recovery_codes"], UUID(user.id))
        await distrust_devices(connection, user.id)

    async def renew_recovery_codes(self, account_id: str) -> Sequence[str]:
        """Return new recovery codes; those from before are void. Raises NotFound when there is nothing to recover."""
        async with self._database.transaction() as connection:
            await connection.fetchrow(_SQL["lock_account"], UUID(account_id))
            row = await connection.fetchrow(_SQL["summary"], UUID(account_id))
            if row is None or not (row["totps"] or row["passkeys"]):
                raise NotFound("no second factor")
            return await self._recovery_codes.renew(account_id, connection)

    async def trusted_devices(self, account_id: str) -> int:
        """Return how many browsers do without the second factor now."""
        return await self._devices.trusted_count(account_id)

    async def distrust(self, account_id: str) -> None:
        """Let every browser ask for the second factor again."""
        await self._devices.distrust(account_id)

    async def reset(self, account_id: str) -> int:
        """Take every second factor off an account: its owner has lost them. Returns how many there were."""
        async with self._database.transaction() as connection:
            await connection.fetchrow(_SQL["lock_account"], UUID(account_id))
            row = await connection.fetchrow(_SQL["drop_all"], UUID(account_id))
            await distrust_devices(connection, account_id)
        return int(row["factors"]) if row is not None else 0


def methods_with(first: Sequence[str], second: str) -> tuple[str, ...]:
    """Return the RFC 8176 names of a login by both factors."""
    return tuple(dict.fromkeys((*first, second, MFA)))


def uuid_of(text: str) -> UUID | None:
    """Return an id out of an address or a form; None for what cannot be one."""
    try:
        return UUID(text) if len(text) == 36 else None  # noqa: PLR2004 - the canonical form's length
    except ValueError:
        return None
