"""Registers the console with Django, for its templates and static files."""

from django.apps import AppConfig


class ConsoleConfig(AppConfig):
    """Pages only: no models, no signals."""

    name = "console"
    label = "console"
