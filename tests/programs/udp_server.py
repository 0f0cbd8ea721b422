"""Answers datagrams with their text in capitals, as many as it is told."""
import socket
import sys

host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
    server.bind((host, port))
    print("ready", flush=True)
    for _ in range(count):
        data, sender = server.recvfrom(2048)
        server.sendto(data.upper(), sender)
