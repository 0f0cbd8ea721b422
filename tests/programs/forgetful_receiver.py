"""A receiver that forgets the last block in its count, for the first so many times: what it answers is too little."""
import socket
import sys

host, port, wrong = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with socket.create_server((host, port)) as server:
    print("ready", flush=True)
    for attempt in range(wrong + 1):
        connection, _ = server.accept()
        with connection:
            count = last = 0
            while True:
                data = connection.recv(512)
                if not data:
                    break
                last = len(data)
                count += last
            if attempt < wrong:
                count -= last
            connection.sendall(str(count).encode())
            print("answered", count, flush=True)
