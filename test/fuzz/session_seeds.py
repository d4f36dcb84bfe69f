#!/usr/bin/python3
"""Writes test/fuzz/seeds/fuzz_server_session and session.dict: what clients say, as fuzz_server_session.c reads it.

Each seed is a few packets behind a byte of choices; its name says what they are. Run again after a change here.
"""

import pathlib
import struct

HERE = pathlib.Path(__file__).parent

NOTHING, KEYED, LOGGED_IN, SHELL = range(4)
PLAIN, SMALL_WINDOW = 4, 8
BENCH, EXPOSED, STEPS, LATE, PROXIED = (place << 4 for place in range(5))

RAW, TIME, READING, HALF_CLOSE, DATA, EXCHANGE, OPEN = range(0xF1, 0xF8)
CHANNEL = 43  # libssh's first


def text(value):
    value = value.encode() if isinstance(value, str) else value
    return struct.pack(">I", len(value)) + value


def number(*values):
    return struct.pack(f">{len(values)}I", *values)


def packet(*parts):
    payload = b"".join(bytes([each]) if isinstance(each, int) else each for each in parts)
    if len(payload) < 0xF0:
        return bytes([len(payload)]) + payload
    return b"\xf0" + struct.pack(">H", len(payload)) + payload


def raw(value):
    return bytes([RAW, len(value)]) + value


def passes(power):
    """2 ** power microseconds"""
    return bytes([TIME, power])


def login(method, *rest):
    return packet(50, text("fuzz"), text("ssh-connection"), text(method), *rest)


def request(kind, *rest, channel=CHANNEL, wants_reply=1):
    return packet(98, number(channel), text(kind), wants_reply, *rest)


def execute(words):
    return request("exec", text(words))


def data(value, channel=CHANNEL):
    return packet(94, number(channel), text(value))


def kexinit(*lists):
    return packet(20, bytes(16), *(text(each) for each in lists), 0, number(0))


OPENED = bytes([OPEN, 0])
SERVICE = packet(5, text("ssh-userauth"))
BANNER = raw(b"SSH-2.0-fuzz\r\n")
GCM = "aes128-gcm@openssh.com"
KEX = ("curve25519-sha256", "ssh-ed25519", GCM, GCM, "hmac-sha2-256", "hmac-sha2-256", "none", "none", "", "")
TERMINAL = request("pty-req", text("xterm"), number(80, 24, 0, 0), text(bytes([53, 0, 0, 0, 1, 0])))
KEY = text(text("ssh-ed25519") + text(bytes([9]) + bytes(31)))
VERBS = [
    "discard",
    "chargen 100K",
    "report",
    "report text",
    "terminal",
    "echo delay=20ms jitter=5ms rate=10K for=2s",
    "stall after=1K for=1s",
    "drop after=1K",
    "reset after=1K",
    "exit status=3 after=10",
    "exit signal=TERM",
    "stderr split size=100",
    "rekey every=1K",
    "refuse",
    "stall nonsense",
]

