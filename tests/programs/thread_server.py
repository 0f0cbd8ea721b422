"""A thread for each client; what it sends comes back in capitals."""
import socket
import sys
import threading


def talk(connection):
    with connection:
        while True:
            data = connection.recv(1024)
            if not data:
                break
            connection.sendall(data.upper())


host, port, clients = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with socket.create_server((host, port)) as server:
    print("ready", flush=True)
    threads = []
    for _ in range(clients):
        connection, _ = server.accept()
        thread = threading.Thread(target=talk, args=(connection,))
        thread.start()
        threads.append(thread)
    for thread in threads:
        thread.join()
