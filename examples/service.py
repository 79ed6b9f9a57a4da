"""A prediction service in one file: trained while an image is built, then asked by many clients at once.

python service.py build digits.fastnet       trains, saves, and compiles what predictions need (into FASTNET_CACHE_DIR)
python service.py serve digits.fastnet       answers at port 8000: POST rows of 64 numbers as JSON, get the digits
python service.py                            does both in a temporary folder, and asks the test digits

docs/production.md has the Dockerfile. The cache of kernels may be read-only, and belong to root.
"""

import json
import sys
import tempfile
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

import fastnet
from fastnet import layers

LARGEST = 1 << 20  # bytes of a request


def build(path):
    (x, y), _ = fastnet.datasets.digits.load_data()
    fastnet.utils.set_random_seed(0)
    model = fastnet.Sequential(
        [
            layers.Input((64,)),
            layers.Rescaling(1 / 16),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x.reshape(-1, 64), y, epochs=15, verbose=0)
    model.save(path)
    model.predict(np.zeros((1, 64), np.float32), verbose=0)  # compiles the kernels of the service's only kind of call


class Service(BaseHTTPRequestHandler):
    model = None  # predicts in several threads at once

    def do_POST(self):
        try:
            size = int(self.headers.get("Content-Length", 0))
            if size > LARGEST:
                raise ValueError(f"A request has at most {LARGEST} bytes, received {size}.")
            rows = np.array(json.loads(self.rfile.read(size)), np.float32)
            answer, status = self.model.predict(rows, verbose=0).argmax(axis=1).tolist(), 200
        except (ValueError, TypeError) as error:  # no JSON, no numbers, or of another shape: the message says which
            answer, status = {"error": str(error)}, 400
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def server(path, host, port):
    fastnet.set_num_threads(1)  # a request has little to divide; requests use the other cores
    Service.model = fastnet.models.load_model(path)
    return ThreadingHTTPServer((host, port), Service)


def ask(url, rows):
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(rows).encode())) as answer:
        return json.load(answer)


def main():
    if sys.argv[1:2] == ["build"]:
        build(sys.argv[2])
    elif sys.argv[1:2] == ["serve"]:
        server(sys.argv[2], "", 8000).serve_forever()
    else:
        with tempfile.TemporaryDirectory() as folder:
            build(Path(folder) / "digits.fastnet")
            with server(Path(folder) / "digits.fastnet", "127.0.0.1", 0) as service:
                threading.Thread(target=service.serve_forever).start()
                url = f"http://127.0.0.1:{service.server_port}"
                _, (x, y) = fastnet.datasets.digits.load_data()
                with ThreadPoolExecutor(8) as clients:
                    answers = clients.map(lambda row: ask(url, [row]), x.reshape(-1, 64).tolist())
                    right = np.mean([digits[0] == label for digits, label in zip(answers, y)])
                service.shutdown()
        print(f"The service names {right:.1%} of the test digits.")


if __name__ == "__main__":
    main()
