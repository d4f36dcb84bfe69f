"""sshload on a terminal, and as much of a terminal as it needs."""

import contextlib
import os
import pty
import re
import select
import signal
import termios
import time

import harness


class Screen:
    """As much of a terminal as the view needs."""

    def __init__(self):
        self.rows, self.row, self.column = [""], 0, 0

    def feed(self, text):
        for part in re.findall(r"\x1b\[\??\d*[A-Za-z]|[^\x1b]", text):
            code = re.match(r"\x1b\[(\d*)([A-Z])$", part)
            if part == "\r":
                self.column = 0
            elif part == "\n":
                self.row += 1
                self.rows += [""] * (self.row + 1 - len(self.rows))
            elif code is None:
                row = self.rows[self.row].ljust(self.column)
                self.rows[self.row] = row[: self.column] + part + row[self.column + 1 :]
                self.column += 1
            elif code[2] == "A":
                self.row -= int(code[1] or 1)
                assert self.row >= 0
            elif code[2] == "K":
                self.rows[self.row] = self.rows[self.row][: self.column]
            elif code[2] == "J":
                self.rows[self.row] = self.rows[self.row][: self.column]
                del self.rows[self.row + 1 :]
            else:
                raise AssertionError(f"{part!r} is more than the view needs")
        return self

    @property
    def shown(self):
        return "\n".join(self.rows).strip()


class Viewed:
    """sshload on a pseudo-terminal of its own, which is also its controlling one."""

    def __init__(self, *words, columns=80):
        self.text, self.status = "", None
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                signal.signal(signal.SIGHUP, signal.SIG_DFL)  # these tests may themselves be under nohup
                os.execv(str(harness.SSHLOAD), ["sshload", *map(str, words)])
            finally:
                os._exit(127)
        termios.tcsetwinsize(self.fd, (24, columns))
        self.modes = termios.tcgetattr(self.fd)

    def read(self):
        with contextlib.suppress(OSError):  # how a terminal whose other side is closed reads
            if select.select([self.fd], [], [], 0.05)[0]:
                data = os.read(self.fd, 65536).decode()
                self.text += data
                return bool(data)
        return False

    def until(self, pattern, timeout=20):
        end = time.monotonic() + timeout
        while not re.search(pattern, self.text):
            assert time.monotonic() < end, f"no {pattern} in {self.text!r}"
            self.read()

    def finish(self, timeout=30):
        end = time.monotonic() + timeout
        while True:
            self.read()
            done, self.status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                break
            assert time.monotonic() < end, "it does not end"
        while self.read():
            pass
        assert termios.tcgetattr(self.fd)[:4] == self.modes[:4]
        os.close(self.fd)
        return os.waitstatus_to_exitcode(self.status)
