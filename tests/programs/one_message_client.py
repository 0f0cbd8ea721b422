"""Sends one message and prints what one receive returns."""
import socket
import sys

host, port, message = sys.argv[1], int(sys.argv[2]), sys.argv[3]
connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
connection.connect((host, port))
connection.send(message.encode())
print(connection.recv(1024).decode(), end="")
connection.close()
