"""Sends a file until the receiver has counted all of it."""
import os
import socket
import sys
import time

host, port, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
size = os.path.getsize(path)
for attempt in range(1, 100):
    try:
        with socket.create_connection((host, port)) as connection:
            with open(path, "rb") as file:
                connection.sendfile(file)
            connection.shutdown(socket.SHUT_WR)
            answer = b""
            while True:
                data = connection.recv(64)
                if not data:
                    break
                answer += data
        if int(answer) == size:
            print("counted", size, "at attempt", attempt)
            sys.exit(0)
    except (OSError, ValueError) as error:
        print("again:", error)
    time.sleep(0.05)
sys.exit(1)
