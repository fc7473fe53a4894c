"""`python -m benchmarks.peers.dbos_workflow PORT`: one of several processes that share the port."""

import socket
import sys

import uvicorn

from benchmarks.peers.dbos_workflow.api import api

with socket.socket() as listening:
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # the kernel shares connections out
    listening.bind(("127.0.0.1", int(sys.argv[1])))
    config = uvicorn.Config(api, loop="uvloop", http="httptools", access_log=False)
    uvicorn.Server(config).run(sockets=[listening])
