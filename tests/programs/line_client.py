"""Sends each line of standard input and prints what has come back at the end."""
import socket
import sys

host, port = sys.argv[1], int(sys.argv[2])
with socket.create_connection((host, port)) as connection:
    for line in sys.stdin:
        connection.sendall(line.encode())
    connection.shutdown(socket.SHUT_WR)
    answer = b""
    while True:
        data = connection.recv(1024)
        if not data:
            break
        answer += data
sys.stdout.write(answer.decode())
