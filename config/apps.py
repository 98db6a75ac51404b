"""Registers the system checks when Django starts."""

from django.apps import AppConfig


class ConfigConfig(AppConfig):
    """The settings themselves, as an app: it has checks, no models."""

    name = "config"

    def ready(self) -> None:
        """Load the checks; importing them registers them."""
        from config import checks  # noqa: F401
