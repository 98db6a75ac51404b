"""The door through which gunicorn enters."""

import os
import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

_CHARSET: Final = re.compile(r";\s*charset\s*=[^;]*", re.IGNORECASE)
_serve = get_wsgi_application()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Serve a request, read as UTF-8 whatever `charset` the caller names.

    Django would follow the caller before any view or middleware runs, and some of Python's codecs are
    no charsets: `charset=hex` raises where nobody catches it.
    """
    environ["CONTENT_TYPE"] = _CHARSET.sub("", environ.get("CONTENT_TYPE", ""))
    return _serve(environ, start_response)
