"""ZooKeeper's protocol, as far as tests speak it."""

import socket
import struct


def frame(content: bytes) -> bytes:
    """Bytes with their length before them."""
    return struct.pack(">i", len(content)) + content


def answer(connection: socket.socket) -> bytes:
    """The next frame; empty where the connection is closed."""
    received = b""
    wanted = 4
    while len(received) < wanted:
        piece = connection.recv(wanted - len(received))
        if not piece:
            return b""
        received += piece
        if len(received) == 4:
            wanted = 4 + int(struct.unpack(">i", received)[0])
    return received[4:]
