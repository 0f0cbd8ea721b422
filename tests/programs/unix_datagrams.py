"""Datagrams over Unix sockets: `serve PATH COUNT` answers in capitals; `ask PATH OWN WORD…` prints the answers."""
import socket
import sys

role, path = sys.argv[1], sys.argv[2]
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
    if role == "serve":
        end.bind(path)
        print("ready", flush=True)
        for _ in range(int(sys.argv[3])):
            data, sender = end.recvfrom(2048)
            end.sendto(data.upper(), sender)
    else:
        end.settimeout(10)
        end.bind(sys.argv[3])
        for word in sys.argv[4:]:
            end.sendto(word.encode(), path)
            print(end.recv(2048).decode())
