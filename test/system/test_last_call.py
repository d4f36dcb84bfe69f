"""Clients that are already connected for the kernel, and not yet for us, when a server stops listening."""

import contextlib
import os
import select
import signal
import socket
import threading

import pytest

from harness import wait_until

CROWD = 64  # connects begun at once


class Rush:
    """Connects as fast as it goes, many at once, and notes of each established one whether it got a version line."""

    def __init__(self, address):
        self.address = address
        self.served, self.lost, self.pending = 0, [], 0
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        before = []
        while not self.stopped.is_set():
            crowd = self.connect()
            self.note_all(before)  # meanwhile the next wait in the queue
            before = crowd
        self.note_all(before)

    def connect(self):
        crowd = []
        for _ in range(CROWD):
            sock = socket.socket()
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError, ConnectionRefusedError):
                sock.connect(self.address)
            crowd.append(sock)
        return crowd

    def note_all(self, crowd):
        for sock in crowd:
            with sock:
                self.note(sock)

    def note(self, sock):
        try:
            sock.getpeername()  # fails where the connect is not done: nobody has told this one that it is connected
        except OSError:
            self.pending += 1
            return
        select.select([sock], [], [], 10)
        try:
            banner = sock.recv(8)
        except OSError as error:
            banner = repr(error).encode()
        if banner.startswith(b"SSH-2.0-"):
            self.served += 1
        else:
            self.lost.append(banner)

    def stop(self):
        self.stopped.set()
        self.thread.join(20)
        assert not self.thread.is_alive()


def rush_while(server, action, served=200):
    """What a rush of connects saw while action() took the socket away."""
    rush = Rush(server.address)
    wait_until(lambda: rush.served > served, 20, "a rush of connects")
    action()
    wait_until(lambda: rush.pending > CROWD, 20, "the end of listening")
    rush.stop()
    assert not rush.lost, f"{len(rush.lost)} of {rush.served} established connections were lost: {set(rush.lost)}"


# One connection a turn keeps the queue filled; two workers, since the queue goes with the last copy of the socket.
SLOW = {"kex-per-turn": 1, "drain-timeout": "10s"}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stop_amid_a_rush_resets_nobody_who_is_connected(serve, workers):
    server = serve(options=SLOW, workers=workers)
    rush = Rush(server.address)
    wait_until(lambda: rush.served > 200, 20, "a rush of connects")
    server.signal(signal.SIGTERM)
    wait_until(lambda: rush.pending > CROWD, 20, "the end of listening")
    rush.stop()
    assert not rush.lost, f"{len(rush.lost)} of {rush.served} established connections were lost: {set(rush.lost)}"
    assert server.wait(15) == 0


def refused(address):
    try:
        socket.create_connection(address, timeout=10).close()
    except ConnectionRefusedError:
        return True
    return False


def waiting(address):
    """Twenty get in, and twenty wait in the queue until there are tokens for them, a second later at RATE."""
    return [socket.create_connection(address, timeout=15) for _ in range(40)]


RATE = "handshake-rate 20\ndrain-timeout 20s\n"


def check_waiting(crowd, address):
    wait_until(lambda: refused(address), 10, "a refusal")
    unserved = crowd[-1]
    unserved.setblocking(False)
    with pytest.raises(BlockingIOError):  # nobody is refused because of those who wait, nor the other way round
        unserved.recv(1)
    for sock in crowd:
        sock.settimeout(15)
        assert sock.recv(8) == b"SSH-2.0-"
        sock.close()


def test_who_waits_at_a_stop_is_served(serve):
    server = serve(config=RATE)
    crowd = waiting(server.address)
    server.signal(signal.SIGTERM)
    check_waiting(crowd, server.address)
    assert server.wait(15) == 0


def test_who_waits_when_the_master_is_killed_is_served(serve):
    server = serve(config=RATE)
    server.expected_exit = -signal.SIGKILL
    worker = server.worker
    crowd = waiting(server.address)
    os.kill(server.pid, signal.SIGKILL)
    check_waiting(crowd, server.address)
    wait_until(lambda: not os.path.exists(f"/proc/{worker}"), 10, "the end of an orphan")


def test_who_waits_at_an_address_that_a_reload_drops_is_served(serve, tmp_path):
    config = tmp_path / "conf"
    config.write_text(RATE + "listen 127.0.0.1:0\nlisten 127.0.0.2:0\n")
    server = serve(listen=(), arguments=["--config", config])
    kept, dropped = server.addresses
    crowd = waiting(dropped)
    config.write_text(RATE + "listen 127.0.0.1:0\n")
    server.signal(signal.SIGHUP)
    check_waiting(crowd, dropped)
    for _ in range(5):  # that one lives on
        with socket.create_connection(kept, timeout=10) as sock:
            assert sock.recv(8) == b"SSH-2.0-"
