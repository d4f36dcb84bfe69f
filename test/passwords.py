"""crypt(3) hashes for password files, from libcrypt itself: newer Pythons have no module for it."""

import ctypes
import ctypes.util

METHODS = {"sha512": "$6$rounds=1000$", "sha256": "$5$rounds=1000$", "bcrypt": "$2b$04$", "yescrypt": "$y$j75$"}
COSTLY = {"costly": "$y$jBT$"}  # 64 MiB and some tenths of a second
SALT = {"bcrypt": "abcdefghijklmnopqrstuu"}

_libcrypt = ctypes.CDLL(ctypes.util.find_library("crypt") or "libcrypt.so.1")
_libcrypt.crypt.restype = ctypes.c_char_p


def hashed(password, method="sha512"):
    setting = (METHODS | COSTLY)[method] + SALT.get(method, "saltSALT") + "$"
    result = _libcrypt.crypt(password.encode(), setting.encode())
    assert result and not result.startswith(b"*"), f"libcrypt does not know {method}"
    return result.decode()