CASES = {
    # before there are keys
    "banner_and_exchange": (NOTHING, BANNER, bytes([EXCHANGE])),
    "banner_long": (NOTHING, raw(b"SSH-2.0-" + b"x" * 200)),
    "banner_old": (NOTHING, raw(b"SSH-1.5-old\n")),
    "banner_none": (NOTHING, raw(b"GET / HTTP/1.1\r\n\r\n")),
    "banner_late": (NOTHING, passes(23), BANNER),
    "kexinit_nothing_in_common": (NOTHING, BANNER, kexinit("diffie-hellman-group1-sha1", *KEX[1:])),
    "kexinit_strict": (NOTHING, BANNER, kexinit(KEX[0] + ",ext-info-c,kex-strict-c-v00@openssh.com", *KEX[1:])),
    "kexinit_short": (NOTHING, BANNER, packet(20, bytes(16), number(1 << 31))),
    "kexinit_twice": (NOTHING, BANNER, kexinit(*KEX), kexinit(*KEX)),
    "ecdh_zero": (NOTHING, BANNER, kexinit(*KEX), packet(30, text(bytes(32)))),
    "newkeys_early": (NOTHING, BANNER, packet(21)),
    "login_without_keys": (NOTHING, BANNER, SERVICE, login("none")),
    "length_huge": (NOTHING, BANNER, raw(b"\xff\xff\xff\xff\x04")),
    "plain_banner_and_exchange": (NOTHING | PLAIN, BANNER, bytes([EXCHANGE])),
    "proxy_v1": (PROXIED | NOTHING, raw(b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n"), BANNER, bytes([EXCHANGE])),
    "proxy_v2": (PROXIED | NOTHING, raw(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\2\x7f\0\0\1\0\1\0\2"), BANNER),
    "proxy_bad": (PROXIED | NOTHING, BANNER),
    "proxy_late": (PROXIED | NOTHING, raw(b"PROXY"), passes(22)),
    # login
    "login_none": (KEYED, SERVICE, login("none"), OPENED, request("shell")),
    "login_password": (EXPOSED | KEYED, SERVICE, login("password", 0, text("secret"))),
    "login_password_change": (KEYED, SERVICE, login("password", 1, text("old"), text("new"))),
    "login_key_asked": (KEYED, SERVICE, login("publickey", 0, text("ssh-ed25519"), KEY)),
    "login_key_signed_badly": (
        KEYED,
        SERVICE,
        login("publickey", 1, text("ssh-ed25519"), KEY, text(text("ssh-ed25519") + text(bytes(64)))),
    ),
    "login_keyboard": (
        KEYED,
        SERVICE,
        login("keyboard-interactive", text(""), text("")),
        packet(61, number(1), text("x")),
    ),
    "login_keyboard_count": (
        KEYED,
        SERVICE,
        login("keyboard-interactive", text(""), text("")),
        packet(61, number(1 << 30)),
    ),
    "login_steps": (STEPS | KEYED, SERVICE, login("none"), login("password", 0, text("x")), login("publickey")),
    "login_hostbased": (EXPOSED | KEYED, SERVICE, login("hostbased") * 7),
    "login_other_service": (KEYED, packet(5, text("ssh-connection"))),
    "login_late": (EXPOSED | KEYED, SERVICE, passes(27), login("none")),
    "login_answer_unasked": (KEYED, SERVICE, packet(61, number(0)), packet(52)),
    "open_without_login": (KEYED, SERVICE, OPENED),
    # channels
    "shell_terminal": (LOGGED_IN, OPENED, TERMINAL, request("shell"), data("hello\r\x7f\x03\x1b[A\x04")),
    "shell_twice": (SHELL, request("shell"), execute("discard"), data("x")),
    "environment": (LOGGED_IN, OPENED, request("env", text("LANG"), text("C")), request("subsystem", text("sftp"))),
    "window_change": (
        SHELL,
        request("window-change", number(100, 30, 0, 0), wants_reply=0),
        request("signal", text("INT")),
    ),
    "requests_unknown": (
        SHELL,
        request("x11-req", 0, text("MIT"), text("0"), number(0)),
        request("auth-agent-req@openssh.com"),
    ),
    "request_no_channel": (LOGGED_IN, request("shell", channel=7)),
    "open_types": (
        LOGGED_IN,
        packet(90, text("direct-tcpip"), number(1, 100, 100), text("h"), number(1), text("h"), number(2)),
    ),
    "open_packet_ten": (LOGGED_IN, packet(90, text("session"), number(0, 100000, 10)), request("shell"), data("hello")),
    "open_window_none": (LOGGED_IN, packet(90, text("session"), number(0, 0, 32768)), request("shell"), data("hello")),
    "open_many": (EXPOSED | LOGGED_IN, OPENED * 40),
    "data": (SHELL, data("hello"), data(""), data("x" * 300)),
    "data_small_window": (SHELL | SMALL_WINDOW, bytes([DATA, 8]), packet(93, number(CHANNEL, 100)) * 4),
    "data_plain_path": (SHELL | PLAIN | SMALL_WINDOW, bytes([DATA, 128]), packet(93, number(CHANNEL, 100000))),
    "data_overrun": (SHELL, bytes([READING]), bytes([DATA, 128]) * 45),
    "data_stderr": (SHELL, packet(95, number(CHANNEL, 1), text("oops"))),
    "data_after_eof": (SHELL, packet(96, number(CHANNEL)), data("late"), packet(97, number(CHANNEL)), data("later")),
    "window_overflow": (SHELL, packet(93, number(CHANNEL, 0xFFFFFFFF)) * 2, data("x")),
    "close_and_open": (
        SHELL,
        packet(97, number(CHANNEL)),
        OPENED,
        request("shell", channel=CHANNEL + 1),
        data("x", CHANNEL + 1),
    ),
    "half_close": (SHELL, data("x"), bytes([HALF_CLOSE])),
    "late": (LATE | SHELL, data("x"), passes(21), OPENED, passes(15), packet(82), passes(24), data("y"), passes(27)),
    "late_bytes": (LATE | SHELL, bytes([DATA, 128]) * 40),
    "not_reading": (SHELL, bytes([READING]), execute("chargen"), bytes([DATA, 128]) * 8, passes(26)),
    # the connection
    "exchange_with_data": (
        SHELL,
        bytes([DATA, 4]),
        kexinit(*KEX),
        packet(30, text(bytes([9]) + bytes(31))),
        packet(21),
        bytes([DATA, 4]),
    ),
    "exchange_many": (EXPOSED | SHELL, bytes([EXCHANGE]) * 12),
    "exchange_half": (SHELL, kexinit(*KEX), data("x"), passes(25)),
    "globals": (
        LOGGED_IN,
        packet(80, text("tcpip-forward"), 1, text("0.0.0.0"), number(22)),
        packet(80, text("keepalive@openssh.com"), 1),
    ),
    "ignore_debug": (LOGGED_IN, packet(2, text("x")), packet(4, 1, text("y"), text("en")), packet(3, number(9))),
    "disconnect": (SHELL, packet(1, number(11), text("bye\x1b[0m"), text(""))),
    "unknown_message": (LOGGED_IN, packet(200), packet(192, text("x")), packet(0)),
}

WORDS = """ssh-userauth ssh-connection none password publickey keyboard-interactive hostbased session direct-tcpip
shell exec subsystem pty-req env window-change signal break exit-status eow@openssh.com xon-xoff x11-req
auth-agent-req@openssh.com tcpip-forward cancel-tcpip-forward streamlocal-forward@openssh.com keepalive@openssh.com
no-more-sessions@openssh.com hostkeys-prove-00@openssh.com curve25519-sha256 ssh-ed25519 aes128-gcm@openssh.com
hmac-sha2-256 zlib@openssh.com ext-info-c kex-strict-c-v00@openssh.com echo discard chargen report terminal stall drop
reset exit stderr split rekey refuse delay= jitter= rate= for= after= status= signal= size= every= sftp xterm""".split()
MESSAGES = [1, 2, 3, 4, 5, 6, 20, 21, 30, 31, 50, 52, 60, 61, 80, 81, 82, *range(90, 101)]


def quoted(value):
    return (
        '"'
        + "".join(chr(each) if 32 < each < 127 and chr(each) not in '"\\' else f"\\x{each:02x}" for each in value)
        + '"'
    )


def write(folder):
    seeds = folder / "seeds" / "fuzz_server_session"
    seeds.mkdir(parents=True, exist_ok=True)
    for old in seeds.glob("*"):
        old.unlink()
    cases = dict(CASES)
    for words in VERBS:
        cases["exec_" + "_".join(words.split()[:2]).replace("=", "_")] = (
            LOGGED_IN,
            OPENED,
            execute(words),
            bytes([DATA, 8]),
            passes(20),
            data("x"),
        )
    for name, (choice, *pieces) in cases.items():
        (seeds / name).write_bytes(bytes([choice]) + b"".join(pieces))
    words = [text(word) for word in WORDS] + [bytes([each]) for each in MESSAGES] + [number(CHANNEL)]
    (folder / "session.dict").write_text(
        "# What SSH and the test bench know, for libFuzzer; session_seeds.py writes it.\n"
        + "".join(f"{quoted(word)}\n" for word in words)
    )


if __name__ == "__main__":
    write(HERE)
