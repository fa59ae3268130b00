"""The command's root: help and completion without imports, errors as one line, stable exit codes."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from gateway.cli import COMMANDS, main
from gateway.errors import ConfigError, ConfigProblem, GatewayError, NotFound, StartupError, StorageUnavailable

GATEWAY = Path(sys.executable).with_name("gateway")


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")} | environ
    return subprocess.run([GATEWAY, *arguments], capture_output=True, text=True, env=environ, timeout=60, check=False)


def ended(*arguments: str) -> object:
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    return caught.value.code


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_is_there_and_explains_itself(name: str) -> None:
    module = importlib.import_module(f"gateway.cli.{COMMANDS[name][0]}")
    command = module.command
    assert isinstance(command, click.Command)
    assert command.name == name
    assert command.help


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("--help") == 0
    printed = capsys.readouterr().out
    for name, (_, purpose) in COMMANDS.items():
        assert f"{name} " in printed
        assert purpose in printed


def test_help_and_version_import_no_more_than_they_need() -> None:
    heavy = "aiohttp", "pydantic", "asyncpg", "yaml", "jinja2"
    code = f"""
import sys
from gateway.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    print([name for name in {heavy} if name in sys.modules], file=sys.stderr)
"""
    for arguments in (["--help"], ["version"], ["completion", "bash"]):
        ran = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
        assert ran.stderr == "[]\n"


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("gateway he", {"healthcheck"}),
        ("gateway ", set(COMMANDS)),
        ("gateway config ", {"check", "show", "schema", "init"}),
        ("gateway config check --out", {"--output"}),
        ("gateway config check --output ", {"text", "json"}),
    ],
)
def test_shell_completion(words: str, offered: set[str]) -> None:
    position = len(words.split()) - (not words.endswith(" "))
    ran = run(COMP_WORDS=words, COMP_CWORD=str(position), _GATEWAY_COMPLETE="bash_complete")
    assert {line.partition(",")[2] for line in ran.stdout.split()} == offered
    assert ran.stderr == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script(shell: str) -> None:
    ran = run("completion", shell)
    assert ran.returncode == 0
    assert f"_GATEWAY_COMPLETE={shell}_complete" in ran.stdout


def test_bash_takes_the_completion_script() -> None:
    script = f'eval "$({GATEWAY} completion bash)"; complete -p gateway'
    ran = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == "complete -o nosort -F _gateway_completion gateway\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fly"], "error: No such command 'fly'; see: gateway --help\n"),
        (["--fly"], "error: No such option '--fly'; see: gateway --help\n"),
        (["config", "check", "--fly"], "error: No such option '--fly'; see: gateway config check --help\n"),
        (["completion", "tcsh"], "'tcsh' is not one of 'bash', 'zsh', 'fish'; see: gateway completion --help\n"),
        (["completion"], "error: Missing argument"),
        (["config", "check", "--output", "xml"], "'xml' is not one of 'text', 'json'; see: gateway config check"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert ended(*arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "code", "printed"),
    [
        (ConfigError([ConfigProblem("is bad", "a.b", "f.yaml", 3, 4)]), 2, "f.yaml:3:4: a.b: is bad\n"),
        (
            ConfigError([ConfigProblem("is bad", "a.b", "f"), ConfigProblem("x")]),
            2,
            "error: f: a.b: is bad\nerror: x\n",
        ),
        (StartupError("port in use"), 1, "error: port in use\n"),
        (StorageUnavailable("no answer\n  at all"), 1, "error: no answer at all\n"),
        (NotFound("nobody"), 1, "error: nobody\n"),
        (GatewayError("anything"), 1, "error: anything\n"),
        (KeyboardInterrupt(), 130, "\n"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_error_becomes_its_exit_code(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, printed: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("gateway.config.load.load_settings", fail)
    assert ended("config", "show") == code
    assert capsys.readouterr().err == printed


def test_innermost_configuration_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inner, outer = tmp_path / "inner.yaml", tmp_path / "outer.yaml"
    inner.write_text("branding: {name: Inner}\n")
    outer.write_text("branding: {name: Outer}\n")
    for arguments, name in (([], "Outer"), (["-c", str(inner)], "Inner")):
        assert ended("-c", str(outer), "config", "show", *arguments) == 0
        assert f" {name} " in capsys.readouterr().out


def test_reader_that_leaves_early_is_no_traceback() -> None:
    ran = subprocess.run(
        f"{GATEWAY} config schema | head -1", shell=True, capture_output=True, text=True, timeout=60, check=True
    )
    assert (ran.stdout, ran.stderr) == ("{\n", "")
