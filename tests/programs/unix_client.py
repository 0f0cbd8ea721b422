"""Sends standard input to a Unix stream server and prints what comes back."""
import socket
import sys

path = sys.argv[1]
if path.startswith("@"):
    path = "\0" + path[1:]
with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
    client.connect(path)
    client.sendall(sys.stdin.buffer.read())
    client.shutdown(socket.SHUT_WR)
    while data := client.recv(1024):
        sys.stdout.buffer.write(data)
