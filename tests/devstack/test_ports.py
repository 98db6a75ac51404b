"""Two stacks on one machine, a stack that comes back, a person who chooses."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack import ports
from devstack.ports import Ports, PortTaken


@pytest.fixture
def listener() -> Iterator[int]:
    """A port that some other program has."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def test_two_stacks_that_start_at_once_share_no_port(tmp_path: Path) -> None:
    one = Ports(tmp_path / "one.json", {})
    two = Ports(tmp_path / "two.json", {})
    one.close()
    two.close()
    assert not set(one.by_name.values()) & set(two.by_name.values())


def test_a_stack_comes_back_at_its_old_address(tmp_path: Path) -> None:
    neighbour = Ports(tmp_path / "neighbour.json", {})  # takes what would have been liked best
    first = Ports(tmp_path / "ports.json", {})
    first.close()
    neighbour.close()
    again = Ports(tmp_path / "ports.json", {})
    again.close()
    assert again.by_name == first.by_name


def test_a_port_that_someone_took_meanwhile_is_replaced(tmp_path: Path, listener: int) -> None:
    (tmp_path / "ports.json").write_text(f'{{"web": {listener}}}')
    chosen = Ports(tmp_path / "ports.json", {})
    chosen.close()
    assert chosen["web"] != listener


def test_a_person_may_choose(tmp_path: Path, listener: int) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        wanted = probe.getsockname()[1]
    chosen = Ports(tmp_path / "ports.json", {"WEB_PORT": str(wanted)})
    chosen.close()
    assert chosen["web"] == wanted


def test_a_chosen_port_that_is_in_use_is_an_error_that_names_it(tmp_path: Path, listener: int) -> None:
    with pytest.raises(PortTaken, match=rf"{listener} \(S3_PORT\)"):
        Ports(tmp_path / "ports.json", {"S3_PORT": str(listener)})


def test_every_port_lies_below_the_ephemeral_range_even_with_grpc_above_it(tmp_path: Path) -> None:
    chosen = Ports(tmp_path / "ports.json", {})
    chosen.close()
    assert max(chosen.by_name.values()) < ports.CEILING
    assert chosen["admin"] + ports.GRPC_OFFSET < 32768


def test_ports_that_were_given_back_can_be_had_again(tmp_path: Path) -> None:
    one = Ports(tmp_path / "one.json", {})
    one.close()
    two = Ports(tmp_path / "one.json", {})
    two.close()
    assert one.by_name == two.by_name
