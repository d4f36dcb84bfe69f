"""Key exchange, authentication and channels, moved only by the test.

The client keeps the books that the tests compare: what the server granted, what it sent, every event in order. It also
checks the server: more data than our window, packets over our maximum size, data after EOF and the like are collected
in `violations`, which `close` asserts to be empty.
"""

import os
import zlib

from . import crypto
from .channel import Channel
from .packets import PacketError, Packets, connect
from .wire import *  # noqa: F403

STRICT_CLIENT, STRICT_SERVER = "kex-strict-c-v00@openssh.com", "kex-strict-s-v00@openssh.com"


class Disconnected(ConnectionError):
    """The server sent SSH_MSG_DISCONNECT; reason and text are the server's."""

    def __init__(self, message, reason, text):
        super().__init__(message)
        self.reason, self.text = reason, text


class Client(Packets):
    def __init__(
        self,
        address,
        *,
        kex=("curve25519-sha256",),
        host_keys=tuple(crypto.HOST_KEYS),
        ciphers=("aes128-gcm@openssh.com",),
        macs=tuple(crypto.MACS),
        compression=("none",),
        strict=True,
        banner="SSH-2.0-rawssh",
        handshake=True,
        **socket_options,
    ):
        super().__init__(connect(address, **socket_options), banner)
        self.offer = {
            "kex": list(kex),
            "host_keys": list(host_keys),
            "ciphers": list(ciphers),
            "macs": list(macs),
            "compression": list(compression),
        }
        self.want_strict = strict
        self.strict = False
        self.session_id = None
        self.exchanging = False  # our KEXINIT is out and NEWKEYS is not
        self.kex_count = 0
        self.own_kexinit = self.peer_kexinit = None
        self.chosen = {}
        self.engine = None
        self.pending_opener = None
        self.held = []  # payloads that wait for the end of a key exchange
        self.answer_rekey = True
        self.authenticated = False
        self.auth_events = []  # codes 51, 52, 60 and bodies, in order
        self.extensions = {}
        self.banner_text = None
        self.disconnect = None  # (reason, text)
        self.unimplemented = []  # sequence numbers the server did not know
        self.global_replies = []
        self.global_requests = []
        self.channels = {}
        self.violations = []
        self.messages = []  # every message code that arrived
        self.host_key = None
        if handshake:
            self.handshake()

    # -- key exchange

    def send_banner(self):
        self.send_raw(self.client_banner + b"\r\n")

    def handshake(self, timeout=20):
        self.send_banner()
        self.start_kex()
        self.wait(lambda: self.kex_count > 0, timeout, "key exchange")

    def kexinit(self, **change):
        """The payload of our KEXINIT; change replaces lists by name, `guess` sets first_kex_packet_follows."""
        offer = {**self.offer, **change}
        kex = list(offer["kex"])
        if self.session_id is None:
            kex += ["ext-info-c"] + ([STRICT_CLIENT] if self.want_strict else [])
        lists = [
            kex,
            offer["host_keys"],
            offer["ciphers"],
            offer["ciphers"],
            offer["macs"],
            offer["macs"],
            offer["compression"],
            offer["compression"],
            [],
            [],
        ]
        return (
            byte(KEXINIT)
            + os.urandom(16)
            + b"".join(names(each) for each in lists)
            + boolean(offer.get("guess", False))
            + u32(0)
        )

    def start_kex(self, **change):
        self.own_kexinit = self.kexinit(**change)
        self.exchanging = True
        self.send_packet(self.own_kexinit)

    def rekey(self, wait=True, timeout=20):
        before = self.kex_count
        if not self.exchanging:
            self.start_kex()
        if wait:
            self.wait(lambda: self.kex_count > before, timeout, "re-key")

    def take_kexinit(self, payload):
        self.peer_kexinit = payload
        if not self.answer_rekey and self.session_id is not None and not self.exchanging:
            return
        if not self.exchanging:
            self.start_kex()
        theirs, ours = (self.kexinit_lists(each) for each in (payload, self.own_kexinit))
        for index, key in enumerate(
            ("kex", "host_key", "cipher_out", "cipher_in", "mac_out", "mac_in", "compression_out", "compression_in")
        ):
            self.chosen[key] = next((name for name in ours[index] if name in theirs[index]), None)
        if self.session_id is None:
            self.strict = self.want_strict and STRICT_SERVER in theirs[0]
        if self.chosen["kex"] not in crypto.KEX:
            raise PacketError(f"no key exchange in common: {theirs[0]}")
        self.engine = crypto.KEX[self.chosen["kex"]]()
        self.send_packet(byte(KEX_ECDH_INIT) + string(self.engine.public))

    @staticmethod
    def kexinit_lists(payload):
        reader = Reader(payload)
        reader.take(17)
        return [reader.names() for _ in range(10)]

    def take_kex_reply(self, reader):
        key, public, signature = reader.string(), reader.string(), reader.string()
        secret = self.engine.shared(public)
        data = b"".join(
            string(each)
            for each in (
                self.client_banner,
                self.server_banner,
                self.own_kexinit,
                self.peer_kexinit,
                key,
                self.engine.public,
                public,
            )
        ) + mpint(secret)
        exchange_hash = self.engine.hash(data).digest()
        crypto.verify_host_key(key, signature, exchange_hash)
        self.host_key = key
        if self.session_id is None:
            self.session_id = exchange_hash
        derive = crypto.key_deriver(self.engine.hash, secret, exchange_hash, self.session_id)
        chosen = self.chosen
        sealer = crypto.make_cipher(chosen["cipher_out"], chosen["mac_out"], derive, (b"A", b"C", b"E"))
        self.pending_opener = crypto.make_cipher(chosen["cipher_in"], chosen["mac_in"], derive, (b"B", b"D", b"F"))
        self.send_packet(byte(NEWKEYS))
        self.sealer = sealer
        if self.strict:
            self.send_seq = 0
        if chosen["compression_out"] == "zlib" or self.deflate:
            self.deflate = zlib.compressobj()
        self.exchanging = False
        held, self.held = self.held, []
        for payload in held:
            self.send_packet(payload)

    def take_newkeys(self):
        self.opener, self.pending_opener = self.pending_opener, None
        if self.strict:
            self.receive_seq = 0
        if self.chosen["compression_in"] == "zlib" or self.inflate:
            self.inflate = zlib.decompressobj()
        self.kex_count += 1

    # -- messages

    def send(self, payload):
        """An ordinary message: waits its turn while keys are exchanged (RFC 4253 clause 7.1)."""
        if self.exchanging:
            self.held.append(bytes(payload))
        else:
            self.send_packet(payload)

    def prepare(self):
        for channel in list(self.channels.values()):
            if channel.outgoing or channel.eof_after_outgoing:
                channel.move()

    def dispatch(self):
        if self.server_banner is None:
            line = self.next_line()
            if line is None:
                return
            self.server_banner = line
        while True:
            payload = self.next_packet()
            if payload is None:
                return
            self.handle(payload)

    def handle(self, payload):
        code, reader = payload[0], Reader(payload[1:])
        self.messages.append(code)
        if CHANNEL_WINDOW_ADJUST <= code <= CHANNEL_FAILURE:
            channel = self.channels.get(reader.u32())
            if channel is None:
                self.violations.append(f"message {code} for an unknown channel")
            else:
                channel.handle(code, reader)
        elif code == KEXINIT:
            self.take_kexinit(payload)
        elif code == KEX_ECDH_REPLY:
            self.take_kex_reply(reader)
        elif code == NEWKEYS:
            self.take_newkeys()
        elif code == DISCONNECT:
            self.disconnect = (reader.u32(), reader.text())
        elif code in (USERAUTH_SUCCESS, USERAUTH_FAILURE, USERAUTH_INFO_REQUEST):
            self.auth_events.append((code, reader.rest()))
            if code == USERAUTH_SUCCESS:
                self.authenticated = True
                if self.chosen.get("compression_out") == "zlib@openssh.com":
                    self.deflate, self.inflate = zlib.compressobj(), zlib.decompressobj()
        elif code == USERAUTH_BANNER:
            self.banner_text = reader.text()
        elif code == EXT_INFO:
            for _ in range(reader.u32()):
                name = reader.text()
                self.extensions[name] = reader.text()
        elif code == UNIMPLEMENTED:
            self.unimplemented.append(reader.u32())
        elif code == CHANNEL_OPEN_CONFIRMATION:
            channel = self.channels[reader.u32()]
            channel.remote, channel.remote_window = reader.u32(), reader.u32()
            channel.remote_max_packet = reader.u32()
            channel.granted = channel.granted_initial = channel.remote_window
            channel.opened = True
        elif code == CHANNEL_OPEN_FAILURE:
            channel = self.channels.pop(reader.u32(), None)
            if channel is None:
                self.violations.append("an open refused that nobody asked for")
            else:
                channel.open_failure = (reader.u32(), reader.text())
        elif code in (REQUEST_SUCCESS, REQUEST_FAILURE):
            self.global_replies.append(code == REQUEST_SUCCESS)
        elif code == GLOBAL_REQUEST:
            name, want = reader.text(), reader.boolean()
            self.global_requests.append(name)
            if want:
                self.send(byte(REQUEST_FAILURE))

    def ended(self, what):
        if self.disconnect:
            return Disconnected(f"disconnected before {what}: {self.state()}", *self.disconnect)
        return ConnectionError(f"connection ended before {what}: {self.state()}")

    def state(self):
        lines = [super().state(), f"kex={self.kex_count} exchanging={self.exchanging} disconnect={self.disconnect}"]
        for channel in list(self.channels.values())[:8]:
            lines.append(
                f"channel {channel.number}: sent={channel.sent} received={channel.received} "
                f"granted={channel.granted} their_window={channel.remote_window} our_window={channel.window} "
                f"to_send={len(channel.outgoing)} ending={channel.ending()}"
            )
        return "; ".join(lines)

    def wait_end(self, timeout=10):
        """Waits for the server to end the connection; returns its (reason, text), or None if it just closed."""

        def gone():
            if self.closed:
                self.dispatch()
            return self.closed

        self.wait(gone, timeout, "end of the connection")
        return self.disconnect

    # -- authentication

    def service(self):
        self.send(byte(SERVICE_REQUEST) + string("ssh-userauth"))
        self.wait(lambda: SERVICE_ACCEPT in self.messages, what="SERVICE_ACCEPT")

    def auth_request(self, user, method, body=b""):
        return byte(USERAUTH_REQUEST) + string(user) + string("ssh-connection") + string(method) + body

    def auth(self, user, method, body=b""):
        """One attempt: (code, body) of the server's answer."""
        if SERVICE_ACCEPT not in self.messages:
            self.service()
        expected = len(self.auth_events) + 1
        self.send(self.auth_request(user, method, body))
        self.wait(lambda: len(self.auth_events) >= expected, what=f"answer to {method}")
        return self.auth_events[expected - 1]

    def login(self, user="tester"):
        code, _ = self.auth(user, "none")
        assert code == USERAUTH_SUCCESS, f"auth none was refused ({code})"
        return self

    def auth_none(self, user="tester"):
        return self.auth(user, "none")[0] == USERAUTH_SUCCESS

    def auth_password(self, user, password):
        return self.auth(user, "password", boolean(False) + string(password))[0] == USERAUTH_SUCCESS

    def auth_publickey(self, user, private, session_id=None, spoil=False):
        blob = crypto.ed25519_blob(private)
        body = boolean(True) + string("ssh-ed25519") + string(blob)
        signature = private.sign(string(session_id or self.session_id) + self.auth_request(user, "publickey", body))
        if spoil:
            signature = bytes([signature[0] ^ 1]) + signature[1:]
        return (
            self.auth(user, "publickey", body + string(string("ssh-ed25519") + string(signature)))[0]
            == USERAUTH_SUCCESS
        )

    def auth_methods(self, user="tester"):
        """The methods that the server names when `none` fails."""
        code, body = self.auth(user, "none")
        return None if code == USERAUTH_SUCCESS else Reader(body).names()

    # -- channels

    def open(self, window=1 << 21, max_packet=32768, kind="session", body=b"", number=None, wait=True):
        number = len(self.channels) if number is None else number
        while number in self.channels:
            number += 1
        channel = self.channels[number] = Channel(self, number, window, max_packet)
        self.send(byte(CHANNEL_OPEN) + string(kind) + u32(number) + u32(window) + u32(max_packet) + body)
        if wait:
            self.wait(lambda: channel.opened or channel.open_failure, what=f"answer to the open of {kind}")
        return channel

    def shell(self, window=1 << 21, max_packet=32768, auto=True):
        """An open session channel with a shell; with auto our window is kept open while data arrives."""
        channel = self.open(window, max_packet)
        assert channel.opened, f"open refused: {channel.open_failure}"
        assert channel.shell(), "shell refused"
        if auto:
            channel.auto_window = window
        return channel

    def global_request(self, name, want_reply=True, body=b""):
        self.send(byte(GLOBAL_REQUEST) + string(name) + boolean(want_reply) + body)
        if not want_reply:
            return None
        expected = len(self.global_replies) + 1
        self.wait(lambda: len(self.global_replies) >= expected, what=f"reply to {name}")
        return self.global_replies[expected - 1]

    def echo(self, channel, data, timeout=20):
        """Sends data as the window allows and waits until as many bytes have come back; returns those."""
        start = len(channel.data)
        channel.feed(data)
        self.wait(lambda: len(channel.data) - start >= len(data), timeout, f"echo of {len(data)} bytes")
        return bytes(channel.data[start:])

    def close(self):
        super().close()
        violations, self.violations = self.violations, []
        assert not violations, f"the server broke the protocol: {violations[:5]}"

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind:
            self.violations = []
        self.close()
