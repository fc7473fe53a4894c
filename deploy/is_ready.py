"""Ends with status 0 if the service of this container is ready. With -I -S it costs a third of what urllib would."""

import socket

with socket.create_connection(("127.0.0.1", 8000), timeout=5) as asked:
    asked.sendall(b"GET /readyz HTTP/1.0\r\n\r\n")
    answer = asked.recv(64)
raise SystemExit(0 if b" 200 " in answer else "not ready")
