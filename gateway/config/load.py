"""Find the configuration, read it, and return settings or every problem at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr, ValidationError

from gateway.config.advice import advise
from gateway.config.authz import check_authz_key
from gateway.config.certificates import certificate_findings
from gateway.config.complaints import findings_of
from gateway.config.crosscheck import crosscheck
from gateway.config.document import Document, Finding, KeyPath, key_text
from gateway.config.environment import override
from gateway.config.issuer_check import check_client_secret, with_secrets
from gateway.config.mail import check_mail_url
from gateway.config.rules import compile_rules
from gateway.config.secrets import check_database_url, decode_key, read_secret
from gateway.config.settings import Settings
from gateway.config.yaml_reader import read_document
from gateway.errors import ConfigError, ConfigProblem

SEARCHED: Final = (Path("gateway.yaml"), Path("/etc/gateway/gateway.yaml"))
_MAX_BYTES: Final = 16 * 1024 * 1024
# Taking a wrong key out may leave its section incomplete, and so on; sections do not nest deeper than this.
_ROUNDS: Final = 6


class Origins(Mapping[str, str]):
    """Where each key was given, by its text; worked out when somebody asks."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._texts: dict[str, str] | None = None

    def _known(self) -> dict[str, str]:
        if self._texts is None:
            self._texts = {key_text(path): self._document.origin(path) for path in self._document.places if path}
        return self._texts

    def __getitem__(self, key: str) -> str:
        return self._known()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known())

    def __len__(self) -> int:
        return len(self._known())


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, the file they came from (None: there is none), where each key was given, and what to look at again."""

    settings: Settings
    path: Path | None
    origins: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[ConfigProblem, ...] = ()


def find_config(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    """Return the file to read: ``-c``, ``$GATEWAY_CONFIG``, then the searched places. None: there is none."""
    if path is not None:
        return path
    if named := environ.get("GATEWAY_CONFIG"):
        return Path(named)
    return next((place for place in SEARCHED if place.is_file()), None)


def load_settings(path: Path | None = None, environ: Mapping[str, str] | None = None, *, rules: bool = False) -> Loaded:
    """Read the configuration. With ``rules``, compile the routes as well, for the problems that this shows.

    Raises ConfigError that carries every problem, in file order.
    """
    environ = os.environ if environ is None else environ
    found = find_config(path, environ)
    document = _read(found) if found else Document()
    return settings_of(document, found, environ, rules=rules)


def settings_of(document: Document, path: Path | None, environ: Mapping[str, str], *, rules: bool = False) -> Loaded:
    """Turn a read document into settings. Raises ConfigError."""
    override(document, environ)
    settings, wrong = _validated(document, path.parent.absolute() if path else Path.cwd())
    if settings is None:
        raise ConfigError(_in_order(document.problems))
    _report(document, crosscheck(settings), wrong)
    settings, findings = _with_secrets(settings)
    _report(document, findings, wrong)
    if rules:
        _report(document, _rule_findings(settings, document), wrong)
        _report(document, certificate_findings(settings.server), wrong)
    if document.problems:
        raise ConfigError(_in_order(document.problems))
    warnings = [document.problem(finding.path, finding.message) for finding in advise(settings)]
    return Loaded(settings, path, Origins(document), tuple(_in_order(warnings)))


def _read(path: Path) -> Document:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        text = content.decode()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigError([ConfigProblem(f"cannot be read: {reason}", file=str(path))]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([ConfigProblem(f"is not UTF-8 (byte {error.start})", file=str(path))]) from error
    except ValueError as error:  # a NUL in the name
        raise ConfigError([ConfigProblem("is not a file's name", file=repr(str(path)))]) from error
    if len(content) > _MAX_BYTES:
        raise ConfigError([ConfigProblem("is larger than 16 MiB", file=str(path))])
    return read_document(text, str(path))


def _validated(document: Document, base: Path) -> tuple[Settings | None, list[KeyPath]]:
    """Return settings of what is valid, and the keys that are not: the rest is to be checked all the same."""
    values: Any = document.values
    wrong: list[KeyPath] = []
    for _ in range(_ROUNDS):
        try:
            return Settings.model_validate(values, context={"base": base}), wrong
        except ValidationError as error:
            findings = list(findings_of(error, values))
        if not wrong:
            _report(document, findings, ())
        for finding in findings:
            wrong.append(finding.path)
            values = _without(values, finding.path, ())
    return None, wrong


def _without(values: Any, path: KeyPath, above: KeyPath) -> Any:
    """Return a copy of ``values`` without the key at ``path``. An item takes its list along; a route, its place."""
    if not path:
        return {"access": "deny"} if above[:1] == ("routes",) and len(above) == 2 else None  # noqa: PLR2004
    part = path[0]
    if isinstance(values, dict) and part in values:
        inner = _without(values[part], path[1:], (*above, part))
        return {
            key: inner if key == part else value for key, value in values.items() if key != part or inner is not None
        }
    if isinstance(values, list) and isinstance(part, int) and part < len(values):
        inner = _without(values[part], path[1:], (*above, part))
        return None if inner is None else [*values[:part], inner, *values[part + 1 :]]
    if isinstance(values, dict) and len(path) == 1:
        return _without(values, (), above)  # a required key is missing: what should hold it goes
    return values  # it went with its list


def _report(document: Document, findings: Iterable[Finding], wrong: Iterable[KeyPath]) -> None:
    """Add findings as problems, but for those that a wrong key explains."""
    wrong = tuple(wrong)
    for finding in findings:
        if not any(_related(path, bad) for path in (finding.path, *finding.reads) for bad in wrong):
            document.problems.append(document.problem(finding.path, finding.message))


def _related(one: KeyPath, other: KeyPath) -> bool:
    length = min(len(one), len(other))
    return one[:length] == other[:length]


def _with_secrets(settings: Settings) -> tuple[Settings, list[Finding]]:
    """Return settings with the secrets that stand in files, and what is wrong with any.

    The master key is checked here, where its place is known, and read again by those who need it.
    """
    findings: list[Finding] = []
    database = settings.database
    _secret(("secret_key",), settings.secret_key, decode_key, findings)
    _secret(("secret_key_file",), settings.secret_key_file, decode_key, findings)
    _secret(("database", "url"), database.url, check_database_url, findings)
    url = _secret(("database", "url_file"), database.url_file, check_database_url, findings)
    if url is not None:
        settings = settings.model_copy(update={"database": database.model_copy(update={"url": SecretStr(url)})})
    mail = settings.mail
    _secret(("mail", "url"), mail.url, check_mail_url, findings)
    url = _secret(("mail", "url_file"), mail.url_file, check_mail_url, findings)
    if url is not None:
        settings = settings.model_copy(update={"mail": mail.model_copy(update={"url": SecretStr(url)})})
    authz = settings.authz
    _secret(("authz", "key"), authz.key, check_authz_key, findings)
    key = _secret(("authz", "key_file"), authz.key_file, check_authz_key, findings)
    if key is not None:
        settings = settings.model_copy(update={"authz": authz.model_copy(update={"key": SecretStr(key)})})
    for name, provider in settings.providers.items():
        _secret(("providers", name, "client_secret"), provider.client_secret, str, findings)
        _secret(("providers", name, "client_secret_file"), provider.client_secret_file, str, findings)
    return _with_issuers_secrets(settings, findings), findings


def _with_issuers_secrets(settings: Settings, findings: list[Finding]) -> Settings:
    read: dict[int, str] = {}
    for index, issuer in enumerate(settings.trusted_issuers):
        asked = issuer.introspection
        if asked is None:
            continue
        path: KeyPath = ("trusted_issuers", index, "introspection")
        _secret((*path, "client_secret"), asked.client_secret, check_client_secret, findings)
        text = _secret((*path, "client_secret_file"), asked.client_secret_file, check_client_secret, findings)
        if text is not None:
            read[index] = text
    return settings.model_copy(update={"trusted_issuers": with_secrets(settings.trusted_issuers, read)})


def _secret(
    path: KeyPath, given: SecretStr | Path | None, check: Callable[[str], object], findings: list[Finding]
) -> str | None:
    """Return the secret that is given, in a file or not; None, and a finding, when ``check`` does not take it."""
    if given is None:
        return None
    try:
        text = read_secret(given) if isinstance(given, Path) else given.get_secret_value()
        check(text)
    except ValueError as error:
        findings.append(Finding(path, str(error)))
        return None
    return text


def _rule_findings(settings: Settings, document: Document) -> Iterator[Finding]:
    try:
        compile_rules(settings)
    except ConfigError as error:
        paths = {key_text(path): path for path in document.places}
        for problem in error.problems:
            yield Finding(_path_of(problem.key, paths), problem.message)


def _path_of(key: str, paths: Mapping[str, KeyPath]) -> KeyPath:
    """Return the path of a key's text, or of the nearest around it that was given."""
    while key and key not in paths:
        key = key[: max(key.rfind("."), key.rfind("["), 0)]
    return paths.get(key, ())


def _in_order(problems: Iterable[ConfigProblem]) -> list[ConfigProblem]:
    return sorted(dict.fromkeys(problems), key=lambda each: (each.line, each.column, each.key))
