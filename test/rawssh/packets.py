"""The binary packet layer (RFC 4253 clauses 4.2 and 6) over a non-blocking socket.

Nothing moves unless the test calls `step`. Output waits in `out` until the socket takes it; input is read only while
`reading` is true, so that a test can be the peer that does not read. `send_raw` and the arguments of `frame` let a test
send what no honest client would.
"""

import os
import select
import socket
import struct
import time
import zlib

from .crypto import BadPacket, Plain


class PacketError(Exception):
    """The server sent something that the packet layer does not allow."""


def connect(address, source=None, receive_buffer=None, send_buffer=None, timeout=10):
    """A TCP connection to (host, port); buffers in bytes where a test wants them small."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    if send_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if source:
        sock.bind((source, 0))
    sock.settimeout(timeout)
    try:
        sock.connect(address)
    except OSError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


class Packets:
    patience = 20.0  # seconds that wait gives a condition unless told otherwise

    def __init__(self, sock, banner="SSH-2.0-rawssh"):
        self.sock = sock
        self.out = bytearray()
        self.inbuf = bytearray()
        self.reading = True
        self.closed = False  # the server closed, or the connection broke
        self.close_error = None  # the exception, where it broke
        self.client_banner = banner if isinstance(banner, bytes) else banner.encode()
        self.server_banner = None
        self.send_seq = self.receive_seq = 0
        self.sealer = Plain()
        self.opener = Plain()
        self.deflate = self.inflate = None
        self.bytes_in = self.bytes_out = 0

    # -- output

    def frame(self, payload, padding=None, length=None):
        """One packet as it goes on the wire, taking the next sequence number. padding and length may lie."""
        if self.deflate:
            payload = self.deflate.compress(payload) + self.deflate.flush(zlib.Z_SYNC_FLUSH)
        covered = 1 + len(payload) + (0 if self.sealer.clear_length else 4)
        pad = self.sealer.block - covered % self.sealer.block
        if pad < 4:
            pad += self.sealer.block
        body = bytes([pad if padding is None else padding]) + payload + os.urandom(pad)
        packet = struct.pack(">I", len(body) if length is None else length) + body
        wire = self.sealer.seal(self.send_seq, packet)
        self.send_seq = (self.send_seq + 1) & 0xFFFFFFFF
        return wire

    def send_raw(self, data):
        self.out += data

    def send_packet(self, payload):
        self.out += self.frame(payload)

    def flush(self):
        while self.out and not self.closed:
            try:
                with memoryview(self.out) as view, view[:262144] as chunk:
                    count = self.sock.send(chunk)
            except BlockingIOError:
                return
            except OSError as error:
                self.broken(error)
                return
            self.bytes_out += count
            del self.out[:count]

    def broken(self, error):
        # What the server sent before it closed (a disconnect message) may still be there to read.
        self.close_error = self.close_error or error
        self.out.clear()
        self.receive(until_empty=True)
        self.closed = True

    # -- input

    def receive(self, until_empty=False):
        while not self.closed:
            try:
                data = self.sock.recv(262144)
            except BlockingIOError:
                return
            except OSError as error:
                self.close_error = self.close_error or error
                self.closed = True
                return
            if not data:
                self.closed = True
                return
            self.bytes_in += len(data)
            self.inbuf += data
            if not until_empty:
                return

    def next_packet(self):
        """The next whole payload that has arrived, or None."""
        opener = self.opener
        if len(self.inbuf) < max(4, opener.head):
            return None
        length = opener.length(self.receive_seq, bytes(self.inbuf[: opener.head]))
        if not 5 <= length <= 262144:
            raise PacketError(f"server sent a packet of {length} bytes")
        total = 4 + length + opener.tag
        if len(self.inbuf) < total:
            return None
        wire = bytes(self.inbuf[:total])
        del self.inbuf[:total]
        try:
            packet = opener.unseal(self.receive_seq, wire)
        except BadPacket as error:
            raise PacketError(f"server's packet {self.receive_seq} fails its {error}") from error
        self.receive_seq = (self.receive_seq + 1) & 0xFFFFFFFF
        if packet[4] < 4 or packet[4] >= length:
            raise PacketError(f"server's padding is {packet[4]} of {length} bytes")
        payload = packet[5 : 4 + length - packet[4]]
        return self.inflate.decompress(payload) if self.inflate else payload

    def next_line(self):
        end = self.inbuf.find(b"\n")
        if end < 0:
            return None
        line = bytes(self.inbuf[:end])
        del self.inbuf[: end + 1]
        return line.rstrip(b"\r")

    # -- movement

    def step(self, timeout=0.0):
        """Sends what can be sent, reads once if allowed, hands on what arrived. Waits at most timeout seconds."""
        if not self.closed:
            self.prepare()
            events = (select.POLLIN if self.reading else 0) | (select.POLLOUT if self.out else 0)
            poll = select.poll()
            poll.register(self.sock, events)
            ready = poll.poll(max(0, int(timeout * 1000)))
            if self.out:
                self.flush()
            if self.reading and ready:
                self.receive()
        if self.reading:
            self.dispatch()

    def prepare(self):
        """For subclasses: put more into out."""

    def dispatch(self):
        """For subclasses: take packets from inbuf."""

    def wait(self, condition, timeout=None, what="the condition"):
        """Steps until condition() is true. Fails loudly when time runs out or the connection ends before."""
        timeout = timeout or self.patience
        end = time.monotonic() + timeout
        while not condition():
            left = end - time.monotonic()
            if left <= 0:
                raise AssertionError(f"no {what} within {timeout:g} s: {self.state()}")
            if self.closed and not self.inbuf_has_packet():
                raise self.ended(what)
            self.step(min(left, 0.5))

    def inbuf_has_packet(self):
        before = len(self.inbuf)
        if self.reading:
            self.dispatch()
        return len(self.inbuf) != before

    def ended(self, what):
        return ConnectionError(f"connection ended before {what}: {self.state()}")

    def idle(self, seconds):
        """Steps for a while, whatever happens."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.closed:
            self.step(min(0.05, max(0.0, end - time.monotonic())))

    def state(self):
        return (
            f"closed={self.closed} error={self.close_error} out={len(self.out)} in={len(self.inbuf)} "
            f"bytes_in={self.bytes_in} bytes_out={self.bytes_out}"
        )

    def reset(self):
        """Ends the connection with a TCP reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        self.closed = True
        self.sock.close()
