#!/usr/bin/env python3
"""Makes the pictures of the documentation from real runs: an outage drill, the status page in normal operation and in an outage, and a report of
filter-lab. Takes three minutes. Needs Debian's chromium, mosquitto, mosquitto-clients and pngquant, and the programs:

    cargo build --locked --release -p edge-gateway -p filter-lab
    docs/pictures/make.py [--programs target/release]
"""
import argparse
import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
PICTURES = ROOT / "docs/pictures"
# Readings of the status page's plant: topic, and payload of the n-th message.
SENSORS = [(f"plant/readings/t{i}", lambda n, i=i: f'{{"value": {20 + i + n % 7 / 10}, "unit": "Cel"}}') for i in range(1, 9)]
SENSORS += [("plant/alarm/door", lambda n: '"open"' if n % 2 else '"closed"'), ("plant/meter", lambda n: str(5000 + n))]
MESSAGES_PER_S = 2
NORMAL_S, OUTAGE_S = 60, 60
RULES = """[[rule]]
match = "oil_temp"
stages = [ { swinging_door = { deviation = 0.5, max_interval_ms = 3600000 } } ]

[[rule]]
match = "motor_current"
stages = [ { deadband = { absolute = 0.1, max_interval_ms = 3600000 } } ]

[[rule]]
match = "+"
stages = [ { deadband = { absolute = 0.05, max_interval_ms = 3600000 } } ]
"""


def photograph(url, name, width, height):
    """Writes what a browser of this size shows at once, in 64 colours: a quarter of the bytes, and text stays sharp."""
    picture = PICTURES / f"{name}.png"
    with tempfile.TemporaryDirectory() as profile:
        command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={profile}"]
        command += [f"--window-size={width},{height}", "--virtual-time-budget=2000", f"--screenshot={picture}", url]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    subprocess.run(["pngquant", "--force", "--strip", "--ext=.png", "64", picture], check=True)
    print(f"{picture.relative_to(ROOT)}: {picture.stat().st_size // 1024} KiB")


def free_ports(count):
    with contextlib.ExitStack() as sockets:
        taken = [sockets.enter_context(socket.socket()) for _ in range(count)]
        for taken_one in taken:
            taken_one.bind(("127.0.0.1", 0))
        return [taken_one.getsockname()[1] for taken_one in taken]


@contextlib.contextmanager
def running(*command, **options):
    """Runs a program, and ends it afterwards."""
    process = subprocess.Popen([str(word) for word in command], **options)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def wait_for_port(port):
    for _ in range(100):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise SystemExit(f"nobody listens at 127.0.0.1:{port} after 10 s")


def wait_for_word(url, word):
    for _ in range(100):
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as page:
            if word in page.read().decode():
                return
        time.sleep(0.3)
    raise SystemExit(f"{url} does not say {word!r} after 30 s")


def publish_for(seconds, publishers, count):
    """Gives each publisher its next messages, evenly over the time, and returns the number of messages that each has sent so far."""
    for _ in range(seconds * MESSAGES_PER_S):
        for publisher, (_, payload) in zip(publishers, SENSORS):
            publisher.stdin.write(payload(count) + "\n")
            publisher.stdin.flush()
        count += 1
        time.sleep(1 / MESSAGES_PER_S)
    return count


def status_pages(programs, folder):
    listen, hub, metrics = free_ports(3)
    shipped = (ROOT / "examples/gateway/gateway.toml").read_text()
    for port, own in ((":1883", listen), (":18830", hub), (":9100", metrics)):
        shipped = shipped.replace(f'127.0.0.1{port}"', f'127.0.0.1:{own}"')
    (folder / "gateway.toml").write_text(shipped)
    (folder / "hub.conf").write_text(f"listener {hub} 127.0.0.1\nallow_anonymous true\n")
    page = f"http://127.0.0.1:{metrics}/"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with contextlib.ExitStack() as programs_running:
        start = lambda *command, **options: programs_running.enter_context(running(*command, **options))
        with running("mosquitto", "-c", folder / "hub.conf", **quiet):
            wait_for_port(hub)
            start(programs / "edge-gateway", "run", folder / "gateway.toml", "--state", folder / "state", **quiet)
            wait_for_port(listen)
            publish = ["mosquitto_pub", "-l", "-q", "1", "-p", listen, "-h", "127.0.0.1", "-t"]
            publishers = [start(*publish, topic, stdin=subprocess.PIPE, text=True, **quiet) for topic, _ in SENSORS]
            count = publish_for(NORMAL_S, publishers, 0)
            wait_for_word(page, ">Delivering<")
            photograph(page, "status", 1200, 900)
        count = publish_for(OUTAGE_S, publishers, count)
        wait_for_word(page, ">Storing<")
        photograph(page, "status-outage", 1200, 900)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--programs", type=pathlib.Path, default=ROOT / "target/release", help="folder of edge-gateway and filter-lab")
    programs = arguments.parse_args().programs.resolve()
    os.environ["PATH"] += ":/usr/sbin"
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        (folder / "rules.toml").write_text(RULES)
        data = ROOT / "examples/drill/data/compressor.csv"
        lab = [programs / "filter-lab", "run", "--rules", folder / "rules.toml", "--in", data, "--out", folder / "kept.csv", "--report", folder / "lab.html"]
        subprocess.run(lab, check=True, stdout=subprocess.DEVNULL)
        photograph(f"file://{folder}/lab.html", "filter-lab", 1200, 900)
        subprocess.run([programs / "edge-gateway", "drill", "--report", folder / "drill"], check=True, stdout=subprocess.DEVNULL)
        photograph(f"file://{folder}/drill/report.html", "drill", 1200, 1000)
        status_pages(programs, folder)


if __name__ == "__main__":
    main()
