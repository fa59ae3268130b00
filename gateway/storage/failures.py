"""The one boundary where asyncpg's exceptions become ours.

Only the SQLSTATE goes into a message: PostgreSQL's own text and DETAIL quote the values of rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from gateway.errors import StorageError, StorageUnavailable, UniqueConflict

# Classes of SQLSTATE after which the same statement may succeed on another try or another server.
_TRANSIENT_CLASSES = (
    "08",  # connection exception
    "28",  # the password was changed under a running process
    "53",  # insufficient resources, too many connections
    "57",  # operator intervention: shutdown, crash recovery, cancelled by a timeout
    "58",  # system error
    "40",  # deadlock, serialization failure
)
_READ_ONLY = "25006"  # the primary became a standby under us


@contextmanager
def translated() -> Iterator[None]:
    """Turn what asyncpg, the socket or a timeout raises into a `StorageError`.

    Raises `UniqueConflict` for a duplicate key, `StorageUnavailable` for what may pass by itself, and a plain
    `StorageError` for a statement or value that PostgreSQL refuses.
    """
    try:
        yield
    except asyncpg.UniqueViolationError as error:
        raise UniqueConflict(error.constraint_name or "") from error
    except asyncpg.PostgresError as error:
        sqlstate = error.sqlstate or ""
        if sqlstate.startswith(_TRANSIENT_CLASSES) or sqlstate == _READ_ONLY:
            raise StorageUnavailable(f"PostgreSQL cannot serve now (SQLSTATE {sqlstate})") from error
        raise StorageError(f"PostgreSQL refused the statement (SQLSTATE {sqlstate})") from error
    except asyncpg.DataError as error:
        raise StorageError("a value cannot be sent to PostgreSQL") from error
    except (asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        raise StorageUnavailable("the connection to PostgreSQL is not usable") from error
    except TimeoutError as error:
        raise StorageUnavailable("PostgreSQL did not answer in time") from error
    except OSError as error:
        raise StorageUnavailable("PostgreSQL cannot be reached") from error
