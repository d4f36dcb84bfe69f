"""Ciphers and key exchange, as thin as python3-cryptography allows.

A cipher seals one direction. `seal` takes the packet (length field, padding length, payload, padding) and returns what
goes on the wire. `length` reads the packet length from the first `head` bytes; `unseal` takes the whole packet.
"""

import hashlib
import hmac
import struct

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils, x25519
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.poly1305 import Poly1305

from .wire import Reader, mpint, string


class BadPacket(Exception):
    """A packet that does not authenticate."""


class Plain:
    block, head, tag, clear_length = 8, 4, 0, False

    def seal(self, seq, packet):
        return packet

    def length(self, seq, head):
        return struct.unpack(">I", head[:4])[0]

    def unseal(self, seq, wire):
        return wire


class Gcm:
    block, head, tag, clear_length = 16, 4, 16, True

    def __init__(self, key, iv):
        self.aead = AESGCM(key)
        self.fixed = iv[:4]
        self.counter = int.from_bytes(iv[4:12], "big")

    def nonce(self):
        nonce = self.fixed + self.counter.to_bytes(8, "big")
        self.counter = (self.counter + 1) % (1 << 64)
        return nonce

    def seal(self, seq, packet):
        return packet[:4] + self.aead.encrypt(self.nonce(), packet[4:], packet[:4])

    def length(self, seq, head):
        return struct.unpack(">I", head[:4])[0]

    def unseal(self, seq, wire):
        try:
            return wire[:4] + self.aead.decrypt(self.nonce(), wire[4:], wire[:4])
        except InvalidTag as error:
            raise BadPacket("AES-GCM tag") from error


class Ctr:
    """AES in counter mode with an HMAC, before (etm) or beneath encryption."""

    block = 16

    def __init__(self, key, iv, mac_name, mac_key):
        self.context = Cipher(algorithms.AES(key), modes.CTR(iv)).encryptor()
        self.etm = self.clear_length = mac_name.endswith("-etm@openssh.com")
        self.hash = hashlib.sha512 if "512" in mac_name else hashlib.sha1 if "sha1" in mac_name else hashlib.sha256
        self.mac_key = mac_key
        self.tag = self.hash().digest_size
        self.head = 4 if self.etm else self.block
        self.first = None

    def mac(self, seq, data):
        return hmac.new(self.mac_key, struct.pack(">I", seq) + data, self.hash).digest()

    def seal(self, seq, packet):
        if self.etm:
            wire = packet[:4] + self.context.update(packet[4:])
            return wire + self.mac(seq, wire)
        return self.context.update(packet) + self.mac(seq, packet)

    def length(self, seq, head):
        if self.etm:
            return struct.unpack(">I", head[:4])[0]
        if self.first is None:
            self.first = self.context.update(head[: self.block])
        return struct.unpack(">I", self.first[:4])[0]

    def unseal(self, seq, wire):
        body, tag = wire[: -self.tag], wire[-self.tag :]
        if self.etm:
            if not hmac.compare_digest(self.mac(seq, body), tag):
                raise BadPacket("MAC")
            return body[:4] + self.context.update(body[4:])
        packet = self.first + self.context.update(body[self.block :])
        self.first = None
        if not hmac.compare_digest(self.mac(seq, packet), tag):
            raise BadPacket("MAC")
        return packet


class Chacha:
    """chacha20-poly1305@openssh.com (OpenSSH's PROTOCOL.chacha20poly1305)."""

    block, head, tag, clear_length = 8, 4, 16, True

    def __init__(self, key):
        self.main, self.header = key[:32], key[32:64]

    @staticmethod
    def stream(key, seq, counter, data):
        nonce = struct.pack("<Q", counter) + struct.pack(">Q", seq)
        return Cipher(algorithms.ChaCha20(key, nonce), None).encryptor().update(data)

    def tag_of(self, seq, data):
        return Poly1305.generate_tag(self.stream(self.main, seq, 0, bytes(32)), data)

    def seal(self, seq, packet):
        wire = self.stream(self.header, seq, 0, packet[:4]) + self.stream(self.main, seq, 1, packet[4:])
        return wire + self.tag_of(seq, wire)

    def length(self, seq, head):
        return struct.unpack(">I", self.stream(self.header, seq, 0, head[:4]))[0]

    def unseal(self, seq, wire):
        body, tag = wire[:-16], wire[-16:]
        if self.tag_of(seq, body) != tag:
            raise BadPacket("Poly1305 tag")
        return self.stream(self.header, seq, 0, body[:4]) + self.stream(self.main, seq, 1, body[4:])


