#!/usr/bin/env python3
"""A controller of OpenDSR against `sisa serve` over TLS: it checks every signature as controllers do, by the certificate and over the raw bytes.

    pip install cryptography
    scripts/desk.py SISA

SISA is the program, built with `--features tls`. Keys and certificates are made here, once with RSA and once with P-256; the embedded data is
trained in a temporary folder and served on a free port of this machine, and callbacks come to another one. Clients without a certificate are
refused where one is asked for, and a certificate that does not belong to its key is refused at the start.
"""

import base64
import datetime
import http.client
import http.server
import ipaddress
import json
import os
import pathlib
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOMAIN = "dsr.acme.example"
PATIENCE = 60


def name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class Authority:
    def __init__(self):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self.signed(name("a test authority"), self.key.public_key(), [], True)

    def signed(self, subject, public, names, is_authority=False):
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(name("a test authority"))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def issue(self, folder, file, key, *names):
        """Writes FILE.pem and FILE.key, and returns the certificate."""
        certificate = self.signed(name(DOMAIN), key.public_key(), list(names))
        pem = serialization.Encoding.PEM
        pathlib.Path(folder, f"{file}.pem").write_bytes(certificate.public_bytes(pem))
        secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        pathlib.Path(folder, f"{file}.key").write_bytes(secret)
        return certificate


