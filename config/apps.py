"""Registers the system checks when Django starts, and says which admin site there is."""

from django.apps import AppConfig
from django.contrib.admin import apps


class ConfigConfig(AppConfig):
    """The settings themselves, as an app: it has checks, no models."""

    name = "config"

    def ready(self) -> None:
        """Load the checks; importing them registers them."""
        from config import checks  # noqa: F401


class AdminConfig(apps.AdminConfig):
    """Django's admin, in which `admin.site` is the one behind both factors, for whoever registers with it."""

    default_site = "identity.site.MfaAdminSite"
