"""A web client by hand: writes a GET, reads until the server closes, prints the status and the body."""
import socket
import sys

host, port, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
with socket.create_connection((host, port)) as connection:
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    answer = b""
    while data := connection.recv(1024):
        answer += data
head, body = answer.split(b"\r\n\r\n", 1)
print(head.split(b"\r\n")[0].decode())
sys.stdout.write(body.decode())
