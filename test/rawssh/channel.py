"""A channel whose windows the test moves by hand."""

import random

from .wire import *  # noqa: F403


OUT_AHEAD_BYTES = 256 * 1024  # how much channel data is sealed ahead of the socket


def pattern(count, seed=0):
    """count pseudo-random bytes that seed alone determines."""
    return random.Random(seed).randbytes(count)


class Channel:
    """One channel's books. window is what the server may still send us, remote_window what we may still send."""

    def __init__(self, client, number, window, max_packet):
        self.client, self.number = client, number
        self.window, self.max_packet = window, max_packet
        self.remote, self.remote_max_packet = None, None
        self.remote_window = 0
        self.open_failure = None  # (reason, text)
        self.opened = False
        self.granted = 0  # bytes the server let us send: initial window + adjusts
        self.granted_initial = 0
        self.adjusts = 0
        self.sent = 0
        self.data = bytearray()
        self.stderr = bytearray()
        self.keep = True  # False: count received bytes, do not keep them
        self.received = 0  # data + stderr
        self.events = []  # ("data", n) ("stderr", n) ("success",) ("failure",) ("request", name) ("eof",) ...
        self.replies = []  # True / False, in order
        self.eof = self.closed = False
        self.sent_eof = self.sent_close = False
        self.exit_status = None
        self.exit_signal = None  # (name without SIG, core dumped, text)
        self.auto_window = None  # keep our window at least half this size while data arrives
        self.outgoing = bytearray()  # data that follows as the window opens (feed)
        self.packet_limit = 32768
        self.eof_after_outgoing = False

    # -- what the test asks for

    def request(self, name, want_reply=True, body=b"", wait=True):
        self.client.send(byte(CHANNEL_REQUEST) + u32(self.remote) + string(name) + boolean(want_reply) + body)
        if not (want_reply and wait):
            return None
        expected = len(self.replies) + 1
        self.client.wait(lambda: len(self.replies) >= expected, what=f"reply to {name}")
        return self.replies[expected - 1]

    def shell(self, **more):
        return self.request("shell", **more)

    def execute(self, command, **more):
        return self.request("exec", body=string(command), **more)

    def subsystem(self, name, **more):
        return self.request("subsystem", body=string(name), **more)

    def pty(self, **more):
        body = string("xterm") + u32(80) + u32(24) + u32(0) + u32(0) + string(b"\x00")
        return self.request("pty-req", body=body, **more)

    def send_data(self, data, kind=None):
        """One packet, sent as it is, whatever the window says. kind: a data type code for extended data."""
        if kind is None:
            self.client.send(byte(CHANNEL_DATA) + u32(self.remote) + string(data))
        else:
            self.client.send(byte(CHANNEL_EXTENDED_DATA) + u32(self.remote) + u32(kind) + string(data))
        self.remote_window -= len(data)
        self.sent += len(data)

    def feed(self, data, eof=False):
        """Sends data in order as the server's window allows."""
        self.outgoing += data
        self.eof_after_outgoing = self.eof_after_outgoing or eof

    def move(self):
        while self.outgoing and self.remote_window > 0 and not self.closed:
            if len(self.client.out) >= OUT_AHEAD_BYTES or self.client.exchanging:
                return
            count = min(len(self.outgoing), self.remote_window, self.remote_max_packet, self.packet_limit)
            self.send_data(bytes(self.outgoing[:count]))
            del self.outgoing[:count]
        if self.eof_after_outgoing and not self.outgoing and not self.sent_eof and not self.closed:
            self.send_eof()

    def adjust(self, count):
        self.window += count
        self.client.send(byte(CHANNEL_WINDOW_ADJUST) + u32(self.remote) + u32(count))

    def send_eof(self):
        self.sent_eof = True
        self.client.send(byte(CHANNEL_EOF) + u32(self.remote))

    def send_close(self):
        self.sent_close = True
        self.client.send(byte(CHANNEL_CLOSE) + u32(self.remote))

    def finish(self, timeout=20):
        """EOF from us, then whatever the server still has, up to its CLOSE, which is answered."""
        if not self.sent_eof:
            self.send_eof()
        self.client.wait(lambda: self.closed, timeout, f"CLOSE of channel {self.number}")
        if not self.sent_close:
            self.send_close()

    def ending(self):
        """The events that end a channel, in order."""
        return [e[1] if e[0] == "request" else e[0] for e in self.events if e[0] in ("request", "eof", "close")]

    # -- what the server does

    def take_data(self, data, kind):
        self.received += len(data)
        self.window -= len(data)
        bad = self.client.violations
        if self.window < 0:
            bad.append(f"channel {self.number}: {-self.window} bytes beyond our window")
        if len(data) > self.max_packet:
            bad.append(f"channel {self.number}: packet of {len(data)} bytes, maximum is {self.max_packet}")
        if self.eof:
            bad.append(f"channel {self.number}: data after EOF")
        if self.keep:
            (self.data if kind is None else self.stderr).extend(data)
        self.events.append(("data" if kind is None else "stderr", len(data)))
        if self.auto_window and self.window < self.auto_window // 2 and not self.closed:
            self.adjust(self.auto_window - self.window)

    def handle(self, code, reader):
        if self.closed:
            self.client.violations.append(f"channel {self.number}: message {code} after CLOSE")
        if code == CHANNEL_DATA:
            self.take_data(reader.string(), None)
        elif code == CHANNEL_EXTENDED_DATA:
            kind = reader.u32()
            self.take_data(reader.string(), kind)
        elif code == CHANNEL_WINDOW_ADJUST:
            count = reader.u32()
            self.granted += count
            self.adjusts += 1
            self.remote_window += count
            self.events.append(("adjust", count))
        elif code == CHANNEL_SUCCESS or code == CHANNEL_FAILURE:
            self.replies.append(code == CHANNEL_SUCCESS)
            self.events.append(("success" if code == CHANNEL_SUCCESS else "failure",))
        elif code == CHANNEL_REQUEST:
            name, want = reader.text(), reader.boolean()
            if name == "exit-status":
                self.exit_status = reader.u32()
            elif name == "exit-signal":
                self.exit_signal = (reader.text(), reader.boolean(), reader.text())
            self.events.append(("request", name))
            if want:
                self.client.send(byte(CHANNEL_FAILURE) + u32(self.remote))
        elif code == CHANNEL_EOF:
            self.eof = True
            self.events.append(("eof",))
        elif code == CHANNEL_CLOSE:
            self.closed = True
            self.events.append(("close",))
