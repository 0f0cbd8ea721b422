"""A Unix stream server: what a client sends comes back in capitals."""
import socket
import sys

path, clients = sys.argv[1], int(sys.argv[2])
if path.startswith("@"):
    path = "\0" + path[1:]
with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
    server.bind(path)
    server.listen()
    print("ready", flush=True)
    for _ in range(clients):
        connection, _ = server.accept()
        with connection:
            while data := connection.recv(1024):
                connection.sendall(data.upper())
