"""Says one line in a chat, and prints the first line that another one says."""
import socket
import sys

with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as connection:
    print("here", flush=True)
    with connection.makefile("r") as lines:
        heard = lines.readline()
        connection.sendall(b"heard " + heard.encode())
        sys.stdout.write(heard)
