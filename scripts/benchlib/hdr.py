"""The latencies of an interval as a result file has them: HdrHistogram's V2 compressed encoding in base64."""

import base64
import collections
import struct
import zlib

COOKIE, COOKIE_COMPRESSED = 0x1C849313, 0x1C849314


def _values(data):
    """Signed numbers, seven bits a byte (the ninth has eight), sign in the lowest."""
    at = 0
    while at < len(data):
        value = 0
        for index in range(9):
            byte = data[at]
            at += 1
            value |= (byte & (0xFF if index == 8 else 0x7F)) << 7 * index
            if index < 8 and not byte & 0x80:
                break
        yield value >> 1 ^ -(value & 1)


def counts(text):
    """{value: how often}; of the values that share a place the highest."""
    data = base64.b64decode(text)
    cookie, length = struct.unpack(">II", data[:8])
    assert cookie == COOKIE_COMPRESSED, f"no histogram begins with {cookie:#x}"
    data = zlib.decompress(data[8 : 8 + length])
    cookie, length, _, digits = struct.unpack(">IIII", data[:16])
    assert cookie == COOKIE, f"no histogram begins with {cookie:#x}"
    half_bits = (2 * 10**digits - 1).bit_length() - 1
    found, index = collections.Counter(), 0
    for value in _values(data[40 : 40 + length]):
        if value < 0:  # so many empty places
            index -= value
            continue
        bucket = (index >> half_bits) - 1
        place = (index & (1 << half_bits) - 1) + (1 << half_bits)
        if bucket < 0:
            bucket, place = 0, place - (1 << half_bits)
        if value:
            found[((place + 1) << bucket) - 1] = value
        index += 1
    return found


def merged(texts):
    """The counts of several."""
    return sum((counts(text) for text in texts), collections.Counter())


def percentile(found, percent):
    """The value that so many percent do not exceed; None where there is none."""
    rest = sum(found.values()) * percent / 100
    for value in sorted(found):
        rest -= found[value]
        if rest <= 0:
            return value
    return None
