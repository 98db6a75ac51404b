"""Who gets where: every role, however far they have got, by every method, on every route of the API.

Two tables. The first says which door a route has, the second whom each door lets in and with which
code it refuses the others. A route that is not in the first fails.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from identity.models import TokenKind, User
from tests import factories
from tests.api.routes import address, routes
from tests.people import bearer

#   door for looking (GET, HEAD, OPTIONS)
#   |         door for changing (the others)
#   |         |         methods that there are     route
ROUTES = """
    open      open      POST                       auth/login/
    open      open      POST                       auth/token/
    open      open      POST                       auth/password/reset/
    open      open      POST                       auth/password/reset/confirm/
    token     token     POST                       auth/logout/
    token     token     POST                       auth/logout-all/
    token     token     GET                        auth/me/
    token     token     POST                       auth/password/change/
    token     token     POST                       investors/mfa/setup/
    token     token     POST                       investors/mfa/verify/
    verified  verified  POST                       investors/mfa/disable/
    verified  verified  POST                       investors/mfa/backup-codes/
    verified  verified  POST                       auth/token/rotate/
    verified  verified  POST                       auth/step-up/
    verified  verified  GET                        auth/sessions/
    verified  verified  DELETE                     auth/sessions/<uuid:id>/
    verified  uploads   GET,POST                   documents/
    verified  verified  GET                        documents/latest/
    verified  verified  GET                        documents/by-type/<str:doc_type>/
    verified  verified  GET                        documents/<uuid:id>/
    verified  uploads   POST                       documents/<uuid:id>/complete/
    verified  verified  GET                        documents/<uuid:id>/history/
    verified  verified  GET                        documents/<uuid:id>/download/
    log       log       GET                        auditlogs/
    log       log       GET                        auditlogs/<int:seq>/
    log       log       GET                        auditlogs/<int:seq>/leaf/
    log       log       GET                        auditlogs/<int:seq>/proof/
    log       log       GET                        audit/log/checkpoint
    log       log       GET                        audit/log/tile/entries/<path:place>
    log       log       GET                        audit/log/tile/<str:level>/<path:place>
    admin     admin     GET                        investors/
    admin     admin     GET                        investors/<int:id>/
    act       act       POST                       investors/create_user/
    act       act       POST                       investors/<int:id>/reset_mfa/
    act       act       POST                       investors/<int:id>/revoke_sessions/
    act       act       POST                       investors/<int:id>/unlock/
    act       act       POST                       investors/<int:id>/deactivate/
    act       act       POST                       investors/<int:id>/reactivate/
    act       act       POST                       investors/<int:id>/email/
    act       act       POST                       investors/<int:id>/role/
    admin     admin     GET                        role-requests/
    act       act       POST                       role-requests/<uuid:id>/approve/
    act       act       POST                       role-requests/<uuid:id>/refuse/
    admin     act       GET,POST                   erasures/
    act       act       POST                       erasures/<uuid:id>/approve/
    act       act       POST                       erasures/<uuid:id>/refuse/
    log       log       GET                        ops/stuck/
    act       act       POST                       ops/stuck/<uuid:id>/requeue/
    verified  verified  GET                        schema/
"""

# `in`: the view itself answers. The rest are refusals:
REFUSALS = {
    "401": (401, "not_authenticated"),
    "setup": (403, "mfa_setup_required"),
    "change": (403, "password_change_required"),
    "role": (403, "permission_denied"),
    "admin": (403, "admin_only"),
    "fresh": (403, "step_up_required"),
}
# enrol: signed in with a password alone. given: both factors, with a password that somebody else chose.
# fresh, stale: both factors, shown just now or 15 minutes ago.
DOORS = """
    visitor            open  token  verified  uploads  log     admin   act
    nobody             in    401    401       401      401     401     401
    investor.enrol     in    in     setup     setup    setup   setup   setup
    investor.given     in    in     change    change   change  change  change
    investor.stale     in    in     in        in       role    admin   admin
    investor.fresh     in    in     in        in       role    admin   admin
    auditor.enrol      in    in     setup     setup    setup   setup   setup
    auditor.given      in    in     change    change   change  change  change
    auditor.stale      in    in     in        role     in      admin   admin
    auditor.fresh      in    in     in        role     in      admin   admin
    admin.enrol        in    in     setup     setup    setup   setup   setup
    admin.given        in    in     change    change   change  change  change
    admin.stale        in    in     in        in       in      in      fresh
    admin.fresh        in    in     in        in       in      in      in
