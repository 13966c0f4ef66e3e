"""A server that speaks like an OpenAI-compatible endpoint, or does not; run as a process of its own.

It answers each request by the script that the path names, one of `SCRIPTS`: ``/behaves/v1/chat/completions``. Its
arguments are a folder, for scripts that read or write files, and a certificate and its key. It prints the port where it
speaks plainly, that where it speaks over TLS, and that where it never comes to the end of its first word of TLS. It
stops when its standard input closes or after ten minutes, whichever is first.
"""

import json
import os
import socketserver
import ssl
import sys
import threading
import time

LIFETIME = 600.0


def completion(content, **more):
    """Return a chat completion with this content."""
    message = {"role": "assistant", "content": content}
    body = {"id": "x", "object": "chat.completion", "choices": [{"index": 0, "message": message}], **more}
    return json.dumps(body).encode()


def head(status="200 OK", length=None, kind="application/json", more=""):
    lengths = "" if length is None else f"Content-Length: {length}\r\n"
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{lengths}{more}Connection: close\r\n\r\n".encode()


def plain(body, **options):
    return head(length=len(body), **options) + body


class Exchange:
    """One request that has been read, and the socket to answer on."""

    def __init__(self, sock, request_line, headers, body):
        self.sock, self.request_line, self.headers, self.body = sock, request_line, headers, body

    @property
    def symbols(self):
        data = json.loads(json.loads(self.body)["messages"][-1]["content"])
        return [entry["symbol"] for entry in data["symbols"]]

    @property
    def secret(self):
        return self.headers.get("authorization", "")

    def send(self, data):
        self.sock.sendall(data)

    def drip(self, data, pause=0.05):
        """Send byte by byte, and then go on for as long as anybody listens."""
        for byte in data:
            self.send(bytes([byte]))
            time.sleep(pause)
        while True:
            self.send(b" ")
            time.sleep(pause)


def honest(symbols):
    return json.dumps({"signals": [{"symbol": s, "edge": 0.3, "confidence": 0.7} for s in symbols]})


def behaves(x):
    x.send(plain(completion(honest(x.symbols))))


def chunked(x):
    body = completion(honest(x.symbols))
    pieces = b"".join(b"%x\r\n%s\r\n" % (len(body[i : i + 7]), body[i : i + 7]) for i in range(0, len(body), 7))
    x.send(head(more="Transfer-Encoding: chunked\r\n") + pieces + b"0\r\n\r\n")


def until_close(x):
    x.send(head() + completion(honest(x.symbols)))


def says(x):
    """Answer with the bytes that are in the file named by the request's path."""
    name = x.request_line.split()[1].split("/")[2]
    with open(os.path.join(sys.argv[1], name), "rb") as file:
        x.send(file.read())


def stalls(x):
    time.sleep(LIFETIME)


def stalls_in_the_middle(x):
    body = completion(honest(x.symbols))
    x.send(head(length=len(body)) + body[:-1])
    time.sleep(LIFETIME)


def drips_body(x):
    x.drip(head(length=10**9) + b"{", pause=0.02)


def drips_headers(x):
    x.drip(b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 10**6, pause=0.02)


def drips_status(x):
    x.drip(b"HTTP/1.1 200 " + b"O" * 10**6, pause=0.02)


def drips_chunks(x):
    x.send(head(more="Transfer-Encoding: chunked\r\n"))
    while True:
        x.send(b"1\r\n \r\n")
        time.sleep(0.02)


def continues_forever(x):
    while True:
        x.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.02)


def floods(x):
    x.send(head(length=100_000_000))
    for _ in range(1000):
        x.send(b" " * 100_000)


def floods_headers(x):
    x.send(b"HTTP/1.1 200 OK\r\n")
    for i in range(100_000):
        x.send(b"X-%d: %s\r\n" % (i, b"a" * 1000))


def floods_chunks(x):
    x.send(head(more="Transfer-Encoding: chunked\r\n"))
    for _ in range(1000):
        x.send(b"186a0\r\n" + b" " * 100_000 + b"\r\n")


