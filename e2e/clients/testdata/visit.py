import socket
import ssl
import sys

host, port, version, offer, retry, ca, cert, key = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
context.minimum_version = context.maximum_version = {
    "1.2": ssl.TLSVersion.TLSv1_2,
    "1.3": ssl.TLSVersion.TLSv1_3,
}[version]
if offer == "id":
    context.options |= ssl.OP_NO_TICKET
if cert != "-":
    context.load_cert_chain(cert, key)
session = None
for _ in range(3):
    raw = socket.create_connection((host, int(port)))
    with context.wrap_socket(raw, server_hostname="localhost", session=session) as conn:
        conn.sendall(b"ping\n")
        answer = b""
        while chunk := conn.recv(100):
            answer += chunk
        if answer != b"ping\n":
            sys.exit(f"answer {answer}")
        session = conn.session  # in TLS 1.3 tickets come with the answer
        print("answered")
        print("resumed", str(conn.session_reused).lower())
