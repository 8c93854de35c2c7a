# Makes TLS 1.2 connections that resume by session ID, with one request each, from several
# processes at once: byid.py ADDRESS PROCESSES CONNECTIONS. It prints how many resumed, and
# seconds.
import os, socket, ssl, sys, time

host, port = sys.argv[1].rsplit(":", 1)
processes, count = int(sys.argv[2]), int(sys.argv[3])
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
context.options |= ssl.OP_NO_TICKET
context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


def connect(session):
    with socket.create_connection((host, int(port))) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with context.wrap_socket(plain, session=session) as connection:
            connection.sendall(request)
            assert connection.recv(4096).startswith(b"HTTP/1.1 200")
            return connection.session, connection.session_reused


session, _ = connect(None)
began, out = time.monotonic(), os.pipe()
for process in range(processes):
    if os.fork() == 0:
        os.write(out[1], b"%d " % sum(connect(session)[1] for _ in range(count // processes)))
        os._exit(0)
failed = sum(os.wait()[1] != 0 for _ in range(processes))
resumed = sum(map(int, os.read(out[0], 4096).split()))
print(resumed, time.monotonic() - began)
sys.exit(failed)
