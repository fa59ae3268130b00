"""Passkeys: one answer to one question in one browser, and nothing that differs in anything."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.accounts.factors.ceremony import LONGEST_RESPONSE, RelyingParty, read_response
from gateway.accounts.factors.challenges import LIFETIME, Challenges, Purpose
from gateway.accounts.factors.passkey import MOST_PER_ACCOUNT, Passkey
from gateway.accounts.factors.passkeys import Passkeys
from gateway.accounts.user import User
from gateway.errors import InvalidInput, NotFound, PasskeyRefused
from gateway.tokens.master_key import MasterKey
from tests.accounts.conftest import Office
from tests.authenticator import BACKED_UP, ELIGIBLE, PRESENT, VERIFIED, SoftPasskey, Wrong, b64, unb64

PARTY = RelyingParty("localhost", "http://localhost:8080", "Example")
HERE, ELSEWHERE = "h" * 43, "e" * 43


@dataclass
class Keyring:
    """Passkeys over the office's database, with what a test does to them."""

    office: Office
    passkeys: Passkeys

    async def register(self, user: User, key: SoftPasskey, name: str = "Laptop", wrong: Wrong | None = None) -> Passkey:
        options = await self.passkeys.registration_options(user, HERE)
        return await self.take(user, key.create(options, wrong), name)

    async def take(self, user: User, answer: object, name: str = "Laptop", binding: str = HERE) -> Passkey:
        made = await self.passkeys.verify_new(user.id, binding, json.dumps(answer))
        async with self.office.database.transaction() as connection:
            return await self.passkeys.add(connection, user.id, name, made)

    async def remove(self, user: User, passkey_id: UUID) -> None:
        async with self.office.database.transaction() as connection:
            await self.passkeys.remove(connection, user.id, passkey_id)


def keys_of(office: Office, seed: bytes = b"m") -> Passkeys:
    challenges = Challenges(MasterKey(seed * 32), office.clock)
    return Passkeys(office.database, challenges, PARTY, office.clock)


@pytest.fixture
def ring(office: Office) -> Keyring:
    return Keyring(office, keys_of(office))


def soft(**options: Any) -> SoftPasskey:
    return SoftPasskey(PARTY.origin, **options)


def refused(reason: str) -> Any:
    return pytest.raises(PasskeyRefused, match=f"^{reason}$")


@pytest.mark.parametrize("algorithm", [-8, -7, -257], ids=["EdDSA", "ES256", "RS256"])
async def test_a_passkey_signs_its_owner_in(ring: Keyring, algorithm: int) -> None:
    ann = await ring.office.add("ann")
    key = soft(algorithm=algorithm)
    made = await ring.register(ann, key)
    ring.office.clock.advance(60)
    answer = key.get(ring.passkeys.login_options(HERE))
    proof = await ring.passkeys.login(HERE, json.dumps(answer))
    assert (proof.account_id, proof.passkey_id, proof.method, proof.user_verified) == (ann.id, made.id, "hwk", True)
    (listed,) = await ring.passkeys.list_for(ann.id)
    assert (listed.name, listed.last_used_at) == ("Laptop", ring.office.clock.now())
    assert listed.transports == ("internal",)


async def test_options_name_the_portal_and_ask_for_what_is_needed(ring: Keyring) -> None:
    ann = await ring.office.add("ann")
    key = soft()
    await ring.register(ann, key)
    made = await ring.passkeys.registration_options(ann, HERE)
    assert made["rp"] == {"id": "localhost", "name": "Example"}
    assert unb64(made["user"]["id"]) == UUID(ann.id).bytes
    assert [each["alg"] for each in made["pubKeyCredParams"]] == [-8, -7, -257]
    assert [each["id"] for each in made["excludeCredentials"]] == [b64(key.credential_id)]
    assert made["attestation"] == "none"
    asked = ring.passkeys.login_options(HERE)
    assert (asked["rpId"], asked["userVerification"], asked["allowCredentials"]) == ("localhost", "required", [])
    second = await ring.passkeys.confirmation_options(ann.id, HERE)
    assert second["userVerification"] == "discouraged"
    assert [each["id"] for each in second["allowCredentials"]] == [b64(key.credential_id)]


