"""What people are told when they are stopped: what happened, why, and the next step, without codes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

from gateway.problem import Problem
from gateway.translation.words import later

WayOn = Literal["retry", "sign_in", "switch", "none"]


@dataclass(frozen=True, slots=True)
class ErrorWords:
    """A page's heading and sentence, the problem's own if empty; ``way_on`` names the link that it offers."""

    heading: str
    sentence: str
    way_on: WayOn = "none"


_BY_STATUS: Final[dict[int, ErrorWords]] = {
    400: ErrorWords(
        later("This address cannot be opened"), later("The link seems to be damaged. Check it, or start over.")
    ),
    401: ErrorWords(later("Please sign in"), later("You are not signed in here, or not any more."), "sign_in"),
    403: ErrorWords(
        later("You don't have access"),
        later("This page is not open to you. If it should be, ask the person who runs it to let you in."),
        "switch",
    ),
    404: ErrorWords(
        later("Nothing is here"), later("There is no page at this address. Check the link for a typing mistake.")
    ),
    405: ErrorWords(
        later("That is not possible here"), later("This page cannot be used in that way. Go back and try again.")
    ),
    408: ErrorWords(later("That took too long"), later("Your browser's request did not arrive in time."), "retry"),
    413: ErrorWords(
        later("That is too large"), later("What you sent is larger than is allowed here. Send something smaller.")
    ),
    429: ErrorWords(later("Too many tries"), later("Wait a moment, then try again."), "retry"),
    431: ErrorWords(
        later("Your browser sent too much"), later("Delete the cookies of this site, then try again."), "retry"
    ),
    500: ErrorWords(
        later("Something went wrong here"), later("The mistake is ours, not yours. Try again in a moment."), "retry"
    ),
    502: ErrorWords(
        later("The application is not answering"),
        later("You got this far, but the application behind this page gave no usable answer. Try again in a moment."),
        "retry",
    ),
    503: ErrorWords(later("Not available right now"), later("This is on our side. Try again in a moment."), "retry"),
    504: ErrorWords(
        later("The application takes too long"),
        later("You got this far, but the application behind this page did not answer in time. Try again in a moment."),
        "retry",
    ),
}

# Where the status alone says too little.
_BY_CODE: Final[dict[str, ErrorWords]] = {
    "bad_origin": ErrorWords(later("This was refused"), later("The connection was opened by a page of another site.")),
    "form_expired": ErrorWords(
        later("This page has expired"),
        later("It was open for too long, or in another window. Go back, reload, and try again."),
    ),
    "request_refused": ErrorWords(later("This cannot go on"), ""),
    "invalid_request": ErrorWords(later("This cannot go on"), ""),
    "device_expired": ErrorWords(
        later("The device does not wait any more"),
        later("It took too long, or has been answered. Start over on your device."),
    ),
    "second_factor_failed": ErrorWords(
        later("Too many wrong codes"), later("To be on the safe side, signing in has to begin anew.")
    ),
    "registration_closed": ErrorWords(
        later("Accounts are by invitation"),
        later("Nobody can make an account for themselves here. Ask an administrator."),
    ),
    "no_hand_over": ErrorWords(
        later("Nobody can sign in here"), later("This address is not set up for it. Check the link.")
    ),
    "ticket_refused": ErrorWords(
        later("That sign-in did not finish"),
        later("It took too long, was used before, or belongs to another browser. Nothing is lost: try once more."),
    ),
    "provider_denied": ErrorWords(
        later("You are not signed in"), later("You did not agree there, so nothing has happened."), "retry"
    ),
    "provider_down": ErrorWords(
        later("The other site is not answering"),
        later("You would sign in there, and it gives no usable answer. Try again in a moment."),
        "retry",
    ),
    "provider_refused": ErrorWords(
        later("That sign-in cannot be trusted"),
        later(
            "What the other site said does not fit. Nothing has happened; if it stays so, tell the people who run this."
        ),
    ),
    "provider_address_taken": ErrorWords(
        later("You have an account here"),
        later("Your e-mail address belongs to it. Sign in as usual, then link the other one under your account."),
        "retry",
    ),
    "provider_no_account": ErrorWords(
        later("You have no account here"),
        later("Signing in that way takes one. Ask the people who run this to make one for you."),
    ),
    "provider_no_address": ErrorWords(
        later("Your e-mail address is needed"),
        later("The other site did not tell it. Allow it there, or make an account here."),
        "retry",
    ),
    "provider_anothers": ErrorWords(
        later("That one is linked already"), later("It opens another account here. Unlink it there first."), "retry"
    ),
    "cookie_missing": ErrorWords(
        later("Your browser kept no cookie"),
        later("Signing in needs one cookie on this site. Allow cookies for it, then try once more."),
    ),
}


def words_for(problem: Problem) -> ErrorWords:
    """Return the words for a problem; its own detail where nothing better is known."""
    known = _BY_CODE.get(problem.code) or _BY_STATUS.get(problem.status)
    if known is None:
        return ErrorWords(problem.title or later("This did not work"), problem.detail)
    return known if known.sentence else replace(known, sentence=problem.detail)
