"""A man in the middle for one TCP connection: flips bits, drops, doubles and invents bytes, delays, cuts.

What it does is a Plan, made from (seed, number) alone, so that a case can be run again. Offsets count bytes of one
direction; they are drawn evenly over the logarithm, so that version lines, key exchange, login and data all get theirs.
"""

import contextlib
import random
import select
import socket
import struct
import threading
import time

DIRECTIONS = ("up", "down")  # client to server, server to client
KINDS = ("flip", "flip", "flip", "drop", "double", "invent", "delay", "delay", "cut", "reset", "half-close")
LAST_OFFSET = 60_000  # what the clients of campaign.py move is about as much
CHUNKS = (1, 3, 17, 100, 1460, 16384, 65536)


class Action:
    def __init__(self, random_source):
        self.kind = random_source.choice(KINDS)
        self.direction = random_source.choice(DIRECTIONS)
        self.offset = int(LAST_OFFSET ** random_source.random())
        self.bit = random_source.randrange(8)
        self.count = random_source.choice((1, 2, 4, 16, 64, 1000))
        self.seconds = random_source.choice((0.001, 0.01, 0.05, 0.3))
        self.bytes = random_source.randbytes(self.count)

    def __str__(self):
        detail = {"flip": f"bit {self.bit}", "delay": f"{self.seconds} s"}.get(self.kind, f"{self.count} bytes")
        return f"{self.kind} {self.direction} at {self.offset} ({detail})"


class Plan:
    """number 0 of each hundred changes nothing: the clients must then succeed."""

    def __init__(self, seed, number):
        source = random.Random(f"{seed}:{number}")
        self.number = number
        count = 0 if number % 100 == 0 else source.choice((1, 1, 1, 2, 3))
        self.actions = [Action(source) for _ in range(count)]
        self.chunk = {direction: source.choice(CHUNKS) for direction in DIRECTIONS}
        self.client = source.choice(("rawssh", "rawssh", "rawssh", "sshload", "openssh"))
        self.cipher = source.choice(("aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes128-ctr"))
        self.size = source.choice((10, 3_000, 40_000))
        self.data_seed = source.random()

    @property
    def is_harmless(self):
        return all(each.kind == "delay" for each in self.actions)

    def __str__(self):
        return (
            f"case {self.number}: {self.client} {self.cipher} {self.size} bytes, chunks {self.chunk['up']}/"
            f"{self.chunk['down']}: {'; '.join(map(str, self.actions)) or 'nothing'}"
        )


class Cut(Exception):
    """The plan ends the connection; reset tells how."""

    def __init__(self, reset):
        super().__init__("cut")
        self.reset = reset


class Flow:
    """One direction."""

    def __init__(self, source, target, plan, direction):
        self.source, self.target = source, target
        self.chunk = plan.chunk[direction]
        self.todo = sorted((each for each in plan.actions if each.direction == direction), key=lambda each: each.offset)
        self.offset = 0
        self.applied = []
        self.ended = False  # nothing more to read
        self.pending = b""

    def tamper(self, data):
        """Applies what is due in these bytes; may raise Cut, with what precedes the cut in pending."""
        out = bytearray()
        at = self.offset
        while self.todo and self.todo[0].offset < at + len(data):
            action = self.todo.pop(0)
            place = action.offset - at
            out += data[:place]
            data, at = data[place:], action.offset
            self.applied.append(action)
            if action.kind == "flip" and data:
                data = bytes([data[0] ^ 1 << action.bit]) + data[1:]
            elif action.kind == "drop":
                data, at = data[action.count :], at + min(action.count, len(data))
            elif action.kind == "double":
                out += data[: action.count]
            elif action.kind == "invent":
                out += action.bytes
            elif action.kind == "delay":
                time.sleep(action.seconds)
            else:
                self.pending = bytes(out)
                if action.kind == "half-close":
                    self.ended = True
                    self.offset = at
                    return self.pending
                raise Cut(action.kind == "reset")
        self.offset = at + len(data)
        return bytes(out) + data

    def read(self):
        try:
            data = self.source.recv(self.chunk)
        except BlockingIOError:
            return
        if data:
            self.pending = self.tamper(data)
        else:
            self.ended = True

    def write(self):
        """Sends what is pending; passes an end on."""
        if self.pending:
            with contextlib.suppress(BlockingIOError):
                self.pending = self.pending[self.target.send(self.pending) :]
        if self.ended and not self.pending:
            self.target.shutdown(socket.SHUT_WR)
            self.target = None


class Proxy:
    """Listens on a port of its own for one connection, which goes to `server`; runs in a thread until close."""

    def __init__(self, server, plan):
        self.server, self.plan = server, plan
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1)
        self.address = self.listener.getsockname()[:2]
        self.sockets, self.flows = [], []
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    @property
    def applied(self):
        return [action for flow in self.flows for action in flow.applied]

    def run(self):
        reset = False
        try:
            self.listener.settimeout(20)
            client = self.listener.accept()[0]
            self.sockets.append(client)
            server = socket.create_connection(self.server, timeout=10)
            self.sockets.append(server)
            for sock in self.sockets:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.setblocking(False)
            self.flows = [Flow(client, server, self.plan, "up"), Flow(server, client, self.plan, "down")]
            while not self.stop.is_set() and any(flow.target for flow in self.flows):
                self.turn()
        except Cut as cut:
            reset = cut.reset
            for flow in self.flows:
                with contextlib.suppress(OSError, AttributeError):
                    flow.write()
        except OSError:
            pass  # one side has gone: so does the other
        finally:
            for sock in self.sockets:
                if reset:
                    with contextlib.suppress(OSError):
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.close()
            self.listener.close()

    def turn(self):
        poll = select.poll()
        wanted = {}
        for flow in self.flows:
            if flow.target and flow.pending:
                wanted[flow.target] = wanted.get(flow.target, 0) | select.POLLOUT
            elif flow.target and not flow.ended:
                wanted[flow.source] = wanted.get(flow.source, 0) | select.POLLIN
        for sock, events in wanted.items():
            poll.register(sock, events)
        ready = {fd for fd, _ in poll.poll(200)}
        for flow in self.flows:
            if flow.target and not flow.pending and not flow.ended and flow.source.fileno() in ready:
                flow.read()
            if flow.target and (flow.pending or flow.ended):
                flow.write()

    def close(self):
        self.stop.set()
        self.thread.join(30)
        assert not self.thread.is_alive(), f"the proxy hangs: {self.plan}"