async def test_a_synced_passkey_is_no_hardware_key(ring: Keyring) -> None:
    ann = await ring.office.add("ann")
    key = soft(flags=PRESENT | VERIFIED | ELIGIBLE | BACKED_UP)
    made = await ring.register(ann, key)
    assert made.is_synced
    proof = await ring.passkeys.login(HERE, json.dumps(key.get(ring.passkeys.login_options(HERE))))
    assert proof.method == "pop"


WRONG_LOGINS = [
    pytest.param(Wrong(origin="http://evil.test"), "response", id="another origin"),
    pytest.param(Wrong(origin="http://localhost:8081"), "response", id="another port"),
    pytest.param(Wrong(origin="https://localhost:8080"), "response", id="another scheme"),
    pytest.param(Wrong(origin="http://localhost:8080/"), "response", id="origin with a path"),
    pytest.param(Wrong(rp_id="evil.test"), "response", id="another relying party"),
    pytest.param(Wrong(rp_id="host"), "response", id="a shorter relying party"),
    pytest.param(Wrong(kind="webauthn.create"), "response", id="the answer to something else"),
    pytest.param(Wrong(flags=PRESENT), "response", id="nobody verified"),
    pytest.param(Wrong(flags=VERIFIED), "response", id="nobody present"),
    pytest.param(Wrong(flags=PRESENT | VERIFIED | BACKED_UP), "response", id="backed up what cannot be"),
    pytest.param(Wrong(flags=PRESENT | VERIFIED | ELIGIBLE), "another_key", id="became one that is shared"),
    pytest.param(Wrong(tampered=True), "response", id="tampered signature"),
    pytest.param(Wrong(challenge=b"c" * 56), "challenge", id="a made-up challenge"),
    pytest.param(Wrong(challenge=b""), "challenge", id="no challenge"),
    pytest.param(Wrong(client_data={"crossOrigin": True}), "framed", id="in another's frame"),
    pytest.param(Wrong(client_data={"topOrigin": "http://evil.test"}), "framed", id="below another's page"),
    pytest.param(Wrong(handle=b"u" * 16), "another_account", id="another's handle"),
    pytest.param(Wrong(no_handle=True), "nobody_named", id="no handle"),
]


@pytest.mark.parametrize(("wrong", "reason"), WRONG_LOGINS)
async def test_an_answer_that_is_wrong_in_one_thing_signs_nobody_in(ring: Keyring, wrong: Wrong, reason: str) -> None:
    key = soft()
    await ring.register(await ring.office.add("ann"), key)
    with refused(reason):
        await ring.passkeys.login(HERE, json.dumps(key.get(ring.passkeys.login_options(HERE), wrong)))
    assert (await ring.passkeys.login(HERE, json.dumps(key.get(ring.passkeys.login_options(HERE))))).user_verified


WRONG_REGISTRATIONS = [
    pytest.param(Wrong(origin="http://evil.test"), "response", id="another origin"),
    pytest.param(Wrong(rp_id="evil.test"), "response", id="another relying party"),
    pytest.param(Wrong(kind="webauthn.get"), "response", id="the answer to something else"),
    pytest.param(Wrong(flags=VERIFIED), "response", id="nobody present"),
    pytest.param(Wrong(challenge=b"c" * 56), "challenge", id="a made-up challenge"),
    pytest.param(Wrong(client_data={"crossOrigin": True}), "framed", id="in another's frame"),
]


@pytest.mark.parametrize(("wrong", "reason"), WRONG_REGISTRATIONS)
async def test_a_new_passkey_that_is_wrong_in_one_thing_is_not_kept(ring: Keyring, wrong: Wrong, reason: str) -> None:
    ann = await ring.office.add("ann")
    with refused(reason):
        await ring.register(ann, soft(), wrong=wrong)
    assert await ring.passkeys.list_for(ann.id) == []
    assert (await ring.register(ann, soft())).name == "Laptop"


