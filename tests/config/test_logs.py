"""What a log line leaves out."""

import pytest

from config import logs


@pytest.mark.parametrize("request_line", ["GET /api/documents/?token=secret", "GET /api/documents/?a=b?token=secret"])
def test_a_line_about_a_request_does_not_hold_its_query(request_line: str) -> None:
    event = logs._without_query(None, "info", {"event": "request_started", "request": request_line, "code": 200})
    assert event == {"event": "request_started", "request": "GET /api/documents/", "code": 200}


def test_a_line_without_a_request_stays_as_it_is() -> None:
    assert logs._without_query(None, "info", {"event": "swept", "nudged": 1}) == {"event": "swept", "nudged": 1}
