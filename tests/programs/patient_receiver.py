"""Counts what a sender sends, and answers with the count after the sender has shut down its writing side."""
import hashlib
import socket
import sys

host, port, times = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with socket.create_server((host, port)) as server:
    print("ready", flush=True)
    for _ in range(times):
        connection, _ = server.accept()
        digest, count = hashlib.sha256(), 0
        with connection:
            while True:
                data = connection.recv(65536)
                if not data:
                    break
                digest.update(data)
                count += len(data)
            connection.sendall(str(count).encode())
        print(count, digest.hexdigest(), flush=True)
