"""Every message is unique: its bytes say by which connection, which way and by which call they were sent.

marked.py server HOST PORT CONNECTIONS [thread|fork|sequential]
marked.py client HOST PORT CONNECTIONS MESSAGES BLOCKS [THREADS]
marked.py udp-server HOST PORT DATAGRAMS
marked.py udp-client HOST PORT DATAGRAMS
"""

import os
import socket
import sys
import threading


def message(connection, way, number, blocks):
    head = "<%04d%s%06d" % (connection, way, number)
    return b"".join(("%s%03d>" % (head, block)).encode() for block in range(blocks))


def answer(stream, connection):
    number = 0
    while stream.recv(240):
        stream.sendall(message(connection, "S", number, 1))
        number += 1
    stream.close()


def server(host, port, connections, style="thread"):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(1024)
    print("ready", flush=True)
    threads = []
    for connection in range(int(connections)):
        stream, _ = listener.accept()
        if style == "sequential":
            answer(stream, connection)
        elif style == "fork":
            if os.fork() == 0:
                listener.close()
                answer(stream, connection)
                os._exit(0)
            stream.close()
        else:
            threads.append(threading.Thread(target=answer, args=(stream, connection)))
            threads[-1].start()
    for thread in threads:
        thread.join()
    if style == "fork":
        for _ in range(int(connections)):
            os.wait()


def talk(host, port, connection, messages, blocks):
    stream = socket.create_connection((host, port))
    # Every other connection sends each message at once (RFC 896 is what the others wait for).
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, connection % 2)
    reader = threading.Thread(target=drain, args=(stream,))
    reader.start()
    for number in range(messages):
        stream.sendall(message(connection, "C", number, 1 + (number * 7 + connection) % blocks))
    stream.shutdown(socket.SHUT_WR)
    reader.join()
    stream.close()


def drain(stream):
    while stream.recv(240):
        pass


def client(host, port, connections, messages, blocks, threads="1"):
    threads = int(threads)

    def run(first):
        for connection in range(first, int(connections), threads):
            talk(host, port, connection, int(messages), int(blocks))

    running = [threading.Thread(target=run, args=(first,)) for first in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


def udp_server(host, port, datagrams):
    endpoint = socket.socket(type=socket.SOCK_DGRAM)
    endpoint.bind((host, port))
    endpoint.settimeout(3)
    print("ready", flush=True)
    number = 0
    try:
        while True:
            _, sender = endpoint.recvfrom(240)
            endpoint.sendto(message(0, "S", number, 1), sender)
            number += 1
            if number == int(datagrams):
                break
    except TimeoutError:
        pass


def udp_client(host, port, datagrams):
    endpoint = socket.socket(type=socket.SOCK_DGRAM)
    endpoint.settimeout(0.2)
    for number in range(int(datagrams)):
        endpoint.sendto(message(0, "C", number, 1 + number % 5), (host, port))
        try:
            endpoint.recvfrom(240)
        except TimeoutError:
            pass


role, host, port, *rest = sys.argv[1:]
ROLES = {"server": server, "client": client, "udp-server": udp_server, "udp-client": udp_client}
ROLES[role](host, int(port), *rest)
