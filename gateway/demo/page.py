"""The sample application's pages: strings with escaped values, no templates to find."""

from __future__ import annotations

import json
from html import escape
from typing import Final

from gateway.demo.visitor import Visitor

_SHOWN_CHARACTERS: Final = 80
_STYLE: Final = """
:root { color-scheme: light dark; --ground: #f4f5f7; --card: #fff; --ink: #16181d; --soft: #5b6270;
  --line: #e1e4ea; --accent: #2454d6; --on-accent: #fff; --tint: #e8eefc }
@media (prefers-color-scheme: dark) {
  :root { --ground: #101216; --card: #191c22; --ink: #eceef2; --soft: #a0a8b6;
    --line: #2b303a; --accent: #8fb0ff; --on-accent: #0b1530; --tint: #202b46 } }
* { box-sizing: border-box }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif }
header, main { max-width: 880px; margin: 0 auto; padding: 0 20px }
header { display: flex; flex-wrap: wrap; gap: 0 18px; align-items: center; padding: 16px 20px }
header b { margin-right: auto; font-size: 17px }
a { color: var(--accent) }
header a { text-decoration: none; padding: 10px 0 }
header a:hover { text-decoration: underline }
section { background: var(--card); border: 1px solid var(--line); border-radius: 14px; padding: 24px;
  margin: 0 0 20px }
.who { display: flex; gap: 20px; align-items: center }
.face { flex: none; width: 64px; height: 64px; border-radius: 50%; display: grid; place-items: center;
  background: var(--accent); color: var(--on-accent); font-size: 28px; font-weight: 600;
  text-transform: uppercase }
h1 { margin: 0; font-size: 26px; line-height: 1.25; overflow-wrap: anywhere }
h2 { margin: 0 0 4px; font-size: 18px }
p { margin: 0 0 12px; color: var(--soft) }
section > p:last-child, .who p { margin: 4px 0 0 }
.chip { display: inline-block; background: var(--tint); border-radius: 999px; padding: 2px 12px;
  margin: 8px 6px 0 0; font-size: 14px }
table { width: 100%; border-collapse: collapse; font-size: 14px }
th, td { text-align: left; padding: 8px 12px 8px 0; border-top: 1px solid var(--line); vertical-align: top }
th { font-weight: 500; color: var(--soft); white-space: nowrap }
td, pre, output { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace;
  overflow-wrap: anywhere; font-size: 13px }
pre { margin: 0; white-space: pre-wrap }
.two { display: grid; column-gap: 20px; grid-template-columns: repeat(auto-fit, minmax(280px, 1fr)) }
output { display: block; min-height: 24px; white-space: pre-wrap }
form { display: flex; gap: 8px; margin: 8px 0 12px }
input, button { font: inherit; min-height: 44px; border-radius: 10px; padding: 0 14px }
input { flex: 1; min-width: 0; border: 1px solid var(--soft); background: var(--ground); color: var(--ink) }
button { border: 0; background: var(--accent); color: var(--on-accent); font-weight: 600; cursor: pointer }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px }
@media (max-width: 560px) {
  header b { flex-basis: 100% }
  section { padding: 20px 16px }
  th, td { display: block; padding-right: 0 }
  th { padding-bottom: 0 }
  td { border-top: 0; padding-top: 0 } }
"""

_SCRIPT: Final = """
const clock = document.getElementById('clock')
const events = new EventSource('/events')
events.onmessage = (event) => {
  const moment = JSON.parse(event.data)
  clock.textContent = `${moment.time} UTC, for ${moment.user}`
}
events.onerror = () => { clock.textContent = 'The stream ended. Reload the page to sign in again.' }

const said = document.getElementById('said')
const form = document.getElementById('echo')
const socket = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws`)
socket.onmessage = (event) => { said.textContent = `${event.data}\\n${said.textContent}`.slice(0, 400) }
socket.onclose = () => { said.textContent = 'The connection ended. Reload the page to open it again.' }
form.onsubmit = (event) => {
  event.preventDefault()
  if (socket.readyState === WebSocket.OPEN) socket.send(form.message.value)
  form.message.value = ''
}
"""