CIPHER_KEY_BYTES = {
    "aes128-gcm@openssh.com": 16,
    "aes256-gcm@openssh.com": 32,
    "aes128-ctr": 16,
    "aes192-ctr": 24,
    "aes256-ctr": 32,
    "chacha20-poly1305@openssh.com": 64,
}
MACS = ["hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512"]


def make_cipher(name, mac_name, derive, letters):
    """derive(letter, bytes) is RFC 4253 clause 7.2; letters are those of IV, key and MAC key for this direction."""
    iv, key, mac_key = letters
    if "gcm" in name:
        return Gcm(derive(key, CIPHER_KEY_BYTES[name]), derive(iv, 12))
    if "chacha" in name:
        return Chacha(derive(key, 64))
    mac_bytes = 64 if "512" in mac_name else 20 if "sha1" in mac_name else 32
    return Ctr(derive(key, CIPHER_KEY_BYTES[name]), derive(iv, 16), mac_name, derive(mac_key, mac_bytes))


class Curve25519:
    hash = hashlib.sha256

    def __init__(self):
        self.private = x25519.X25519PrivateKey.generate()
        self.public = self.private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)

    def shared(self, peer):
        return int.from_bytes(self.private.exchange(x25519.X25519PublicKey.from_public_bytes(peer)), "big")


class Nist:
    def __init__(self, curve, hash_function):
        self.curve = curve
        self.hash = hash_function
        self.private = ec.generate_private_key(curve)
        self.public = self.private.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )

    def shared(self, peer):
        point = ec.EllipticCurvePublicKey.from_encoded_point(self.curve, peer)
        return int.from_bytes(self.private.exchange(ec.ECDH(), point), "big")


KEX = {
    "curve25519-sha256": Curve25519,
    "curve25519-sha256@libssh.org": Curve25519,
    "ecdh-sha2-nistp256": lambda: Nist(ec.SECP256R1(), hashlib.sha256),
    "ecdh-sha2-nistp384": lambda: Nist(ec.SECP384R1(), hashlib.sha384),
    "ecdh-sha2-nistp521": lambda: Nist(ec.SECP521R1(), hashlib.sha512),
}
HOST_KEYS = ["ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512", "rsa-sha2-256"]


def verify_host_key(key_blob, signature_blob, data):
    """Raises InvalidSignature unless the signature is the key's over data."""
    key, signature = Reader(key_blob), Reader(signature_blob)
    kind, algorithm = key.text(), signature.text()
    value = signature.string()
    if kind == "ssh-ed25519":
        ed25519.Ed25519PublicKey.from_public_bytes(key.string()).verify(value, data)
    elif kind == "ssh-rsa":
        exponent, modulus = key.mpint(), key.mpint()
        digest = hashes.SHA512() if algorithm == "rsa-sha2-512" else hashes.SHA256()
        rsa.RSAPublicNumbers(exponent, modulus).public_key().verify(value, data, padding.PKCS1v15(), digest)
    elif kind == "ecdsa-sha2-nistp256":
        key.string()
        point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), key.string())
        pair = Reader(value)
        point.verify(utils.encode_dss_signature(pair.mpint(), pair.mpint()), data, ec.ECDSA(hashes.SHA256()))
    else:
        raise InvalidSignature(f"host key type {kind} is not known here")


def ed25519_blob(private):
    """The public key of an Ed25519PrivateKey, as SSH writes it."""
    raw = private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return string("ssh-ed25519") + string(raw)


def key_deriver(hash_function, secret, exchange_hash, session_id):
    head = mpint(secret) + exchange_hash

    def derive(letter, count):
        out = hash_function(head + letter + session_id).digest()
        while len(out) < count:
            out += hash_function(head + out).digest()
        return out[:count]

    return derive
