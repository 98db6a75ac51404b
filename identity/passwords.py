"""How passwords are kept and how long they must be.

Argon2id at the cost measured for this product: Django's own default takes 100 MiB and 0.6 s per
attempt on two cores, which is a lever for whoever may send attempts without signing in.
"""

from typing import Any, Final

from django.contrib.auth.hashers import Argon2PasswordHasher
from django.core.exceptions import ValidationError

MIN_LENGTH: Final = 12
MAX_LENGTH: Final = 128


class Argon2(Argon2PasswordHasher):
    """Argon2id with 19 MiB, two passes, one lane (OWASP's parameters)."""

    memory_cost = 19_456
    time_cost = 2
    parallelism = 1


class Length:
    """Password validator: 12 to 128 characters, of any kind (ASVS 6.2.1, 6.2.5, 6.2.9)."""

    def validate(self, password: str, user: Any = None) -> None:
        """Raise ValidationError for a password outside the bounds."""
        if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
            raise ValidationError(self.get_help_text(), code="password_length")

    def get_help_text(self) -> str:
        """The rule in words."""
        return f"A password has {MIN_LENGTH} to {MAX_LENGTH} characters."
