"""What the demo prints once it answers: what to open and what to try."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.demo.people import Person


def announcement(persons: Sequence[Person], port: int) -> str:
    """Return the text for the terminal. It holds the passwords, which are good for this demo only."""
    url = f"http://localhost:{port}"
    rows = "\n".join(
        f"    {person.username:<6}{person.password or '(you changed it)':<18}{', '.join(person.roles)}"
        for person in persons
    )
    ann, bob, _ = persons
    return f"""
  Open  {url}/  and sign in:

{rows}

  ann reaches everything, bob all but the admin part, cleo the public page only: {url}/public
  The same application under another name, with the same sign-in: http://app.localhost:{port}/

  Or ask as a program: without a token (401), with ann's, and for the admin part with bob's (403):

    curl -i {url}/api/whoami
    curl -H 'Authorization: Bearer {ann.token}' {url}/api/whoami
    curl -i -H 'Authorization: Bearer {bob.token}' {url}/admin

  Ctrl-C ends everything; passwords and data stay for the next run.
"""
