"""Passwords from a person or a pipe: never from arguments, where others on the machine can read them."""

from __future__ import annotations

import sys

import click


def read_password(*, from_stdin: bool) -> str:
    """Return a password: the first line of standard input, or asked for twice on a terminal. Raises UsageError."""
    if from_stdin or not sys.stdin.isatty():
        return _first_line()
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return password


def _first_line() -> str:
    line = sys.stdin.buffer.readline().rstrip(b"\r\n")
    if not line:
        raise click.UsageError("standard input holds no password")
    try:
        return line.decode()
    except UnicodeDecodeError:
        # Read leniently it would be stored as something that no form can send.
        raise click.UsageError("the password on standard input is not UTF-8") from None
