"""A hand-driven SSH client: the test decides every window, packet size, order and byte.

Rooms, from the bottom up:
  wire     numbers, strings and message codes of the SSH protocol (RFC 4250-4254)
  crypto   ciphers, MACs, key exchange mathematics (all from python3-cryptography)
  packets  the binary packet layer over a non-blocking socket; can also send what is malformed
  channel  data, windows and requests of one channel
  client   key exchange and authentication, and the channels on top; single-threaded, moved only by the test
"""

from .channel import Channel, pattern
from .client import Client, Disconnected
from .packets import PacketError, Packets, connect
from .wire import *  # noqa: F401,F403  (message codes, Reader, packers)

__all__ = ["Channel", "Client", "Disconnected", "PacketError", "Packets", "connect", "pattern"]
