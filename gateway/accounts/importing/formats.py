"""Files that other programs keep accounts in: Apache's htpasswd, CSV, and what Django's ``dumpdata`` writes.

Every reader yields what it finds with the line that it stands in; what is wrong is said of all lines at once.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

_FLAGS: Final = {"": True, "true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_COLUMNS: Final = frozenset({"username", "email", "name", "roles", "password_hash", "is_active", "is_verified"})
_NEEDED: Final = ("username", "email")
_UNUSABLE: Final = "!"  # how Django marks an account without a password


@dataclass(frozen=True, slots=True)
class Record:
    """One account as a file has it. ``roles`` None: those of new accounts."""

    line: int
    username: str
    email: str
    name: str = ""
    roles: Sequence[str] | None = None
    password_hash: str | None = field(default=None, repr=False)
    is_active: bool = True
    is_verified: bool = True


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with a line; 0 stands for the file itself."""

    line: int
    message: str


Found = Record | Trouble
Reader = Callable[[str, str], Iterator[Found]]


def read_htpasswd(text: str, domain: str) -> Iterator[Found]:
    """Read ``name:hash`` lines. They hold no addresses: each is the name at ``domain``."""
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, stored = line.partition(":")
        if not colon or not stored:
            yield Trouble(number, "is not of the form name:hash")
        elif "@" not in name and not domain:
            yield Trouble(number, "has no e-mail address: give --email-domain")
        else:
            yield Record(number, name, name if "@" in name else f"{name}@{domain}", password_hash=stored.strip())


def read_csv(text: str, domain: str) -> Iterator[Found]:
    """Read a table whose first line names its columns; roles stand with semicolons between them."""
    rows = csv.reader(io.StringIO(text), strict=True)
    try:
        columns = [column.strip().lower() for column in next(rows, [])]
        if problem := _columns(columns, domain):
            yield Trouble(1, problem)
            return
        for row in rows:
            if row:
                yield _of_row(rows.line_num, dict(zip(columns, row, strict=False)), len(row) == len(columns), domain)
    except csv.Error as error:
        yield Trouble(rows.line_num, f"is not CSV: {error}")


def read_django(text: str, domain: str) -> Iterator[Found]:
    """Read the JSON of ``manage.py dumpdata auth``: users, with their groups as roles."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        yield Trouble(getattr(error, "lineno", 0), "is not JSON")
        return
    if not isinstance(document, list):
        yield Trouble(0, "must be a list, as dumpdata writes it")
        return
    entries = [entry for entry in document if isinstance(entry, dict) and isinstance(entry.get("fields"), dict)]
    groups = {
        entry.get("pk"): str(entry["fields"].get("name", "")) for entry in entries if entry.get("model") == "auth.group"
    }
    users = [entry for entry in entries if str(entry.get("model", "")).endswith(".user")]
    if not users:
        yield Trouble(0, "holds no users: dump auth.user")
    for number, entry in enumerate(users, 1):
        yield _of_django(number, entry["fields"], groups, domain)


READERS: Final[Mapping[str, Reader]] = {"htpasswd": read_htpasswd, "csv": read_csv, "django": read_django}


def _columns(columns: Sequence[str], domain: str) -> str:
    unknown = sorted(set(columns) - _COLUMNS)
    if unknown:
        return f"names columns that are not known: {', '.join(unknown)}; known are {', '.join(sorted(_COLUMNS))}"
    if len(set(columns)) < len(columns):
        return "names a column twice"
    missing = [name for name in _NEEDED if name not in columns and not (name == "email" and domain)]
    return f"lacks the column {missing[0]}" if missing else ""


def _of_row(line: int, row: Mapping[str, str], whole: bool, domain: str) -> Found:
    if not whole:
        return Trouble(line, "has more or fewer fields than the first line")
    flags = {name: _FLAGS.get(row.get(name, "").strip().lower()) for name in ("is_active", "is_verified")}
    for name, value in flags.items():
        if value is None:
            return Trouble(line, f"{name} must be true or false")
    roles = [role.strip() for role in row["roles"].split(";") if role.strip()] if row.get("roles", "").strip() else None
    username = row["username"].strip()
    return Record(
        line,
        username,
        row.get("email", "").strip() or f"{username}@{domain}",
        row.get("name", "").strip(),
        roles,
        row.get("password_hash", "").strip() or None,
        bool(flags["is_active"]),
        bool(flags["is_verified"]),
    )


def _of_django(number: int, fields: Mapping[str, Any], groups: Mapping[Any, str], domain: str) -> Found:
    username, stored = str(fields.get("username") or ""), str(fields.get("password") or "")
    email = str(fields.get("email") or "") or (f"{username}@{domain}" if domain else "")
    if not email:
        return Trouble(number, f"the user {username!r} has no e-mail address: give --email-domain")
    held = fields.get("groups") or []
    # Groups stand there by number, or with --natural-foreign as a list of their name.
    named = [each[0] if isinstance(each, list) and each else groups.get(each, "") for each in held]
    roles = [*(str(name) for name in named if name), *(["admin"] if fields.get("is_superuser") else [])]
    return Record(
        number,
        username,
        email,
        " ".join(part for part in (str(fields.get("first_name") or ""), str(fields.get("last_name") or "")) if part),
        roles or None,
        None if not stored or stored.startswith(_UNUSABLE) else stored,
        bool(fields.get("is_active", True)),
        # Django does not say whether anybody has confirmed the address.
        is_verified=False,
    )
