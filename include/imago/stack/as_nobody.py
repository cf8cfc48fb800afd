"""Runs a command as the user `nobody`, when root asks: PostgreSQL refuses to run as root.

Started as a plain script (`python -I -S as_nobody.py COMMAND...`), so that nothing of it stays in memory. A folder of
root's is often closed to others (/root is), and the server's programs and data may lie in it. Opening every parent
folder to everyone would work and would be rude; keeping the two capabilities that pass folder permissions, and nothing
else of root, does the same.
"""

import ctypes
import os
import pwd
import struct
import sys

_PR_SET_KEEPCAPS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 8, 47, 2
_DAC_OVERRIDE, _DAC_READ_SEARCH = 1, 2
_CAPABILITY_VERSION_3 = 0x20080522


def become_nobody() -> None:
    user = pwd.getpwnam("nobody")
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
    if libc is not None:
        libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
    if libc is not None:
        mask = 1 << _DAC_OVERRIDE | 1 << _DAC_READ_SEARCH
        header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
        # A container may have taken these from root: then folder permissions decide, and the server's log says so.
        if libc.capset(header, struct.pack("6I", mask, mask, mask, 0, 0, 0)) == 0:
            for capability in (_DAC_OVERRIDE, _DAC_READ_SEARCH):
                libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability, 0, 0)


if __name__ == "__main__":
    become_nobody()
    os.execv(sys.argv[1], sys.argv[1:])
