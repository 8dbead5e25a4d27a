#!/usr/bin/env python3
"""Builds and runs the tests of the packages that the arguments name (as for cargo; without arguments, of all), two programs at a time: those that
wait for sockets, disks and processes one after the other, and beside them, with the lowest priority, those that only compute. A program's output
is printed whole when it ends. Exit code 1: a test failed.

cargo runs one program after the other, and for more than half of that time nothing is computed.
"""
import json
import os
import subprocess
import sys
import threading

# Their tests may be late without harm.
COMPUTING_PACKAGES = {"edge-codec", "edge-filter", "edge-queue"}
COMPUTING_PROGRAMS = {("edge-bridge", "sim"), ("edge-bridge", "refusals")}

CARGO_TEST = [os.environ.get("CARGO", "cargo"), "test", "--locked", *(sys.argv[1:] or ["--workspace"])]


class Program:
    """Test program, as cargo's message about its build tells it."""

    def __init__(self, message):
        self.file = message["executable"]
        self.folder = os.path.dirname(message["manifest_path"])
        self.source = os.path.relpath(message["target"]["src_path"], self.folder)
        self.name = (os.path.basename(self.folder), message["target"]["name"])

    def is_computing(self):
        return self.name[0] in COMPUTING_PACKAGES or self.name in COMPUTING_PROGRAMS

    def run(self, niceness):
        """Runs it in the folder of its package, as cargo does, and returns its exit code and output."""
        command = ["nice", "-n", str(niceness), self.file, "--show-output"]
        environment = os.environ | {"CARGO_MANIFEST_DIR": self.folder}
        ended = subprocess.run(
            command, cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        return ended.returncode, ended.stdout


class Lane(threading.Thread):
    """Programs that run one after the other, with one priority."""

    printing = threading.Lock()

    def __init__(self, programs, niceness):
        # An interrupt ends the running programs; it must not begin the next ones.
        super().__init__(daemon=True)
        self.programs, self.niceness, self.has_failed = sorted(programs, key=lambda program: program.name), niceness, False

    def run(self):
        for program in self.programs:
            code, output = program.run(self.niceness)
            self.has_failed |= code != 0
            with self.printing:
                print(f"     Running {program.source} of {program.name[0]} ({os.path.relpath(program.file)})", flush=True)
                sys.stdout.buffer.write(output)
                if code != 0:
                    print(f"error: {program.source} of {program.name[0]} ended with {code}")
                sys.stdout.flush()


def build():
    """Builds all test programs and returns them; ends this process if one does not compile."""
    built = subprocess.run([*CARGO_TEST, "--no-run", "--message-format=json-render-diagnostics"], stdout=subprocess.PIPE, check=False)
    if built.returncode != 0:
        sys.exit(built.returncode)
    messages = map(json.loads, built.stdout.splitlines())
    return [Program(message) for message in messages if message.get("executable") and message["profile"]["test"]]


def main():
    programs = build()
    waiting = Lane([program for program in programs if not program.is_computing()], 0)
    computing = Lane([program for program in programs if program.is_computing()], 19)
    for lane in (waiting, computing):
        lane.start()
    for lane in (waiting, computing):
        lane.join()
    examples = subprocess.run([*CARGO_TEST, "--doc", "--no-fail-fast", "--", "--show-output"], stderr=subprocess.STDOUT, check=False)
    sys.exit(1 if waiting.has_failed or computing.has_failed or examples.returncode != 0 else 0)


if __name__ == "__main__":
    main()