def holds(certificate, body, signature):
    """Whether a signature in base64 is one of these bytes, by the key of the certificate."""
    public, raw = certificate.public_key(), base64.b64decode(signature)
    try:
        if isinstance(public, rsa.RSAPublicKey):
            public.verify(raw, body, padding.PKCS1v15(), hashes.SHA256())
        else:
            public.verify(raw, body, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


class Callbacks(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.heard.append((dict(self.headers), body))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def listening(folder):
    """A server of callbacks with TLS, and what it heard."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Callbacks)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.path.join(folder, "tls.pem"), os.path.join(folder, "tls.key"))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.heard = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def settings(port, client_ca, key="dsr"):
    lines = f"""
[serve]
[serve.tls]
certificate = "tls.pem"
key = "tls.key"
{'client_ca = "ca.pem"' if client_ca else ""}
[serve.opendsr]
domain = "{DOMAIN}"
controller = "acme"
certificate = "dsr.pem"
key = "{key}.key"
callbacks = ["https://localhost:{port}/dsr"]
private_callbacks = true
callback_ca = "ca.pem"
retry_seconds = 1
"""
    return (ROOT / "sisa.toml").read_text() + lines


class Desk:
    def __init__(self, address, folder, own):
        self.host, port = address.removeprefix("https://").split(":")
        self.port = int(port)
        self.context = ssl.create_default_context(cafile=os.path.join(folder, "ca.pem"))
        if own:
            self.context.load_cert_chain(os.path.join(folder, "client.pem"), os.path.join(folder, "client.key"))

    def ask(self, method, path, body=None):
        connection = http.client.HTTPSConnection(self.host, self.port, context=self.context, timeout=PATIENCE)
        connection.request(method, path, body)
        answer = connection.getresponse()
        found = answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        connection.close()
        return found


def signed_by(certificate, headers, body):
    headers = {k.lower(): v for k, v in headers.items()}
    assert headers["x-opendsr-processor-domain"] == DOMAIN
    # The domain must be the one that the certificate was issued for.
    common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    assert common == DOMAIN
    assert holds(certificate, body, headers["x-opendsr-signature"]), body
    assert not holds(certificate, body + b" ", headers["x-opendsr-signature"])


def until(what, done):
    begun = time.monotonic()
    while not done():
        assert time.monotonic() - begun < PATIENCE, what
        time.sleep(0.05)


def begun(sisa, folder):
    serve = [sisa, "-w", folder, "serve", "--json", "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(serve, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return process, json.loads(process.stdout.readline())["address"]


def stopped(process):
    process.terminate()
    assert process.wait(timeout=15) == 0


def try_kind(sisa, folder, authority, key, number, client_ca):
    authority.issue(folder, "dsr", key, x509.DNSName(DOMAIN))
    server = listening(folder)
    pathlib.Path(folder, "sisa.toml").write_text(settings(server.server_port, client_ca))
    process, address = begun(sisa, folder)
    assert address.startswith("https://"), address
    try:
        if client_ca:
            try:
                Desk(address, folder, own=False).ask("GET", "/v2/health/live")
            except (ssl.SSLError, ConnectionError):
                pass
            else:
                raise AssertionError("a client without a certificate was answered")
        desk = Desk(address, folder, own=client_ca)
        status, headers, body = desk.ask("GET", "/opendsr/v2/discovery")
        assert status == 200, body
        told = json.loads(body)
        assert told["processor_certificate"] == f"https://{DOMAIN}/opendsr/v2/certificate.pem"
        certificate = x509.load_pem_x509_certificate(desk.ask("GET", "/opendsr/v2/certificate.pem")[2])
        certificate.verify_directly_issued_by(authority.certificate)
        signed_by(certificate, headers, body)
        request_id = f"a7551968-d5d6-44b2-9831-{number:012x}"
        url = f"https://localhost:{server.server_port}/dsr/cb"
        request = {
            "regulation": "gdpr",
            "subject_request_id": request_id,
            "subject_request_type": "erasure",
            "submitted_time": "2026-11-26T01:00:00Z",
            "subject_identities": [
                {"identity_type": "controller_customer_id", "identity_value": "125024", "identity_format": "raw"}
            ],
            "status_callback_urls": [url],
            "api_version": "2.0",
        }
        sent = json.dumps(request).encode()
        status, headers, body = desk.ask("POST", "/opendsr/v2/requests", sent)
        assert status == 201, body
        signed_by(certificate, headers, body)
        assert base64.b64decode(json.loads(body)["encoded_request"]) == sent
        until("callbacks", lambda: len(server.heard) >= 2)
        for headers, body in server.heard:
            signed_by(certificate, headers, body)
            assert json.loads(body)["status_callback_url"] == url
        assert [json.loads(body)["request_status"] for _, body in server.heard] == ["in_progress", "completed"]
        status, headers, body = desk.ask("GET", f"/opendsr/v2/requests/{request_id}")
        assert (status, json.loads(body)["request_status"]) == (200, "completed"), body
        signed_by(certificate, headers, body)
        # Another certificate is taken without a restart.
        other = authority.issue(folder, "dsr", key, x509.DNSName(DOMAIN))
        process.send_signal(signal.SIGHUP)
        fresh = lambda: x509.load_pem_x509_certificate(desk.ask("GET", "/opendsr/v2/certificate.pem")[2])
        until("the new certificate", lambda: fresh().serial_number == other.serial_number)
    finally:
        stopped(process)
        server.shutdown()


def main():
    sisa = os.path.abspath(sys.argv[1])
    folder = tempfile.mkdtemp(prefix="sisa-desk-")
    try:
        authority = Authority()
        pathlib.Path(folder, "ca.pem").write_bytes(authority.certificate.public_bytes(serialization.Encoding.PEM))
        local = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        authority.issue(folder, "tls", ec.generate_private_key(ec.SECP256R1()), *local)
        authority.issue(folder, "client", ec.generate_private_key(ec.SECP256R1()), x509.DNSName("client.example"))
        shutil.copy(ROOT / "sisa.toml", folder)
        train = [sisa, "-w", folder, "train", str(ROOT / "data/health_visits.csv.gz"), "--seed", "1", "--quiet"]
        subprocess.run(train, check=True)
        try_kind(sisa, folder, authority, rsa.generate_private_key(65537, 2048), 1, False)
        try_kind(sisa, folder, authority, ec.generate_private_key(ec.SECP256R1()), 2, True)
        # A key that is not that of the certificate is told at the start.
        pathlib.Path(folder, "sisa.toml").write_text(settings(1, False, key="client"))
        refused = subprocess.run([sisa, "-w", folder, "serve"], capture_output=True, text=True, timeout=PATIENCE)
        assert refused.returncode != 0 and "not that of this certificate" in refused.stderr, refused.stderr
    finally:
        shutil.rmtree(folder)
    print("answers and callbacks are signed as controllers check it, by RSA and by P-256, over TLS with and without certificates of clients")


if __name__ == "__main__":
    main()