def _document(title: str, body: str, script: str = "") -> str:
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<link rel="icon" href="data:,">
<style>{_STYLE}</style>
</head>
<body>
<header>
<b>Sample application</b>
<a href="/">Home</a>
<a href="/admin">Admin</a>
<a href="/public">Public</a>
<a href="/.gateway/sign_out">Sign out</a>
</header>
<main>
{body}
</main>
{f"<script>{script}</script>" if script else ""}
</body>
</html>
"""


def _greeting(visitor: Visitor, sentence: str) -> str:
    chips = "".join(f'<span class="chip">{escape(role)}</span>' for role in visitor.roles)
    return f"""<section class="who">
<div class="face" aria-hidden="true">{escape(visitor.user[:1] or "?")}</div>
<div><h1>Hello, {escape(visitor.user or "stranger")}</h1>
<p>{sentence}</p>{chips}</div>
</section>"""


def _shortened(value: str) -> str:
    """Cut what nobody reads, such as a signed token; the page shows what is inside."""
    return value if len(value) <= _SHOWN_CHARACTERS else f"{value[:_SHOWN_CHARACTERS]}… ({len(value)} characters)"


def _headers(visitor: Visitor) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(_shortened(value))}</td></tr>'
        for name, value in visitor.headers.items()
    )
    return f"""<section><h2>What the gateway told this application</h2>
<p>These fields came with your request. Nobody else can set them: the gateway removes what clients send.</p>
<div class="wide"><table><tbody>{rows}</tbody></table></div></section>"""


def _claims(visitor: Visitor) -> str:
    if not visitor.claims:
        return ""
    return f"""<section><h2>What the signed assertion says</h2>
<p>Any application can verify it with the keys at <code>/.well-known/jwks.json</code>.</p>
<pre>{escape(json.dumps(visitor.claims, indent=2, ensure_ascii=False))}</pre></section>"""


def _elsewhere(host: str) -> str:
    """Offer the same application under its other name, which has a session of its own."""
    name, _, port = host.partition(":")
    other = "localhost" if name == "app.localhost" else "app.localhost"
    url = escape(f"http://{other}:{port}/" if port else f"http://{other}/")
    return f"""<section><h2>Another host, the same sign-in</h2>
<p>This application also answers at <a href="{url}">{url}</a>. You are signed in there without typing a
password, and each host has a cookie of its own.</p></section>"""


_LIVE: Final = """<div class="two">
<section><h2>Event stream</h2><p>Server-sent events pass through as they come.</p>
<output id="clock" aria-live="off">Connecting …</output></section>
<section><h2>WebSocket echo</h2>
<form id="echo"><input name="message" aria-label="Message" placeholder="Say something" autocomplete="off"
required><button>Send</button></form><output id="said" aria-live="polite"></output></section>
</div>"""


def home(visitor: Visitor, host: str) -> str:
    """Return the front page: who is asking and how the application knows."""
    sentence = "This page has no login of its own. The gateway says who you are."
    body = _greeting(visitor, sentence) + _headers(visitor) + _LIVE + _claims(visitor) + _elsewhere(host)
    return _document(f"{visitor.user} - Sample application", body, _SCRIPT)


def admin(visitor: Visitor) -> str:
    """Return the part that only administrators reach; the gateway keeps the others out."""
    sentence = "You are in the admin part. The route requires the role <b>admin</b>; the application checks nothing."
    return _document("Admin part - Sample application", _greeting(visitor, sentence) + _headers(visitor))


def public(visitor: Visitor) -> str:
    """Return the page that needs no sign-in, and so names nobody."""
    sentence = 'Anybody may read this page. <a href="/">The front page</a> needs a sign-in.'
    return _document("Public page - Sample application", _greeting(visitor, sentence) + _headers(visitor))
