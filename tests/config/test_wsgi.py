"""The door of the web process itself, as gunicorn calls it."""

import io
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("plain_static_files")]


def status(method: str, path: str, query: str, kind: str, body: bytes = b"") -> int:
    """Call the WSGI application; the status of its answer."""
    from config.wsgi import application  # it looks for the static files, which are there only now

    environ: dict[str, Any] = {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query}
    setup_testing_defaults(environ)
    environ |= {"CONTENT_TYPE": kind, "CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)}
    environ |= {"wsgi.url_scheme": "https", "HTTP_HOST": "localhost", "HTTP_X_FORWARDED_PROTO": "https"}
    answered: list[int] = []
    answer: Any = application(environ, lambda line, headers, *_: answered.append(int(line.split()[0])))
    b"".join(answer)
    answer.close()
    return answered[0]


@pytest.mark.parametrize("charset", ["hex", "zlib", "punycode", "utf-16", "idna", "nonsense", '"utf-8"', ""])
@pytest.mark.parametrize("path", ["/admin/login/", "/account/password/", "/api/documents/", "/api/auth/login/"])
def test_a_request_is_read_as_utf_8_whatever_the_caller_says(path: str, charset: str) -> None:
    for kind in (f"application/x-www-form-urlencoded; Charset={charset}", f"application/json;charset={charset}"):
        assert status("GET", path, "next=%FF%00&limit=1", kind) < 500
        assert status("POST", path, "next=%FF", kind, b"username=x&password=%FF%00") < 500
