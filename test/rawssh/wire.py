"""Encoding of SSH's data types (RFC 4251 clause 5) and its message numbers (RFC 4250 clause 4.1)."""

import struct

DISCONNECT, IGNORE, UNIMPLEMENTED, DEBUG = 1, 2, 3, 4
SERVICE_REQUEST, SERVICE_ACCEPT, EXT_INFO = 5, 6, 7
KEXINIT, NEWKEYS = 20, 21
KEX_ECDH_INIT, KEX_ECDH_REPLY = 30, 31
USERAUTH_REQUEST, USERAUTH_FAILURE, USERAUTH_SUCCESS, USERAUTH_BANNER = 50, 51, 52, 53
USERAUTH_PK_OK = USERAUTH_INFO_REQUEST = 60
USERAUTH_INFO_RESPONSE = 61
GLOBAL_REQUEST, REQUEST_SUCCESS, REQUEST_FAILURE = 80, 81, 82
CHANNEL_OPEN, CHANNEL_OPEN_CONFIRMATION, CHANNEL_OPEN_FAILURE = 90, 91, 92
CHANNEL_WINDOW_ADJUST, CHANNEL_DATA, CHANNEL_EXTENDED_DATA = 93, 94, 95
CHANNEL_EOF, CHANNEL_CLOSE, CHANNEL_REQUEST = 96, 97, 98
CHANNEL_SUCCESS, CHANNEL_FAILURE = 99, 100

STDERR = 1
ADMINISTRATIVELY_PROHIBITED, CONNECT_FAILED, UNKNOWN_CHANNEL_TYPE, RESOURCE_SHORTAGE = 1, 2, 3, 4


def byte(value):
    return struct.pack(">B", value)


def boolean(value):
    return b"\x01" if value else b"\x00"


def u32(value):
    return struct.pack(">I", value)


def string(value):
    if isinstance(value, str):
        value = value.encode()
    return u32(len(value)) + bytes(value)


def names(values):
    return string(",".join(values))


def mpint(value):
    if value == 0:
        return string(b"")
    return string(value.to_bytes(value.bit_length() // 8 + 1, "big"))


class Reader:
    """Reads fields off a payload, front to back."""

    def __init__(self, payload):
        self.payload = bytes(payload)
        self.at = 0

    def take(self, count):
        if self.at + count > len(self.payload):
            raise ValueError(f"message of {len(self.payload)} bytes ends inside a field")
        self.at += count
        return self.payload[self.at - count : self.at]

    def byte(self):
        return self.take(1)[0]

    def boolean(self):
        return self.byte() != 0

    def u32(self):
        return struct.unpack(">I", self.take(4))[0]

    def string(self):
        return self.take(self.u32())

    def text(self):
        return self.string().decode("utf-8", "replace")

    def names(self):
        text = self.text()
        return text.split(",") if text else []

    def mpint(self):
        return int.from_bytes(self.string(), "big", signed=True)

    def rest(self):
        return self.take(len(self.payload) - self.at)
