"""How our own clients sign in: with the present code, and with the next one where that was spent."""

import pyotp
import pytest

from devstack import client
from devstack.client import Client, Json, Refused

SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


class Service(Client):
    """Takes each code of SECRET once; `spent` were taken before. Every sign-in is written down."""

    def __init__(self, *spent: str, refuses: str = "invalid_mfa_code") -> None:
        super().__init__("http://127.0.0.1:1/api", origin="http://127.0.0.1:1")
        self.spent, self.refuses = set(spent), refuses
        self.bodies: list[Json] = []

    def _call(self, method: str, path: str, body: Json | None = None) -> Json:
        assert (method, path) == ("POST", "/auth/login/")
        self.bodies.append(body or {})
        if self.bodies[-1]["mfa_code"] in self.spent:
            raise Refused(self.refuses, "Wrong code.")
        return {"token": "t"}


class Clock:
    """A time that passes only where somebody sleeps."""

    def __init__(self, now: float) -> None:
        self.now = now

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Ten seconds into a time step."""
    clock = Clock(3_000_010.0)
    monkeypatch.setattr(client, "time", clock)
    monkeypatch.setattr(pyotp.TOTP, "now", lambda totp: totp.at(int(clock.now)))
    return clock


def code(clock: Clock, steps: int) -> str:
    """The code of a later step."""
    return pyotp.TOTP(SECRET).at(int(clock.now) + 30 * steps)


def test_a_sign_in_sends_the_password_and_the_present_code(clock: Clock) -> None:
    service = Service()
    assert service.sign_in("alice", "secret", SECRET) == "t"
    assert service.bodies == [{"username": "alice", "password": "secret", "mfa_code": code(clock, 0)}]


def test_a_spent_code_is_followed_by_the_next_one(clock: Clock) -> None:
    service = Service(code(clock, 0))
    assert service.sign_in("alice", "secret", SECRET) == "t"
    assert len(service.bodies) == 2
    assert 20 < clock.now - 3_000_010 < 21  # no longer than it must


def test_after_three_codes_it_gives_up(clock: Clock) -> None:
    service = Service(*(code(clock, step) for step in range(4)))
    with pytest.raises(Refused) as refusal:
        service.sign_in("alice", "secret", SECRET)
    assert refusal.value.code == "invalid_mfa_code"
    assert len(service.bodies) == 3


def test_another_refusal_is_not_tried_again(clock: Clock) -> None:
    service = Service(code(clock, 0), refuses="invalid_credentials")
    with pytest.raises(Refused):
        service.sign_in("alice", "secret", SECRET)
    assert len(service.bodies) == 1