"""

JSON: dict[str, Any] = {"data": {}, "format": "json"}
LOOKING = ("get", "head", "options")
CHANGING = ("put", "patch", "delete", "post")  # what may end the token comes last
TABLE = {row[3]: row[:3] for row in map(str.split, ROUTES.strip().splitlines())}
_HEAD, *_ROWS = map(str.split, DOORS.strip().splitlines())
LETS_IN = {row[0]: dict(zip(_HEAD[1:], row[1:], strict=True)) for row in _ROWS}


def client_of(visitor: str) -> APIClient:
    """A client of theirs."""
    if visitor == "nobody":
        return APIClient()
    role, state = visitor.split(".")
    user = User.objects.filter(username=visitor).first() or factories.person(visitor, role)
    User.objects.filter(pk=user.pk).update(must_change_password=state == "given")
    kind = TokenKind.ENROL if state == "enrol" else TokenKind.SESSION
    age = timedelta(minutes=15 if state == "stale" else 0)
    return bearer(factories.token(user, kind=kind, age=age).text)


def expectations(route: str, visitor: str) -> Iterator[tuple[str, str]]:
    """Each method, and what the tables say of it."""
    looking, changing, methods = TABLE[route]
    for method in (*LOOKING, *CHANGING):
        expected = LETS_IN[visitor][looking if method in LOOKING else changing]
        there = "get" if method == "head" else method
        known = method == "options" or there.upper() in methods.split(",")
        yield method, expected if known or expected != "in" else "405"


def told(answer: Any, method: str) -> str:
    """What an answer says, in the words of the table."""
    assert answer.status_code < 500
    if answer.status_code not in {401, 403, 405}:
        return "in"
    if answer.status_code == 405:
        return "405"
    if method == "head":  # has no body to tell the code
        return str(answer.status_code)
    said = answer.json()
    assert set(said) == {"error", "code", "request_id"}
    named = [name for name, refusal in REFUSALS.items() if refusal == (answer.status_code, said["code"])]
    return named[0] if named else f"{answer.status_code} {said['code']}"


def shown(expected: str, method: str) -> str:
    """The expectation, as far as this method can show it."""
    return str(REFUSALS[expected][0]) if method == "head" and expected in REFUSALS else expected


@pytest.mark.parametrize("route", TABLE)
def test_each_route_lets_in_whom_the_table_says(db: None, route: str) -> None:
    wrong = []
    for visitor in LETS_IN:
        client = client_of(visitor)
        for method, expected in expectations(route, visitor):
            answer = getattr(client, method)(address(f"/api/{route}"), **({} if method in LOOKING else JSON))
            got = told(answer, method)
            if got != shown(expected, method):
                wrong.append(f"{visitor} {method}: {got}, not {expected}")
            assert answer["Cache-Control"] == "no-store"
            assert (answer.status_code == 401) == (answer.get("WWW-Authenticate") == "Token")
    assert wrong == []


def test_the_table_has_every_route_and_no_other() -> None:
    assert set(TABLE) == {route.removeprefix("/api/") for route in routes() if route.startswith("/api/")}


def test_the_table_has_every_role() -> None:
    assert {visitor.split(".")[0] for visitor in LETS_IN} == {"nobody", "investor", "auditor", "admin"}
    assert set(REFUSALS) | {"in"} == {said for doors in LETS_IN.values() for said in doors.values()}
