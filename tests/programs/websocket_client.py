"""A WebSocket client: with the websockets library where there is one, else by hand (RFC 6455).

websocket_client.py PORT         sends messages of several kinds, prints what comes back, closes
websocket_client.py PORT wait    says "ready", waits for the server's Close, prints its code and reason
"""

import asyncio
import base64
import hashlib
import os
import socket
import struct
import sys

LONG = "ü" * 70_000
MESSAGES = ["hello", "", LONG, b"\x00\xff\x7f"]

try:
    import websockets
except ImportError:
    websockets = None


def shown(message):
    return f"{type(message).__name__} {len(message)} {message[:5]!r}"


async def library(port, waits):
    print("library")
    async with websockets.connect(f"ws://127.0.0.1:{port}/echo") as connection:
        if waits:
            print("ready", flush=True)
            try:
                await connection.recv()
            except websockets.ConnectionClosed as closed:
                print(closed.rcvd.code, closed.rcvd.reason)
            return
        for message in MESSAGES:
            await connection.send(message)
            answer = await connection.recv()
            assert answer == message
            print(shown(answer))
        await connection.send(["in ", "three ", "frames"])
        print(shown(await connection.recv()))
        await (await connection.ping(b"?"))
        print("pong")
        await connection.close(1000, "bye")
    code = getattr(connection, "close_code", None)
    print("closed", code)


class ByHand:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.file = self.socket.makefile("rb")
        key = base64.b64encode(os.urandom(16)).decode()
        lines = ["GET /echo HTTP/1.1", "Host: h", "Upgrade: websocket", "Connection: Upgrade"]
        lines += [f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "", ""]
        self.socket.sendall("\r\n".join(lines).encode())
        head = b"".join(iter(self.file.readline, b"\r\n")).decode()
        guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1((key + guid).encode()).digest()).decode()
        assert head.startswith("HTTP/1.1 101 ") and accept in head, head

    def send(self, opcode, data, final=True):
        first, mask = opcode | (0x80 if final else 0), os.urandom(4)
        if len(data) < 126:
            head = struct.pack("!BB", first, 0x80 | len(data))
        elif len(data) < 65536:
            head = struct.pack("!BBH", first, 0x80 | 126, len(data))
        else:
            head = struct.pack("!BBQ", first, 0x80 | 127, len(data))
        masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))
        self.socket.sendall(head + mask + masked)

    def receive(self):
        first, length = self.file.read(2)
        assert first & 0x80 and length < 128, "one frame a message, and servers do not mask"
        if length == 126:
            (length,) = struct.unpack("!H", self.file.read(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self.file.read(8))
        return first & 0x0F, self.file.read(length)


def by_hand(port, waits):
    print("by hand")
    client = ByHand(port)
    if waits:
        print("ready", flush=True)
        opcode, data = client.receive()
        assert opcode == 8
        print(struct.unpack("!H", data[:2])[0], data[2:].decode())
        return
    for message in MESSAGES:
        is_text = isinstance(message, str)
        client.send(1 if is_text else 2, message.encode() if is_text else message)
        opcode, data = client.receive()
        answer = data.decode() if opcode == 1 else data
        assert answer == message
        print(shown(answer))
    for opcode, piece, final in [(1, b"in ", False), (0, b"three ", False), (0, b"frames", True)]:
        client.send(opcode, piece, final)
    print(shown(client.receive()[1].decode()))
    client.send(9, b"?")
    assert client.receive() == (10, b"?")
    print("pong")
    client.send(8, struct.pack("!H", 1000) + b"bye")
    opcode, data = client.receive()
    assert opcode == 8 and client.file.read() == b"", "the server closes the connection"
    print("closed", struct.unpack("!H", data[:2])[0])


port, waits = int(sys.argv[1]), len(sys.argv) > 2
if websockets:
    asyncio.run(library(port, waits))
else:
    by_hand(port, waits)
