"""What people are told when they are stopped: what happened, why, and the next step, without codes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

from gateway.problem import Problem

WayOn = Literal["retry", "sign_in", "switch", "none"]


@dataclass(frozen=True, slots=True)
class ErrorWords:
    """A page's heading and sentence, the problem's own if empty; ``way_on`` names the link that it offers."""

    heading: str
    sentence: str
    way_on: WayOn = "none"


_BY_STATUS: Final[dict[int, ErrorWords]] = {
    400: ErrorWords("This address cannot be opened", "The link seems to be damaged. Check it, or start over."),
    401: ErrorWords("Please sign in", "You are not signed in here, or not any more.", "sign_in"),
    403: ErrorWords(
        "You don't have access",
        "This page is not open to you. If it should be, ask the person who runs it to let you in.",
        "switch",
    ),
    404: ErrorWords("Nothing is here", "There is no page at this address. Check the link for a typing mistake."),
    405: ErrorWords("That is not possible here", "This page cannot be used in that way. Go back and try again."),
    408: ErrorWords("That took too long", "Your browser's request did not arrive in time.", "retry"),
    413: ErrorWords("That is too large", "What you sent is larger than is allowed here. Send something smaller."),
    429: ErrorWords("Too many tries", "Wait a moment, then try again.", "retry"),
    431: ErrorWords("Your browser sent too much", "Delete the cookies of this site, then try again.", "retry"),
    500: ErrorWords("Something went wrong here", "The mistake is ours, not yours. Try again in a moment.", "retry"),
    502: ErrorWords(
        "The application is not answering",
        "You got this far, but the application behind this page gave no usable answer. Try again in a moment.",
        "retry",
    ),
    503: ErrorWords("Not available right now", "This is on our side. Try again in a moment.", "retry"),
    504: ErrorWords(
        "The application takes too long",
        "You got this far, but the application behind this page did not answer in time. Try again in a moment.",
        "retry",
    ),
}

# Where the status alone says too little.
_BY_CODE: Final[dict[str, ErrorWords]] = {
    "bad_origin": ErrorWords("This was refused", "The connection was opened by a page of another site."),
    "form_expired": ErrorWords(
        "This page has expired", "It was open for too long, or in another window. Go back, reload, and try again."
    ),
    "request_refused": ErrorWords("This cannot go on", ""),
    "invalid_request": ErrorWords("This cannot go on", ""),
    "device_expired": ErrorWords(
        "The device does not wait any more", "It took too long, or has been answered. Start over on your device."
    ),
    "registration_closed": ErrorWords(
        "Accounts are by invitation", "Nobody can make an account for themselves here. Ask an administrator."
    ),
    "no_hand_over": ErrorWords("Nobody can sign in here", "This address is not set up for it. Check the link."),
    "ticket_refused": ErrorWords(
        "That sign-in did not finish",
        "It took too long, was used before, or belongs to another browser. Nothing is lost: try once more.",
    ),
    "cookie_missing": ErrorWords(
        "Your browser kept no cookie",
        "Signing in needs one cookie on this site. Allow cookies for it, then try once more.",
    ),
}


def words_for(problem: Problem) -> ErrorWords:
    """Return the words for a problem; its own detail where nothing better is known."""
    known = _BY_CODE.get(problem.code) or _BY_STATUS.get(problem.status)
    if known is None:
        return ErrorWords(problem.title or "This did not work", problem.detail)
    return known if known.sentence else replace(known, sentence=problem.detail)
