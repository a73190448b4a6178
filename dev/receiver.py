#!/usr/bin/env python3
"""A webhook receiver that believes nothing: it verifies every signature by itself.

Written against the Standard Webhooks specification (https://www.standardwebhooks.com), not against
tidegate's code. HMAC signatures (v1) need only the standard library; the published PyPI package
`standardwebhooks` is asked for a second opinion when it can be imported, and `--require-library`
makes that mandatory. Appends one JSON line per request to a file:

    {"id", "valid", "reason", "library", "type", "body", "headers", "status", "time", "repeat"}

    dev/receiver.py --secret whsec_... --out seen.ndjson                # prints the port it took
    dev/receiver.py --secret-env SECRET --out seen.ndjson --script 500,500,200 --delay 0.2

`--script` answers the n-th request with the n-th status, the last one from then on; `429:7` adds
`Retry-After: 7`, `301:URL` a `Location`, `hang` takes the request and says nothing.
"""

import argparse
import base64
import hashlib
import hmac
import json
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOLERANCE_SECONDS = 300
BODY_BYTES_MAX = 4 << 20


def load_library(required):
    """The published package's Webhook class, or None."""
    try:
        from standardwebhooks.webhooks import Webhook
    except ImportError:
        if required:
            sys.exit("error: the package standardwebhooks is not installed: pip install standardwebhooks")
        return None
    return Webhook


def key_of(secret):
    """The bytes of an HMAC secret, with or without its prefix."""
    text = secret.strip()
    if text.startswith("whsec_"):
        text = text[len("whsec_"):]
    return base64.b64decode(text, validate=True)


def verify(keys, headers, body, now):
    """None if some signature of the header fits, or the reason why none does."""
    missing = [name for name in ("webhook-id", "webhook-timestamp", "webhook-signature")
               if not headers.get(name)]
    if missing:
        return "missing header " + ", ".join(missing)
    try:
        timestamp = int(headers["webhook-timestamp"])
    except ValueError:
        return "webhook-timestamp is not a number"
    if abs(now - timestamp) > TOLERANCE_SECONDS:
        return "webhook-timestamp is more than 300 s from now"
    signed = headers["webhook-id"].encode() + b"." + str(timestamp).encode() + b"." + body
    for part in headers["webhook-signature"].split(" "):
        version, _, signature = part.partition(",")
        if version != "v1":
            continue
        for key in keys:
            expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
            if hmac.compare_digest(expected, signature):
                return None
    return "no signature fits"


def library_verdict(library, secrets, headers, body):
    """True or False as the published package says; None without it."""
    if library is None:
        return None
    for secret in secrets:
        try:
            library(secret.strip()).verify(body, dict(headers))
            return True
        except Exception:  # noqa: BLE001: the package raises several kinds, all mean "no"
            continue
    return False


def parse_script(text):
    """[(status or "hang", value or None), ...]"""
    steps = []
    for step in text.split(","):
        status, _, value = step.strip().partition(":")
        steps.append((status if status == "hang" else int(status), value or None))
    return steps


class State:
    """What all requests share."""

    def __init__(self, options, secrets, library):
        self.options = options
        self.secrets = secrets
        self.keys = [key_of(secret) for secret in secrets]
        self.library = library
        self.script = parse_script(options.script)
        self.lock = threading.Lock()
        self.count = 0
        self.seen = {}
        self.out = open(options.out, "a", encoding="utf-8")

    def next_step(self):
        with self.lock:
            step = self.script[min(self.count, len(self.script) - 1)]
            self.count += 1
            return step

    def record(self, line):
        with self.lock:
            digest = hashlib.sha256(line["body"].encode()).hexdigest()
            before = self.seen.setdefault(line["id"], digest)
            # A repeat must be the same bytes under the same id.
            line["repeat"] = None if line.pop("first") else before == digest
            self.out.write(json.dumps(line, sort_keys=True) + "\n")
            self.out.flush()

    def is_first(self, message_id):
        with self.lock:
            return message_id not in self.seen


def make_receiver(state):
    class Receiver(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_GET(self):
            self.answer(200, None)

        def do_POST(self):
            length = int(self.headers.get("content-length") or 0)
            if length > BODY_BYTES_MAX:
                self.close_connection = True
                return self.answer(413, None)
            body = self.rfile.read(length)
            headers = {name.lower(): value for name, value in self.headers.items()}
            now = time.time()
            reason = verify(state.keys, headers, body, now)
            library = library_verdict(state.library, state.secrets, headers, body)
            valid = reason is None and library is not False
            if reason is None and library is False:
                reason = "the package standardwebhooks refuses it"
            text = body.decode("utf-8", "replace")
            try:
                kind = json.loads(text).get("type")
            except (ValueError, AttributeError):
                kind, valid, reason = None, False, reason or "the body is not a JSON object"
            status, value = state.next_step()
            # A forged webhook is never acknowledged, whatever the script says.
            if not valid and status != "hang" and 200 <= status < 300:
                status = 401
            message_id = headers.get("webhook-id")
            state.record({
                "id": message_id, "valid": valid, "reason": reason, "library": library,
                "type": kind, "body": text, "headers": headers, "status": status, "time": now,
                "first": state.is_first(message_id),
            })
            if status == "hang":
                time.sleep(3600)
            if state.options.delay:
                time.sleep(state.options.delay)
            self.answer(status, value)

        def answer(self, status, value):
            try:
                self.send_response(status)
                if value and status in (429, 503):
                    self.send_header("retry-after", value)
                if value and 300 <= status < 400:
                    self.send_header("location", value)
                self.send_header("content-length", "0")
                self.end_headers()
            except OSError:
                self.close_connection = True

    return Receiver


class Server(ThreadingHTTPServer):
    """A sender that dies in the middle of a request is no error of ours."""

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--secret", action="append", default=[], help="whsec_...; may be repeated")
    parser.add_argument("--secret-env", action="append", default=[], help="variable with a secret")
    parser.add_argument("--out", required=True, help="file that gets one JSON line per request")
    parser.add_argument("--script", default="200", help="statuses to answer with, in order")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--require-library", action="store_true",
                        help="fail without the PyPI package standardwebhooks")
    options = parser.parse_args()
    missing = [name for name in options.secret_env if name not in os.environ]
    if missing:
        parser.error("not set: " + ", ".join(missing))
    secrets = options.secret + [os.environ[name] for name in options.secret_env]
    if not secrets:
        parser.error("give at least one --secret or --secret-env")
    state = State(options, secrets, load_library(options.require_library))
    server = Server(("127.0.0.1", options.port), make_receiver(state))
    server.daemon_threads = True
    # serve_forever must not be stopped from its own thread.
    stop = lambda *_: threading.Thread(target=server.shutdown).start()
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    print(server.server_address[1], flush=True)
    server.serve_forever(poll_interval=0.1)


if __name__ == "__main__":
    main()
