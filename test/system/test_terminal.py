"""A person at a terminal, with the real ssh; and that a program with a terminal loses nothing by it."""

import os
import pty
import select
import time

import pytest

import clients
import harness
from rawssh import pattern


class Person:
    """ssh under a pseudo-terminal of its own, as somebody has it in a window."""

    def __init__(self, server, *words, force=True):
        command = clients.openssh(server, *words, options=["RequestTTY=force"] if force else [])
        environment = clients.environment(server)
        self.seen = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                os.execvpe(command[0], command, environment)
            finally:
                os._exit(127)

    def look(self, until, timeout=20):
        end = time.monotonic() + timeout
        while not until(self.seen):
            assert time.monotonic() < end, f"seen so far: {self.seen!r}"
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    self.seen += os.read(self.fd, 65536)
                except OSError:  # how a terminal whose other side is closed reads
                    break
        return self.seen

    def type(self, keys, shows):
        before = len(self.seen)
        os.write(self.fd, keys)
        self.look(lambda seen: shows in seen[before:])

    def leave(self, keys):
        os.write(self.fd, keys)
        status = []

        def ended():
            if select.select([self.fd], [], [], 0)[0]:
                try:
                    self.seen += os.read(self.fd, 65536)
                except OSError:
                    pass
            done, code = os.waitpid(self.pid, os.WNOHANG)
            status.append(code)
            return done

        harness.wait_until(ended, 20, lambda: f"end of ssh: {self.seen!r}")
        self.pid = None
        return os.waitstatus_to_exitcode(status[-1])

    def end(self):
        if self.pid:
            os.kill(self.pid, 9)
            os.waitpid(self.pid, 0)
        os.close(self.fd)


@pytest.fixture
def sit_down(terminals):
    people = []

    def start(*arguments, **more):
        people.append(Person(*arguments, **more))
        return people[-1]

    yield start
    for each in people:
        each.end()


def test_a_person_is_told_what_this_is_and_can_leave(server, sit_down):
    person = sit_down(server, force=False)
    person.look(lambda seen: b"~." in seen and seen.endswith(b"\r\n"))
    person.type(b"hello\r", shows=b"hello\r")
    assert person.leave(b"~.") == 255
    assert person.seen.count(b"~.") == 1, "told once"


@pytest.mark.parametrize("end", [b"\x04", b"\x03"], ids=["ctrl-d", "ctrl-c"])
def test_terminal_echoes_as_one_does(server, sit_down, end):
    person = sit_down(server, "terminal")
    person.look(lambda seen: b"Ctrl-D" in seen)
    person.type(b"hello\r", shows=b"hello\r\n")
    person.type(b"up\x1b[A", shows=b"up^[[A")
    person.type(b"\r", shows=b"\r\n")
    person.type(b"wold\x7f\x7frld\r", shows=b"wold\b \b\b \brld\r\n")
    assert person.leave(end) == 0


def test_what_follows_the_end_of_a_terminal_is_not_echoed(server, dial):
    channel = dial(server).open()
    assert channel.execute("terminal")
    channel.send_data(b"one\rtwo\x04three\r")
    channel.client.wait(lambda: channel.closed, what="CLOSE")
    assert channel.data == b"one\r\ntwo\r\n" and channel.exit_status == 0
    assert channel.stderr == b""  # no pty-req


@pytest.mark.parametrize("window", [2, 3, 7, 1000])
def test_terminal_under_any_window(server, dial, window):
    """Answers longer than the byte they answer, cut wherever the window has them cut."""
    client = dial(server)
    channel = client.open(window=window)
    channel.auto_window = window
    assert channel.execute("terminal")
    lines = b"".join(b"%d\r" % number for number in range(300))
    channel.feed(lines, eof=True)
    client.wait(lambda: channel.closed, 30, "CLOSE")
    assert channel.data == lines.replace(b"\r", b"\r\n")


def test_a_program_with_a_terminal_gets_its_bytes_exactly(server, dial):
    channel = dial(server).open()
    channel.auto_window = 1 << 20
    assert channel.pty() and channel.shell()
    data = bytes(range(256)) * 1000 + pattern(200_000)
    assert channel.client.echo(channel, data) == data
    assert channel.stderr.count(b"sshechod:") == 1 and b"~." in channel.stderr


@pytest.mark.parametrize("prepare", ["no-pty", "option", "window"])
def test_nobody_else_is_told(serve, dial, prepare):
    server = serve(options={"terminal-note": "no"} if prepare == "option" else {})
    channel = dial(server).open(window=100 if prepare == "window" else 1 << 20)
    if prepare != "no-pty":
        assert channel.pty()
    assert channel.shell()
    assert channel.client.echo(channel, b"x" * 50) == b"x" * 50
    channel.finish()
    assert channel.stderr == b""
