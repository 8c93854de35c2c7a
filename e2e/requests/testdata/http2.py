# Asks for a page and posts some bytes, by hyper's HTTP/2 (python3-h2), and prints both answers.
import socket, ssl, sys
import h2.connection, h2.config, h2.events

host, port, ca = sys.argv[1], int(sys.argv[2]), sys.argv[3]
context = ssl.create_default_context(cafile=ca)
context.set_alpn_protocols(["h2"])
sock = context.wrap_socket(socket.create_connection((host, port), 20), server_hostname=host)
assert sock.selected_alpn_protocol() == "h2"
conn = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
conn.initiate_connection()
base = [(":authority", f"{host}:{port}"), (":scheme", "https"), (":path", "/")]
conn.send_headers(1, [(":method", "GET")] + base, end_stream=True)
conn.send_headers(3, [(":method", "POST")] + base + [("content-length", "5")])
conn.send_data(3, b"hello", end_stream=True)
sock.sendall(conn.data_to_send())
bodies, ended = {1: b"", 3: b""}, 0
while ended < 2:
    received = sock.recv(65536)
    assert received, "the connection ended"
    for event in conn.receive_data(received):
        if isinstance(event, h2.events.ResponseReceived):
            assert dict(event.headers)[":status"] == "200", event
        elif isinstance(event, h2.events.DataReceived):
            bodies[event.stream_id] += event.data
            conn.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            ended += 1
        assert not isinstance(event, (h2.events.StreamReset, h2.events.ConnectionTerminated)), event
    sock.sendall(conn.data_to_send())
print(bodies[1].decode(), bodies[3].decode(), sep="", end="")