async def test_an_algorithm_that_was_not_offered_is_refused(ring: Keyring) -> None:
    key = soft()
    key.algorithm = -35
    with refused("response"):
        await ring.register(await ring.office.add("ann"), key)


async def test_a_challenge_is_good_once(ring: Keyring) -> None:
    key = soft()
    ann = await ring.office.add("ann")
    options = await ring.passkeys.registration_options(ann, HERE)
    await ring.take(ann, key.create(options))
    with refused("challenge_used"):
        await ring.take(ann, soft().create(options))
    asked = ring.passkeys.login_options(HERE)
    await ring.passkeys.login(HERE, json.dumps(key.get(asked)))
    with refused("challenge_used"):
        await ring.passkeys.login(HERE, json.dumps(key.get(asked)))


async def test_a_wrong_answer_uses_its_challenge_up(ring: Keyring) -> None:
    key = soft()
    await ring.register(await ring.office.add("ann"), key)
    asked = ring.passkeys.login_options(HERE)
    with refused("response"):
        await ring.passkeys.login(HERE, json.dumps(key.get(asked, Wrong(tampered=True))))
    with refused("challenge_used"):
        await ring.passkeys.login(HERE, json.dumps(key.get(asked)))


async def test_a_challenge_ends(ring: Keyring) -> None:
    key = soft()
    await ring.register(await ring.office.add("ann"), key)
    first, second = ring.passkeys.login_options(HERE), ring.passkeys.login_options(HERE)
    ring.office.clock.advance(LIFETIME - timedelta(seconds=1))
    assert (await ring.passkeys.login(HERE, json.dumps(key.get(first)))).user_verified
    ring.office.clock.advance(timedelta(seconds=1))
    with refused("challenge_expired"):
        await ring.passkeys.login(HERE, json.dumps(key.get(second)))


async def test_a_challenge_is_the_browsers_that_asked(ring: Keyring) -> None:
    key = soft()
    ann = await ring.office.add("ann")
    options = await ring.passkeys.registration_options(ann, HERE)
    with refused("challenge"):
        await ring.take(ann, key.create(options), binding=ELSEWHERE)
    await ring.take(ann, key.create(options))
    asked = ring.passkeys.login_options(HERE)
    with refused("challenge"):
        await ring.passkeys.login(ELSEWHERE, json.dumps(key.get(asked)))
    assert (await ring.passkeys.login(HERE, json.dumps(key.get(asked)))).user_verified


async def test_a_challenge_is_of_this_installation(ring: Keyring) -> None:
    key = soft()
    await ring.register(await ring.office.add("ann"), key)
    foreign = keys_of(ring.office, b"n").login_options(HERE)
    with refused("challenge"):
        await ring.passkeys.login(HERE, json.dumps(key.get(foreign)))


async def test_a_challenge_serves_one_purpose_and_account(ring: Keyring) -> None:
    ann, bob = await ring.office.add("ann"), await ring.office.add("bob")
    key = soft()
    await ring.register(ann, key)
    await ring.register(bob, soft())
    factor = await ring.passkeys.confirmation_options(ann.id, HERE)
    verified = await ring.passkeys.confirmation_options(ann.id, HERE, user_verification=True)
    for asked in (factor, verified):
        with refused("challenge"):
            await ring.passkeys.login(HERE, json.dumps(key.get(asked)))
        with refused("challenge"):
            await ring.passkeys.confirm(bob.id, HERE, json.dumps(key.get(asked)))
    with refused("challenge"):
        await ring.passkeys.confirm(ann.id, HERE, json.dumps(key.get(factor)), user_verification=True)
    with refused("challenge"):
        await ring.passkeys.confirm(ann.id, HERE, json.dumps(key.get(ring.passkeys.login_options(HERE))))
    options = await ring.passkeys.registration_options(ann, HERE)
    with refused("challenge"):
        await ring.take(bob, soft().create(options))
    proof = await ring.passkeys.confirm(ann.id, HERE, json.dumps(key.get(verified)), user_verification=True)
    assert proof.account_id == ann.id


