"""Free TCP ports on loopback, remembered from one start to the next."""

from __future__ import annotations

import errno
import http.client
import random
import socket

from imago.errors import StackError

LOOPBACK = "127.0.0.1"
# Below the range from which Linux takes the ports of outgoing connections, so that none of those sits on ours.
_RANGE = (20_000, 31_000)


def is_free(port: int) -> bool:
    """Whether a server could listen on this port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the servers do: a connection that is still closing is no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def choose(*, preferred: int | None, taken: set[int]) -> int:
    """`preferred` when it is free, else a free one that is not in `taken`."""
    if preferred and preferred not in taken and is_free(preferred):
        return preferred
    for port in random.sample(range(*_RANGE), 500):
        if port not in taken and is_free(port):
            return port
    raise StackError(
        "no free port was found on 127.0.0.1", next_step="end programs that hold many ports, then try again"
    )


def answers(port: int, path: str = "/", *, host_header: str | None = None) -> int | None:
    """The HTTP status that a loopback server gives for `path`; None when nobody answers within 2 s.

    Uses no proxy, whatever the process's proxy variables say.
    """
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=2)
    try:
        connection.request("GET", path, headers={"Host": host_header} if host_header else {})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def get_json(port: int, path: str) -> dict:
    """The JSON object at `path` of a loopback server; empty when it does not answer with one."""
    import json

    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=3)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = json.loads(answer.read()) if answer.status == 200 else {}
        return body if isinstance(body, dict) else {}
    except (OSError, ValueError, http.client.HTTPException):
        return {}
    finally:
        connection.close()
