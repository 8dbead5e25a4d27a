#!/usr/bin/env python3
"""Builds and runs all tests, four programs at a time: of those that wait for sockets, disks and processes two, and beside them, with a low
priority, two of those that mostly compute. What a program prints is printed whole when it ends, and stays in `target/test-output` until the next
run. Exit code 1: a test failed, or a program could not be run.

cargo runs one program after the other. Those that wait take 25 minutes so, and an eighth of one core.
"""
import json
import os
import queue
import subprocess
import sys
import threading
import time

# Their tests may be late without harm.
COMPUTING_PACKAGES = {"edge-codec", "edge-codec-fuzz", "edge-filter", "edge-filter-fuzz", "edge-queue", "edge-queue-fuzz"}
COMPUTING_PROGRAMS = {("edge-bridge", "sim"), ("edge-bridge", "refusals"), ("edge-bridge", "explore_states")}
# Their limits are of seconds, for what takes milliseconds: a tenth of a core is enough.
NICENESS = 10
# Programs at a time. Those that wait leave most of two cores to the others.
WAITING_LANES = 2
COMPUTING_LANES = 2

CARGO_TEST = [os.environ.get("CARGO", "cargo"), "test", "--locked"]
# All tests, with what is off in the gateway that README's first command builds.
TESTED = ["--workspace", "--features", "edge-gateway/est"]
OUTPUTS = "target/test-output"


def package_of(message):
    """Returns the package's name: behind the `#` of its id, or the last folder where it has that name."""
    path, _, name = message["package_id"].rpartition("#")
    return name.partition("@")[0] if "@" in name else os.path.basename(path)


class Program:
    """Test program, as cargo's message about its build tells it."""

    def __init__(self, message):
        self.file = message["executable"]
        self.folder = os.path.dirname(message["manifest_path"])
        self.source = os.path.relpath(message["target"]["src_path"], self.folder)
        self.name = (package_of(message), message["target"]["name"])
        self.output = os.path.join(OUTPUTS, os.path.basename(self.file) + ".txt")

    def is_computing(self):
        return self.name[0] in COMPUTING_PACKAGES or self.name in COMPUTING_PROGRAMS

    def run(self, niceness, arguments=()):
        """Runs it in the folder of its package, as cargo does, and returns its exit code. Its output goes to a file, which a process that it leaves
        behind cannot keep open for us."""
        environment = os.environ | {"CARGO_MANIFEST_DIR": self.folder}
        os.makedirs(OUTPUTS, exist_ok=True)
        with open(self.output, "wb") as output:
            command = ["nice", "-n", str(niceness), self.file, "--show-output", *arguments]
            ended = subprocess.run(command, cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        return ended.returncode


def in_order(programs):
    """Returns a queue of the programs, from which lanes take the next one."""
    waiting = queue.SimpleQueue()
    for program in sorted(programs, key=lambda program: program.name):
        waiting.put(program)
    return waiting


class Lane(threading.Thread):
    """Programs that run one after the other, with one priority. Lanes may share a queue."""

    printing = threading.Lock()

    def __init__(self, programs, niceness):
        # An interrupt ends the running programs; it must not begin the next ones.
        super().__init__(daemon=True)
        self.programs, self.niceness = programs, niceness
        # Until it has come to its end: it fails too if a program cannot be run.
        self.has_failed = True
        self.seconds = 0

    def run(self):
        begin, failed = time.monotonic(), False
        while True:
            try:
                program = self.programs.get_nowait()
            except queue.Empty:
                break
            failed |= not self.passes(program)
        self.has_failed, self.seconds = failed, round(time.monotonic() - begin)

    def passes(self, program):
        """Runs a program, prints what it printed and how long it took, and tells whether its tests passed."""
        begin = time.monotonic()
        code = program.run(self.niceness)
        seconds = time.monotonic() - begin
        with open(program.output, "rb") as output:
            printed = output.read()
        with self.printing:
            print(f"     Running {program.source} of {program.name[0]} ({os.path.relpath(program.file)}, {seconds:.0f}s)", flush=True)
            sys.stdout.buffer.write(printed if printed.endswith(b"\n") else printed + b"\n")
            if code != 0:
                print(f"error: {program.source} of {program.name[0]} ended with {code}")
            sys.stdout.flush()
        return code == 0


def build(selection):
    """Builds the test programs that these arguments of cargo select and returns them; ends this process if one does not compile, or if there is none."""
    command = [*CARGO_TEST, *selection, "--no-run", "--message-format=json-render-diagnostics"]
    built = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if built.returncode != 0:
        sys.exit(built.returncode)
    messages = map(json.loads, built.stdout.splitlines())
    programs = [Program(message) for message in messages if message.get("executable") and message["profile"]["test"]]
    if not programs:
        sys.exit("cargo named no test program")
    return programs


def main():
    programs = build(TESTED)
    waiting = in_order(program for program in programs if not program.is_computing())
    computing = in_order(program for program in programs if program.is_computing())
    lanes = [Lane(waiting, 0) for _ in range(WAITING_LANES)] + [Lane(computing, NICENESS) for _ in range(COMPUTING_LANES)]
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join()
    print("tests ran for " + ", ".join(f"{lane.seconds}s" for lane in lanes) + "; the last are those that compute", flush=True)
    examples = subprocess.run([*CARGO_TEST, *TESTED, "--doc", "--no-fail-fast", "--", "--show-output"], stderr=subprocess.STDOUT, check=False)
    has_failed = any(lane.has_failed for lane in lanes)
    sys.exit(1 if has_failed or examples.returncode != 0 else 0)


if __name__ == "__main__":
    main()