async def test_a_second_factor_needs_no_verification_and_says_so(ring: Keyring) -> None:
    ann = await ring.office.add("ann")
    key = soft(flags=PRESENT)
    await ring.register(ann, key)
    asked = await ring.passkeys.confirmation_options(ann.id, HERE)
    proof = await ring.passkeys.confirm(ann.id, HERE, json.dumps(key.get(asked, Wrong(no_handle=True))))
    assert not proof.user_verified
    asked = await ring.passkeys.confirmation_options(ann.id, HERE, user_verification=True)
    with refused("response"):
        await ring.passkeys.confirm(ann.id, HERE, json.dumps(key.get(asked)), user_verification=True)


async def test_anothers_passkey_confirms_nobody(ring: Keyring) -> None:
    ann, bob = await ring.office.add("ann"), await ring.office.add("bob")
    anns, bobs = soft(), soft()
    await ring.register(ann, anns)
    await ring.register(bob, bobs)
    for wrong in (Wrong(), Wrong(no_handle=True), Wrong(handle=UUID(ann.id).bytes)):
        asked = await ring.passkeys.confirmation_options(ann.id, HERE)
        with refused("another_account"):
            await ring.passkeys.confirm(ann.id, HERE, json.dumps(bobs.get(asked, wrong)))


async def test_another_keys_signature_is_refused(ring: Keyring) -> None:
    ann = await ring.office.add("ann")
    mine = soft()
    await ring.register(ann, mine)
    forged = soft(credential_id=mine.credential_id, handle=UUID(ann.id).bytes)
    with refused("response"):
        await ring.passkeys.login(HERE, json.dumps(forged.get(ring.passkeys.login_options(HERE))))


async def test_an_unknown_passkey_signs_nobody_in(ring: Keyring) -> None:
    ann = await ring.office.add("ann")
    stranger = soft(handle=UUID(ann.id).bytes)
    with refused("unknown"):
        await ring.passkeys.login(HERE, json.dumps(stranger.get(ring.passkeys.login_options(HERE))))
    assert await ring.office.count("passkey_challenge") == 0


@pytest.mark.parametrize(
    ("before", "after", "good"),
    [
        pytest.param(0, 0, True, id="does not count"),
        pytest.param(0, 1, True, id="begins to count"),
        pytest.param(5, 6, True, id="counts on"),
        pytest.param(5, 2**32 - 1, True, id="counts far"),
        pytest.param(5, 5, False, id="stands still"),
        pytest.param(5, 4, False, id="goes back"),
        pytest.param(5, 0, False, id="stops counting"),
    ],
)
async def test_a_count_that_goes_back_is_refused_and_logged(
    ring: Keyring, caplog: pytest.LogCaptureFixture, before: int, after: int, good: bool
) -> None:
    ann = await ring.office.add("ann")
    key = soft(count=before)
    made = await ring.register(ann, key)
    key.count = after
    answer = json.dumps(key.get(ring.passkeys.login_options(HERE)))
    if good:
        assert (await ring.passkeys.login(HERE, answer)).user_verified
        assert caplog.text == ""
        return
    with refused("sign_count"):
        await ring.passkeys.login(HERE, answer)
    assert made.id in caplog.text
    assert ann.id in caplog.text


async def test_a_forged_count_raises_no_alarm(ring: Keyring, caplog: pytest.LogCaptureFixture) -> None:
    key = soft(count=5)
    await ring.register(await ring.office.add("ann"), key)
    wrong = Wrong(count=1, tampered=True)
    with refused("response"):
        await ring.passkeys.login(HERE, json.dumps(key.get(ring.passkeys.login_options(HERE), wrong)))
    assert caplog.text == ""


