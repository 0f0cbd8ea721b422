"""Sends each word as a datagram and prints the answers, one a line."""
import socket
import sys

host, port, words = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
    client.settimeout(10)
    for word in words:
        client.sendto(word.encode(), (host, port))
        data, _ = client.recvfrom(2048)
        print(data.decode())
