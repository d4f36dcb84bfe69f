"""Key pairs of clients: made, and written as a line of authorized-keys."""

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519


def new_key():
    return ed25519.Ed25519PrivateKey.generate()


def public_line(private, comment="test"):
    text = private.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return f"{text.decode()} {comment}"
