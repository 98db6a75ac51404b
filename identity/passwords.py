"""How passwords are kept and which are refused: too short, too long, or too easy to guess.

There are no rules of composition (ASVS 6.2.5). Argon2id at the cost measured for this product:
Django's own default takes 100 MiB and 0.6 s per attempt on two cores, which is a lever for whoever
may send attempts without signing in.
"""

from typing import Any, Final

from django.conf import settings
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.core.exceptions import ValidationError
from zxcvbn import zxcvbn

from identity.models import Role

MIN_LENGTH: Final = 12
MIN_LENGTH_ADMIN: Final = 15  # SP 800-63B-4: what a password needs where it might stand alone
MAX_LENGTH: Final = 128
_MIN_GUESSES: Final = 10**8
_OUR_WORDS: Final = ("strongroom", "investor", "auditor", "administrator", "document", "vault")
_SHORTEST_WORD: Final = 4
_ESTIMATED: Final = 72  # zxcvbn looks at no more; what follows can only make it harder


class Argon2(Argon2PasswordHasher):
    """Argon2id with 19 MiB, two passes, one lane (OWASP's parameters)."""

    memory_cost = 19_456
    time_cost = 2
    parallelism = 1


class Length:
    """Password validator: 12 (admins 15) to 128 characters, of any kind (ASVS 6.2.1, 6.2.5, 6.2.9)."""

    def validate(self, password: str, user: Any = None) -> None:
        """Raise ValidationError for a password outside the bounds."""
        shortest = MIN_LENGTH_ADMIN if getattr(user, "role", None) == Role.ADMIN else MIN_LENGTH
        if not shortest <= len(password) <= MAX_LENGTH:
            raise ValidationError(f"A password has {shortest} to {MAX_LENGTH} characters.", code="password_length")

    def get_help_text(self) -> str:
        """The rule in words."""
        return f"A password has {MIN_LENGTH} (an admin's {MIN_LENGTH_ADMIN}) to {MAX_LENGTH} characters."


class Guessable:
    """Password validator: not what somebody who knows people or the house would try first.

    Names of the person and of the house add nothing (ASVS 6.2.11); what is left must take an
    attacker who knows common passwords and patterns 100 million guesses (ASVS 6.2.4, 6.2.12).
    """

    def validate(self, password: str, user: Any = None) -> None:
        """Raise ValidationError for a password that is easily guessed."""
        left = password.casefold()
        for word in _known_words(user):
            left = left.replace(word, "")
        if not left.strip() or zxcvbn(left[:_ESTIMATED])["guesses"] < _MIN_GUESSES:
            raise ValidationError(self.get_help_text(), code="password_guessable")

    def get_help_text(self) -> str:
        """The rule in words."""
        return (
            "This password is easy to guess. Several words that do not belong together are hard to guess; "
            "your name and ours add nothing."
        )


def _known_words(user: Any) -> list[str]:
    """Longest first, so that a word inside another does not keep the longer from being found."""
    of_user = (getattr(user, "username", ""), *getattr(user, "email", "").split("@"))
    words = {word.casefold() for word in (*_OUR_WORDS, *settings.PASSWORD_CONTEXT_WORDS, *of_user)}
    return sorted((word for word in words if len(word) >= _SHORTEST_WORD), key=len, reverse=True)
