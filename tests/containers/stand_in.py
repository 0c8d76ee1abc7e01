"""An Ollama's stand-in with one model, alone in a container: any path, a slow stream, usage of what is posted."""

import json
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WORDS = 20
PACE = 0.25
MODEL = "m"
# What a configuration gets so that all of it is reached, by whoever has the token.
PASSED_ON = "routes: [{name: all, match: {path: /v2/*}, upstream: ollama, auth: [bearer], streaming: true}]\n"
USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path.endswith("/slow"):
            self._slow()
        elif self.path == "/api/tags":
            self._answer({"models": [{"name": MODEL, "model": MODEL}]})
        else:
            self._answer({"path": self.path})

    def do_POST(self) -> None:
        self._read()
        self._answer({"capabilities": ["completion"]} if self.path == "/api/show" else {"choices": [], "usage": USAGE})

    def _read(self) -> None:
        if self.headers.get("transfer-encoding") != "chunked":
            self.rfile.read(int(self.headers.get("content-length", "0")))
            return
        while size := int(self.rfile.readline(), 16):
            self.rfile.read(size + 2)
        self.rfile.readline()

    def _answer(self, content: Mapping[str, object]) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _slow(self) -> None:
        self.send_response(200)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for number in range(WORDS):
            word = f"{number}\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(word), word))
            self.wfile.flush()
            time.sleep(PACE)
        self.wfile.write(b"0\r\n\r\n")


if __name__ == "__main__":
    ThreadingHTTPServer(("0.0.0.0", 11434), Handler).serve_forever()
