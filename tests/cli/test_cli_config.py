"""``gateway config`` checks, shows, describes and begins a configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import main

ROOT = Path(__file__).resolve().parents[2]
KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


class Ran:
    """A command that ended: ``code``, ``out``, ``err``."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> None:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        self.code = ended.value.code
        self.out, self.err = capsys.readouterr()


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("GATEWAY_CONFIG", "GATEWAY_BRANDING__NAME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "gateway.yaml"


def test_good_configuration(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("routes:\n  - {upstream: http://a}\n")
    for arguments in (["config", "check"], ["-c", str(file), "config", "check"], ["config", "check", "-c", str(file)]):
        ran = Ran(capsys, *arguments)
        assert (ran.code, ran.err) == (0, "")
        assert ran.out.endswith("gateway.yaml: good, 1 route\n")


def test_every_problem_is_a_line_that_editors_jump_to(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("routes:\n  - {upstream: a}\n  - {upstrem: b}\n")
    ran = Ran(capsys, "config", "check", "-c", str(file))
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        f"{file}:2:6: routes[0].upstream: no upstream is called 'a'; write its name or a URL\n"
        f"{file}:3:5: routes[1].upstream: is required, unless access is deny, or redirect or respond is given\n"
        f"{file}:3:6: routes[1].upstrem: is an unknown key; did you mean `upstream`?\n"
    )


def test_problems_for_programs(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("server: {listn: x}\n")
    ran = Ran(capsys, "config", "check", "--output", "json")
    assert (ran.code, ran.err) == (2, "")
    assert json.loads(ran.out) == {
        "valid": False,
        "warnings": [],
        "problems": [
            {
                "file": "gateway.yaml",
                "line": 1,
                "column": 10,
                "key": "server.listn",
                "message": "is an unknown key; did you mean `listen`?",
            }
        ],
    }


def test_warning_is_said_and_is_no_failure(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("passwords: {bcrypt_cost: 4}\nroutes: [{upstream: http://a}]\n")
    ran = Ran(capsys, "config", "check")
    assert ran.code == 0
    assert ran.err == (
        "gateway.yaml:1:13: passwords.bcrypt_cost: warning: makes stolen hashes cheap to guess: 12 is a good value\n"
    )
    warnings = json.loads(Ran(capsys, "config", "check", "--output", "json").out)["warnings"]
    assert [warning["key"] for warning in warnings] == ["passwords.bcrypt_cost"]


def test_configuration_without_routes_is_pointed_at_init(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran = Ran(capsys, "config", "check")
    assert ran.code == 0
    assert "gateway config init" in ran.err


def test_missing_file_is_one_line(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["config", "check"], ["config", "show"], ["serve"], ["db", "status"], ["healthcheck"]):
        ran = Ran(capsys, *command, "-c", str(file))
        assert (ran.code, ran.out) == (2, "")
        assert ran.err == f"error: {file}: cannot be read: No such file or directory\n"


def test_serve_reports_what_check_reports(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("routes:\n  - {upstream: http://a, identity: {headers: {X-A: '{x}'}}, name: 5}\n")
    checked, served = Ran(capsys, "config", "check"), Ran(capsys, "serve")
    assert (served.code, served.err) == (2, checked.err)
    assert served.err.count("gateway.yaml:2:") == 2


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, tuple[Any, str]]:
    rows = json.loads(Ran(capsys, "config", "show", "--output", "json", *arguments).out)
    return {row["key"]: (row["value"], row["origin"]) for row in rows}


def test_show_tells_values_and_origins(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text("sessions:\n  lifetime: 36h\nroutes:\n  - {upstream: http://a, match: {host: A.example}}\n")
    monkeypatch.setenv("GATEWAY_BRANDING__NAME", "Wiki")
    values = shown(capsys)
    assert values["sessions.lifetime"] == ("36h", "gateway.yaml:2")
    assert values["sessions.idle_timeout"] == ("12h", "default")
    assert values["branding.name"] == ("Wiki", "$GATEWAY_BRANDING__NAME")
    assert values["routes[0].match.host"] == (["a.example"], "gateway.yaml:4")
    assert values["routes[0].access"] == ("required", "default")
    assert values["server.limits.body_bytes"] == ("100MiB", "default")
    assert values["data_dir"] == (str(file.parent / "var"), "default")
    text = Ran(capsys, "config", "show").out
    assert "sessions.lifetime" in text
    assert "gateway.yaml:2" in text


def test_show_masks_secrets(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (file.parent / "url").write_text("postgresql://u:hunter2@h/db")
    file.write_text(f"secret_key: {KEY}\ndatabase: {{url_file: url}}\n")
    values = shown(capsys)
    assert values["secret_key"] == ("**********", "gateway.yaml:1")
    assert values["database.url"] == ("**********", f"{file.parent}/url (gateway.yaml:2)")
    text = Ran(capsys, "config", "show").out
    assert "hunter2" not in text
    assert KEY not in text


def test_schema_is_the_committed_one(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    committed = (ROOT / "config/gateway.schema.json").read_text(encoding="utf-8")
    assert Ran(capsys, "config", "schema").out == committed


def test_init_prints_what_check_finds_good(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = Ran(capsys, "config", "init")
    assert (printed.code, printed.err) == (0, "")
    assert list(file.parent.iterdir()) == []
    file.write_text(printed.out)
    assert Ran(capsys, "config", "check").err == ""


def test_init_writes_and_never_overwrites(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = Ran(capsys, "config", "init").out
    assert Ran(capsys, "config", "init", "-o", "gateway.yaml").code == 0
    assert file.read_text() == printed
    file.write_text("mine")
    again = Ran(capsys, "config", "init", "-o", "gateway.yaml")
    assert (again.code, again.out) == (1, "")
    assert again.err == "error: gateway.yaml exists already: choose another name with -o\n"
    assert file.read_text() == "mine"
    dangling = file.parent / "link.yaml"
    dangling.symlink_to("elsewhere.yaml")
    assert Ran(capsys, "config", "init", "-o", str(dangling)).code == 1
    assert not (file.parent / "elsewhere.yaml").exists()


def test_init_into_a_folder_that_is_missing_is_one_line(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran = Ran(capsys, "config", "init", "-o", "no/gateway.yaml")
    assert (ran.code, ran.err) == (1, "error: cannot write no/gateway.yaml: No such file or directory\n")
