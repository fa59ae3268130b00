"""Passwords from a person or a pipe: never from arguments, where others on the machine can read them."""

from __future__ import annotations

import sys

import click


def read_password(*, from_stdin: bool) -> str:
    """Return a password: the first line of standard input, or asked for twice on a terminal."""
    if from_stdin or not sys.stdin.isatty():
        line = sys.stdin.readline()
        if not line.rstrip("\r\n"):
            raise click.UsageError("standard input holds no password")
        return line.rstrip("\r\n")
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return password
