"""A port for a server that must be told one."""

import socket


def free_port() -> int:
    """Free a moment ago; the kernel does not hand it out again at once."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
