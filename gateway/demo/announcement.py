"""What the demo prints once it answers: what to open and what to try."""

from __future__ import annotations

from gateway.demo.people import People


def announcement(people: People, port: int, sample_port: int) -> str:
    """Return the text for the terminal. It holds the passwords, which are good for this demo only."""
    url = f"http://localhost:{port}"
    rows = "\n".join(
        f"    {person.username:<6}{person.password or '(you changed it)':<18}{', '.join(person.roles)}"
        for person in people.persons
    )
    return f"""
  Open  {url}/  and sign in:

{rows}

  ann reaches everything, bob is kept out of the admin part, and cleo of all but the public page.
  The same application under another name: http://app.localhost:{port}/
  Public page: {url}/public

  Or ask as a program, with an API token of ann:

    curl -i {url}/api/whoami
    curl -H 'Authorization: Bearer {people.token}' {url}/api/whoami

  The sample application itself listens at http://127.0.0.1:{sample_port}/, and knows nobody there.
  Ctrl-C ends everything; passwords and data stay for the next run.
"""
