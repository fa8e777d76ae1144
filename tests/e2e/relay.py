#!/usr/bin/env python3
"""A TCP relay that is far away: relay.py DELAY_MS PORT [BYTES_PER_SECOND] hands on what it gets to 127.0.0.1:PORT, and
back, each byte DELAY_MS late, and no more a second than that each way and connection. Prints its own port, then a line
for each connection that ended."""

import asyncio
import socket
import sys

CHUNK, CHUNKS_MAX = 256 << 10, 256
SLOW_CHUNK, SLOW_CHUNKS_MAX = 4 << 10, 16    # with a limit: little is under way, the rest stays with who sends it


async def pump(source, sink, delay, rate, loop):
    late = asyncio.Queue(SLOW_CHUNKS_MAX if rate else CHUNKS_MAX)
    free = loop.time()    # when the line has sent all it was given

    async def deliver():
        while True:
            due, data = await late.get()
            wait = due - loop.time()
            if wait > 0:
                await asyncio.sleep(wait)
            if not data:
                sink.shutdown(socket.SHUT_WR)
                return
            await loop.sock_sendall(sink, data)

    async def receive():
        nonlocal free
        data = b"begin"
        while data:
            data = await loop.sock_recv(source, SLOW_CHUNK if rate else CHUNK)
            if rate:
                free = max(free, loop.time()) + len(data) / rate
                await asyncio.sleep(free - loop.time())
            await late.put((loop.time() + delay, data))

    async with asyncio.TaskGroup() as group:
        group.create_task(deliver())
        group.create_task(receive())


async def serve(near, port, delay, rate, loop):
    far = socket.socket()
    if rate:
        for sock in (near, far):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SLOW_CHUNK * SLOW_CHUNKS_MAX)
    far.setblocking(False)
    try:
        await loop.sock_connect(far, ("127.0.0.1", port))
        for sock in (near, far):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A socket is closed only when no task looks at it any more: its number is soon another's.
        async with asyncio.TaskGroup() as group:
            group.create_task(pump(near, far, delay, rate, loop))
            group.create_task(pump(far, near, delay, rate, loop))
    except* OSError as errors:
        print("connection ended: %s" % errors, flush=True)
    finally:
        near.close()
        far.close()


async def main(delay, port, rate=0):
    loop = asyncio.get_running_loop()
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    listener.setblocking(False)
    print(listener.getsockname()[1], flush=True)
    tasks = set()
    while True:
        near, _ = await loop.sock_accept(listener)
        task = asyncio.create_task(serve(near, port, delay, rate, loop))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


asyncio.run(main(float(sys.argv[1]) / 1000, *map(int, sys.argv[2:])))