async def test_a_passkey_is_registered_once(ring: Keyring) -> None:
    ann, bob = await ring.office.add("ann"), await ring.office.add("bob")
    key = soft()
    await ring.register(ann, key)
    for user in (ann, bob):
        with refused("registered_before"):
            await ring.register(user, key)
    assert len(await ring.passkeys.list_for(ann.id)) == 1
    assert await ring.passkeys.list_for(bob.id) == []


async def test_an_account_holds_so_many_and_no_more(ring: Keyring) -> None:
    ann = await ring.office.add("ann")
    last = await ring.passkeys.registration_options(ann, HERE)
    for _ in range(MOST_PER_ACCOUNT):
        await ring.register(ann, soft())
    with pytest.raises(InvalidInput, match="remove one first"):
        await ring.passkeys.registration_options(ann, HERE)
    with pytest.raises(InvalidInput, match="remove one first"):
        await ring.take(ann, soft().create(last))


@pytest.mark.parametrize("name", ["", "  ", "x" * 61, "a\0b", "a\u202eb", "\ud800"], ids=ascii)
async def test_a_name_can_be_shown(ring: Keyring, name: str) -> None:
    ann = await ring.office.add("ann")
    with pytest.raises(InvalidInput, match=r"^name: "):
        await ring.register(ann, soft(), name)
    made = await ring.register(ann, soft(), " My  \N{KEY} ")
    assert made.name == "My \N{KEY}"
    with pytest.raises(InvalidInput, match=r"^name: "):
        await ring.passkeys.rename(ann.id, UUID(made.id), name)


async def test_only_its_owner_renames_and_removes_a_passkey(ring: Keyring) -> None:
    ann, bob = await ring.office.add("ann"), await ring.office.add("bob")
    key = soft()
    made = UUID((await ring.register(ann, key)).id)
    for attempt in (ring.passkeys.rename(bob.id, made, "mine"), ring.remove(bob, made), ring.remove(ann, uuid4())):
        with pytest.raises(NotFound):
            await attempt
    await ring.passkeys.rename(ann.id, made, "Phone")
    assert (await ring.passkeys.get(ann.id, made)).name == "Phone"
    await ring.remove(ann, made)
    with pytest.raises(NotFound):
        await ring.passkeys.get(ann.id, made)
    with refused("unknown"):
        await ring.passkeys.login(HERE, json.dumps(key.get(ring.passkeys.login_options(HERE))))


async def test_who_has_none_is_asked_for_none(ring: Keyring) -> None:
    ann = await ring.office.add("ann")
    with pytest.raises(NotFound):
        await ring.passkeys.confirmation_options(ann.id, HERE)


async def test_asking_stores_nothing_and_used_challenges_are_forgotten(ring: Keyring) -> None:
    key = soft()
    await ring.register(await ring.office.add("ann"), key)
    ring.passkeys.login_options(HERE)
    assert await ring.office.count("passkey_challenge") == 1
    ring.office.clock.advance(LIFETIME)
    assert await ring.passkeys.forget_challenges() == 0
    ring.office.clock.advance(LIFETIME + timedelta(seconds=1))
    assert await ring.passkeys.forget_challenges() == 1


def good_answer() -> dict[str, Any]:
    key = soft(handle=b"u" * 16)
    return key.get({"challenge": b64(b"c" * 56)})


def changed(change: Callable[[dict[str, Any]], object]) -> str:
    answer = good_answer()
    change(answer)
    return json.dumps(answer)


