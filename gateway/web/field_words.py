"""What is wrong with a field, said to the person who filled it in."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from gateway.errors import FieldError
from gateway.translation.words import later, text


def said(error: FieldError) -> str:
    """Return what an error says in the language that is spoken."""
    return text(error.message, **error.values)


def sentence(error: FieldError, subjects: Mapping[str, str], listed: Collection[str] = ()) -> FieldError:
    """Make a sentence of what the rules say about a field, as in "must have at least 8 characters".

    ``subjects`` are what the fields are called; those in ``listed`` are followed by a colon.
    """
    subject, predicate = subjects.get(error.field), said(error)
    if subject is None:
        predicate = predicate[:1].upper() + predicate[1:]
        pattern = "%(predicate)s" if predicate.endswith(("?", ".")) else later("%(predicate)s.")
        return FieldError(error.field, pattern, {"predicate": predicate})
    values = {"subject": text(subject), "predicate": predicate}
    if error.field in listed:
        asks = "%(subject)s: %(predicate)s" if predicate.endswith(("?", ".")) else later("%(subject)s: %(predicate)s.")
        return FieldError(error.field, asks, values)
    states = "%(subject)s %(predicate)s" if predicate.endswith(("?", ".")) else later("%(subject)s %(predicate)s.")
    return FieldError(error.field, states, values)
