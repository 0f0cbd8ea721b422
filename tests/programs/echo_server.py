"""The echo on port 5005: what comes goes back, for one client after the other."""
import socket

with socket.create_server(("127.0.0.1", 5005)) as server:
    print("ready", flush=True)
    while True:
        connection, address = server.accept()
        with connection:
            while data := connection.recv(1024):
                connection.sendall(data)