def redirects(x):
    host = x.headers.get("host", "")
    x.send(plain(b"", status="302 Found", more=f"Location: http://{host}/behaves/v1/chat/completions\r\n"))


def redirects_keeping_the_method(x):
    host = x.headers.get("host", "")
    body = completion(honest(x.symbols))
    x.send(plain(body, status="307 Temporary", more=f"Location: http://{host}/behaves/v1/chat/completions\r\n"))


def echoes_the_key(x):
    echo = f"{x.secret} {dict(x.headers)}".encode()
    x.send(plain(json.dumps({"error": echo.decode()}).encode(), status=f"401 {x.secret}"))


def echoes_the_key_in_garbage(x):
    x.send(f"{x.secret} {x.secret}\r\n\r\n".encode())


def echoes_the_key_as_symbol(x):
    entry = {"symbol": x.secret, "edge": 0.3, "confidence": 0.7}
    x.send(plain(completion(json.dumps({"signals": [entry]}))))


def echoes_the_key_in_the_length(x):
    x.send(head(more=f"Content-Length: {x.secret}\r\nTransfer-Encoding: {x.secret}\r\n") + x.secret.encode())


def closes_at_once(x):
    pass


def closes_early(x):
    body = completion(honest(x.symbols))
    x.send(head(length=len(body) + 50) + body)


def resets(x):
    import socket
    import struct

    x.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    x.send(b"HTTP/1.1 200")


def reads_slowly(x):
    """Take the question in small pieces, each soon after the last; it is still on the socket."""
    while x.sock.recv(65_536):
        time.sleep(0.05)


def counts(x):
    """Answer with an edge that grows from call to call, so that asking twice would show."""
    counts.calls += 1
    entry = {"symbol": x.symbols[0], "edge": 0.01 * counts.calls, "confidence": 0.7}
    x.send(plain(completion(json.dumps({"signals": [entry]}))))


counts.calls = 0


def needs_the_key(x):
    right = x.secret == "Bearer " + "open-" + "sesame"
    x.send(plain(completion(honest(x.symbols))) if right else plain(b"{}", status="401 Unauthorized"))


def tells_what_it_saw(x):
    """Write the request to a file, then behave."""
    with open(os.path.join(sys.argv[1], "seen.json"), "w", encoding="utf-8") as file:
        json.dump({"line": x.request_line, "headers": x.headers, "body": x.body.decode()}, file)
    behaves(x)


SCRIPTS = {
    name: function
    for name, function in globals().items()
    if callable(function) and getattr(function, "__code__", None) and function.__code__.co_varnames[:1] == ("x",)
}


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        line = self.rfile.readline(65_536).decode("latin-1").strip()
        headers = {}
        while (row := self.rfile.readline(65_536)) not in (b"\r\n", b"\n", b""):
            name, _, value = row.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        words = line.split()
        script = SCRIPTS.get(words[1].split("/")[1]) if len(words) > 1 else None
        body = b"" if script is reads_slowly else self.rfile.read(int(headers.get("content-length", 0)))
        try:
            if script is not None:
                script(Exchange(self.request, line, headers, body))
        except OSError:
            pass  # the other side has had enough


class TlsHandler(Handler):
    def setup(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[2], sys.argv[3])
        self.request = context.wrap_socket(self.request, server_side=True)
        super().setup()


class HelloDripper(socketserver.BaseRequestHandler):
    def handle(self):
        """Announce a long greeting, and never come to its end."""
        self.request.sendall(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc\x03\x03")
        while True:
            self.request.sendall(b"\x00")
            time.sleep(0.02)


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def shutdown_request(self, request):
        self.close_request(request)  # without a farewell, so that a script may reset the connection

    def handle_error(self, request, client_address):
        pass


def main():
    servers = [Server(("127.0.0.1", 0), handler) for handler in (Handler, TlsHandler, HelloDripper)]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    threading.Timer(LIFETIME, lambda: os._exit(0)).start()
    print(*[server.server_address[1] for server in servers], flush=True)
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
