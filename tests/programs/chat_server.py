"""A chat by threads: each line of a client goes to all the others."""
import socket
import sys
import threading

clients = []
lock = threading.Lock()


def talk(connection):
    with connection, connection.makefile("rb") as lines:
        for line in lines:
            with lock:
                for other in clients:
                    if other is not connection:
                        other.sendall(line)
        with lock:
            clients.remove(connection)


with socket.create_server((sys.argv[1], int(sys.argv[2]))) as server:
    print("ready", flush=True)
    while True:
        connection, _ = server.accept()
        with lock:
            clients.append(connection)
        print(len(clients), "here", flush=True)
        threading.Thread(target=talk, args=(connection,), daemon=True).start()
