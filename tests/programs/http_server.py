"""A web server by hand: answers one GET with the path that was asked for."""
import socket
import sys

with socket.create_server((sys.argv[1], int(sys.argv[2]))) as server:
    print("ready", flush=True)
    connection, address = server.accept()
    with connection, connection.makefile("rb") as lines:
        method, path, version = lines.readline().decode().split()
        while lines.readline().strip():
            pass
        body = f"{method} {path}\n".encode()
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
