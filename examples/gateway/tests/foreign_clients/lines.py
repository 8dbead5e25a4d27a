"""Lines between a client and the test: orders come in, events go out. The arguments: version, transport, port, client identifier, 1 for a
clean start, seconds of the session (MQTT 5), and the topic of the will or `-`."""
import os
import ssl
import sys
import threading

WILL = b"gone"

version, transport, port, identifier, clean, expiry, will = sys.argv[1:8]
is_v5, port, is_clean, expiry = version == "5", int(port), clean == "1", int(expiry)
will = None if will == "-" else will
is_tls, is_websocket = transport in ("tls", "wss"), transport in ("ws", "wss")
# Certificates are for names.
HOST = "localhost" if is_tls else "127.0.0.1"

_output = threading.Lock()


def tls():
    """Returns what trusts the authority of the test, checks the name, and is none without TLS."""
    return ssl.create_default_context(cafile=os.environ["EDGE_AUTHORITY"]) if is_tls else None


def say(*words):
    """Writes an event; threads may do so at the same time."""
    with _output:
        print(*words, flush=True)


def payload(size, seed):
    """Returns bytes of every value, which a shift or an exchange of two of them changes."""
    return bytes((seed + at * 31 + (at >> 8)) & 255 for at in range(size))


def tell(topic, body, qos, retain):
    """Writes a message that came, with a hash of its bytes."""
    total = 7
    for byte in body:
        total = (total * 31 + byte) & 0xFFFFFFFF
    say("message", topic, int(qos), int(retain), len(body), total)


def publish_order(words):
    """Returns topic, QoS, retain and payload of `publish TOPIC QOS RETAIN SIZE SEED`."""
    return words[1], int(words[2]), words[3] == "1", payload(int(words[4]), int(words[5]))
