"""One client after the other: what each sends comes back in capitals."""
import socket
import sys

host, port, clients = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
family = socket.AF_INET6 if ":" in host else socket.AF_INET
with socket.socket(family, socket.SOCK_STREAM) as server:
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((host, port))
    server.listen(5)
    print("ready", flush=True)
    for _ in range(clients):
        connection, address = server.accept()
        print("from", address[0], flush=True)
        with connection:
            while True:
                data = connection.recv(1024)
                if not data:
                    break
                connection.sendall(data.upper())