MALFORMED = {
    "nothing": "",
    "no JSON": "{",
    "null": "null",
    "a list": "[]",
    "a number": "1",
    "deep": "[" * 15_000,
    "deep objects": '{"a":' * 3000,
    "too long": json.dumps(good_answer()) + " " * LONGEST_RESPONSE,
    "NUL": "\0",
    "half a pair": '"\ud800"',
    "no response": changed(lambda answer: answer.pop("response")),
    "a response of text": changed(lambda answer: answer.update(response="x")),
    "a number for an id": changed(lambda answer: answer.update(id=1)),
    "an empty id": changed(lambda answer: answer.update(id="")),
    "a padded id": changed(lambda answer: answer.update(id="AA==")),
    "an id that is too long": changed(lambda answer: answer.update(id=b64(b"x" * 1024))),
    "an id of other letters": changed(lambda answer: answer.update(id="ÄÖ")),
    "half a pair for an id": changed(lambda answer: answer.update(id="\ud800")),
    "client data that is no JSON": changed(lambda answer: answer["response"].update(clientDataJSON=b64(b"\xff"))),
    "client data that is a list": changed(lambda answer: answer["response"].update(clientDataJSON=b64(b"[]"))),
    "deep client data": changed(lambda answer: answer["response"].update(clientDataJSON=b64(b"[" * 9000))),
    "client data without challenge": changed(lambda answer: answer["response"].update(clientDataJSON=b64(b"{}"))),
    "a number for a handle": changed(lambda answer: answer["response"].update(userHandle=1)),
    "a list of extensions": changed(lambda answer: answer.update(clientExtensionResults=[])),
    "a list of transports": changed(lambda answer: answer["response"].update(transports=[[1]])),
    "a number of transports": changed(lambda answer: answer["response"].update(transports=7)),
}


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED.keys())
async def test_what_cannot_be_read_is_refused(ring: Keyring, text: str) -> None:
    assert read_response(json.dumps(good_answer())).challenge == b"c" * 56
    with refused("malformed"):
        read_response(text)
    with refused("malformed"):
        await ring.passkeys.login(HERE, text)


async def _refuses(ring: Keyring, user: User, text: str) -> None:
    with pytest.raises(PasskeyRefused):
        await ring.passkeys.login(HERE, text)
    with pytest.raises(PasskeyRefused):
        await ring.passkeys.verify_new(user.id, HERE, text)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.binary(max_size=40).map(b64),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
PLACES = st.sampled_from(
    ["id", "rawId", "type", "clientExtensionResults", "authenticatorAttachment", "response"]
    + [f"response.{name}" for name in ("clientDataJSON", "authenticatorData", "signature", "userHandle", "transports")]
    + ["response.attestationObject"]
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_whatever_is_sent_is_refused_and_nothing_breaks(office: Office, data: st.DataObject) -> None:
    ring = Keyring(office, keys_of(office))
    found = await office.users.find("ann")
    ann = found or await office.add("ann")
    key = soft(handle=b"u" * 16)
    if data.draw(st.booleans()):
        answer = key.get(ring.passkeys.login_options(HERE))
    else:
        answer = soft().create(await ring.passkeys.registration_options(ann, HERE), Wrong(origin="http://evil.test"))
    place = data.draw(PLACES).split(".")
    holder = answer if len(place) == 1 else answer["response"]
    holder[place[-1]] = data.draw(ANYTHING)
    await _refuses(ring, ann, json.dumps(answer))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 10_000), bit=st.integers(0, 7), name=st.sampled_from(["authenticatorData", "signature"]))
async def test_every_signed_bit_counts(office: Office, place: int, bit: int, name: str) -> None:
    ring = Keyring(office, keys_of(office))
    key = soft(algorithm=-8)
    user = await office.add(f"u{uuid4().hex[:12]}")
    await ring.register(user, key)
    answer = key.get(ring.passkeys.login_options(HERE))
    raw = bytearray(unb64(answer["response"][name]))
    raw[place % len(raw)] ^= 1 << bit
    answer["response"][name] = b64(bytes(raw))
    with pytest.raises(PasskeyRefused):
        await ring.passkeys.login(HERE, json.dumps(answer))


async def test_challenges_say_nothing_and_never_repeat(office: Office) -> None:
    challenges = Challenges(MasterKey(b"m" * 32), office.clock)
    made = {challenges.make(Purpose.LOGIN, "", HERE) for _ in range(100)}
    assert len(made) == 100
    assert not any(HERE.encode() in each for each in made)
