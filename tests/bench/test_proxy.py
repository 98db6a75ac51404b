"""The proxy that holds connections up: half-open is what a client sees, and nothing less."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from bench.breaking import proxy
from bench.breaking.proxy import Gate

PATIENCE = 5.0
A_WHILE = 0.3


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """Somebody who answers everything with itself, and keeps on until its clients leave."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=echo, args=(client,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield listening
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()


def echo(client: socket.socket) -> None:
    """Answer until the client leaves, or is cut off."""
    with client:
        try:
            while data := client.recv(4096):
                client.sendall(data)
        except ConnectionError:
            return


@pytest.fixture
def gate(server: socket.socket) -> Iterator[Gate]:
    """A gate before it."""
    with proxy.running() as between:
        yield between.gate(lambda: server.getsockname()[1])


def connected(gate: Gate) -> socket.socket:
    """A client that has had its first answer."""
    client = socket.create_connection(("127.0.0.1", gate.port), timeout=PATIENCE)
    assert said(client, b"hello") == b"hello"
    return client


def said(client: socket.socket, words: bytes) -> bytes:
    """What is answered to that."""
    client.sendall(words)
    return client.recv(4096)


def test_a_held_connection_takes_what_is_sent_and_answers_nothing_while_new_ones_work(gate: Gate) -> None:
    with connected(gate) as old:
        held = gate.hold()
        assert len(held) == 1
        old.settimeout(A_WHILE)
        with pytest.raises(TimeoutError):
            said(old, b"is there anybody?")
        with connected(gate) as new:
            assert said(new, b"and here?") == b"and here?"
        gate.free(held, reset=False)
        old.settimeout(PATIENCE)
        assert old.recv(4096) == b"is there anybody?"


def test_what_is_reset_says_so(gate: Gate) -> None:
    with connected(gate) as old:
        gate.free(gate.hold(), reset=True)
        with pytest.raises(ConnectionError):
            old.recv(1)


def test_the_server_does_not_hear_of_a_client_that_leaves_while_held() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, proxy.running() as between:
        gate = between.gate(lambda: listening.getsockname()[1])
        client = socket.create_connection(("127.0.0.1", gate.port), timeout=PATIENCE)
        there, _ = listening.accept()
        with there:
            client.sendall(b"x")
            assert there.recv(1) == b"x"
            held = gate.hold()
            client.close()
            there.settimeout(A_WHILE)
            with pytest.raises(TimeoutError):
                there.recv(1)
            gate.free(held, reset=False)
            there.settimeout(PATIENCE)
            assert there.recv(1) == b""


def test_where_nobody_listens_the_client_is_cut_off() -> None:
    with socket.socket() as nobody, proxy.running() as between:
        nobody.bind(("127.0.0.1", 0))
        gate = between.gate(lambda: nobody.getsockname()[1])
        client = socket.create_connection(("127.0.0.1", gate.port), timeout=PATIENCE)
        with client, suppress(ConnectionError):
            assert client.recv(1) == b""
