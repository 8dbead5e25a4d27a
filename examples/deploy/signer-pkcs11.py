#!/usr/bin/env python3
"""Signer over PKCS #11: signs handshakes of TLS with a key of a token, by OpenSC's pkcs11-tool. ECDSA on P-256, and RSA.

The protocol: docs/reference/signer.md. Tried with SoftHSM 2.6.1 and OpenSC 0.23.0, in handshakes. The PIN comes from the environment variable PIN.

    PIN=1234 signer-pkcs11.py /usr/lib/softhsm/libsofthsm2.so plant 01 /run/edge-signer/site7.sock
"""
import hashlib
import os
import socketserver
import stat
import struct
import subprocess
import sys
import tempfile
import threading

MODULE, TOKEN, KEY, SOCKET = sys.argv[1:5]
ECDSA_P256, RSA_PSS = 0x0403, 0x0804
# A token has few sessions; the others wait for their turn.
TURN = threading.Semaphore(4)
# What SoftHSM says now and then of a token that another process opens at the same time.
MISSED = b"No slot with token"
OPTIONS = {
    # In DER, as TLS has it; PKCS #11 has r and s alone.
    ECDSA_P256: ["--mechanism", "ECDSA", "--signature-format", "openssl"],
    RSA_PSS: ["--mechanism", "RSA-PKCS-PSS", "--hash-algorithm", "SHA256", "--mgf", "MGF1-SHA256", "--salt-len", "32"],
}


def pkcs11_tool(*options):
    """Returns what the tool writes to its output file."""
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "out")
        command = ["pkcs11-tool", "--module", MODULE, "--token-label", TOKEN, "--id", KEY, "--output-file", out]
        with TURN:
            for _ in range(3):
                done = subprocess.run(command + list(options), stdin=subprocess.DEVNULL, capture_output=True, timeout=10)
                if MISSED not in done.stderr:
                    break
        if done.returncode != 0:
            raise ValueError(done.stderr.decode(errors="replace").strip()[:200])
        with open(out, "rb") as file:
            return file.read()


PUBLIC_KEY = pkcs11_tool("--read-object", "--type", "pubkey")
# Object identifier of RSA keys, 1.2.840.113549.1.1.1, in DER.
SCHEME = RSA_PSS if bytes.fromhex("2a864886f70d010101") in PUBLIC_KEY else ECDSA_P256


def sign(scheme, message):
    if scheme != SCHEME:
        raise ValueError(f"this key does not sign by scheme 0x{scheme:04x}")
    with tempfile.NamedTemporaryFile() as digest:
        digest.write(hashlib.sha256(message).digest())
        digest.flush()
        return pkcs11_tool("--login", "--pin", "env:PIN", "--sign", "--input-file", digest.name, *OPTIONS[scheme])


class Caller(socketserver.StreamRequestHandler):
    timeout = 5

    def handle(self):
        head = self.rfile.read(8)
        if len(head) != 8:
            return
        version, kind, scheme, length = struct.unpack(">BBHI", head)
        message = self.rfile.read(min(length, 1 << 20))
        try:
            if (version, len(message)) != (1, length):
                raise ValueError("not a request of version 1")
            body = sign(scheme, message) if kind == 2 else struct.pack(">HH", 1, SCHEME) + PUBLIC_KEY
            outcome = 0
        except (ValueError, OSError, subprocess.SubprocessError) as error:
            outcome, body = 1, str(error).encode()[:1000]
        self.wfile.write(struct.pack(">BBH", 1, outcome, len(body)) + body)


class Signer(socketserver.ThreadingUnixStreamServer):
    # Sensors that connect at once after an outage.
    request_queue_size = 256


# What a killed signer left, and nothing else: at another file the bind fails.
if os.path.exists(SOCKET) and stat.S_ISSOCK(os.stat(SOCKET).st_mode):
    os.remove(SOCKET)
os.umask(0o117)  # Owner and group alone: whoever opens the socket has things signed.
with Signer(SOCKET, Caller) as server:
    server.serve_forever()
