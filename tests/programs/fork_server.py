"""A process for each client; what it sends comes back in capitals."""
import os
import signal
import socket
import sys

host, port, clients = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
# Children that end are no zombies.
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind((host, port))
server.listen(5)
print("ready", flush=True)
for _ in range(clients):
    connection, _ = server.accept()
    if os.fork() == 0:
        server.close()
        while True:
            data = connection.recv(1024)
            if not data:
                break
            connection.sendall(data.upper())
        connection.close()
        os._exit(0)
    # Without this the connection would never end: two processes have it.
    connection.close()
