"""What the figures were measured on, and the speed of the ciphers by themselves."""

import os
import platform
import re
import resource
import shutil
import subprocess
from pathlib import Path

from .servers import SYSTEM_PATH


def first_line(command, pattern=None):
    """The (first matching) line that a command prints; None where there is no such command."""
    program = shutil.which(str(command[0]), path=SYSTEM_PATH)
    if program is None:
        return None
    done = subprocess.run([program, *command[1:]], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    for line in (done.stdout + done.stderr).splitlines():
        if line.strip() and (pattern is None or re.search(pattern, line)):
            return line.strip()
    return None


def describe(bench):
    model = re.search(r"^model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text(), re.M)
    memory = re.search(r"^MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text(), re.M)
    system = (
        re.search(r'^PRETTY_NAME="?([^"\n]+)', Path("/etc/os-release").read_text(), re.M)
        if Path("/etc/os-release").exists()
        else None
    )
    return {
        "cpu": model.group(1) if model else platform.machine(),
        "cpus": len(os.sched_getaffinity(0)),
        "memory_mib": int(memory.group(1)) // 1024 if memory else None,
        "kernel": platform.release(),
        "system": system.group(1) if system else None,
        "fd_limit": resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        "load_average": os.getloadavg()[0],
        "sshechod": first_line([bench.program("sshechod"), "--version"]),
        "libssh": first_line([bench.program("sshechod"), "--version"], "libssh"),
        "libev": first_line([bench.program("sshechod"), "--version"], "libev"),
        "sshload": first_line([bench.program("sshload"), "--version"]),
        "openssh": first_line(["sshd", "-V"], "OpenSSH"),
        "dropbear": first_line(["dropbear", "-V"], "Dropbear"),
        "openssl": first_line(["openssl", "version"]),
    }


def one_line(about):
    return (
        f"{about['cpus']} CPUs ({about['cpu']}), {about['memory_mib'] or 0} MiB, {about['system']}, "
        f"Linux {about['kernel']}, fd limit {about['fd_limit']}, load average before: {about['load_average']:.2f}"
    )


CIPHERS = {  # SSH name: what sshload is told beside it, and openssl's names of the passes over each byte
    "aes128-gcm@openssh.com": ([], ["aes-128-gcm"]),
    "aes256-gcm@openssh.com": ([], ["aes-256-gcm"]),
    "chacha20-poly1305@openssh.com": ([], ["chacha20-poly1305"]),
    "aes256-ctr": (["--macs", "hmac-sha2-256-etm@openssh.com,hmac-sha2-256"], ["aes-256-ctr", "hmac:sha256"]),
}


CIPHER_TITLES = {
    "aes128-gcm@openssh.com": "AES-128-GCM",
    "aes256-gcm@openssh.com": "AES-256-GCM",
    "chacha20-poly1305@openssh.com": "ChaCha20-Poly1305",
    "aes256-ctr": "AES-256-CTR + HMAC-SHA2-256",
}


def cipher_seconds_per_gb(name, seconds=1, speeds=None):
    """CPU seconds for one pass of an SSH cipher (and its MAC) over 10^9 bytes in 16 KiB blocks; None without openssl. By CPU
    time, not -elapsed: it is added to CPU time, and others on the machine must not raise the floor."""
    if shutil.which("openssl") is None:
        return None
    total = 0.0
    for each in CIPHERS[name][1]:
        what = ["-hmac", each[5:]] if each.startswith("hmac:") else ["-evp", each]
        command = ["openssl", "speed", "-mr", "-seconds", str(seconds), "-bytes", "16384", *what]
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        speed = re.search(r"^\+F:\d+:.*:([\d.]+)$", done.stdout, re.M)
        if speed is None:
            return None
        if speeds is not None:
            speeds.append({"command": command, "bytes_per_s": float(speed.group(1))})
        total += 1e9 / float(speed.group(1))
    return total
