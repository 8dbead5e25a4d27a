"""Reads compact batches of edge-codec; docs/codec-formats.md is the recipe.

    rows = decode(payload)                          # a batch that brings its own names
    table = Table(open("plant.table", "rb").read())
    rows = decode(payload, table)                   # a batch that refers to a session table

Whatever is damaged, incomplete or of a newer layout raises BatchError, and so does a batch of
more readings than `most`, by default as many as the encoder puts into one. As a program:
`edge_batch.py [TABLE...] < frames`, each frame behind its length in 4 bytes, big-endian;
it prints row, sensor, time, quality, kind, value, name and unit with tabs between.
"""
import functools
import hashlib
import itertools
import json
import os
import struct
import sys
from typing import NamedTuple, Optional

from edge_batch_stream import LISTED_MAX, TEXT, BatchError, Bits, Plan
from edge_batch_stream import cast, entry, fields, need, varints, wrap, zigzag

# Fields of the messages Batch and Table in proto/batch.proto.
VERSION, FIRST_SEQ, COLUMNS, TABLE_COLUMNS, SEQS, TEXTS, ZSTD = 1, 5, 8, 9, 10, 11, 13
IDENTITY = (2, 3, 4, FIRST_SEQ)
SENSORS, HINTS = 2, 3
# Wire types of their fields: 0 a number, 1 eight bytes, 2 bytes behind their length.
BATCH_TYPES = {number: (0,) for number in (VERSION, 3, 4, FIRST_SEQ, 6)}
BATCH_TYPES |= {number: (2,) for number in (COLUMNS, TABLE_COLUMNS, TEXTS, ZSTD)}
BATCH_TYPES |= {2: (1,), SEQS: (0, 2)}
TABLE_TYPES = SENSOR_TYPES = {1: (0,), 2: (2,), 3: (2,)}
ID_BYTES = 8
KINDS = ("f64", "i64", "u64", "bool", "text", "bytes", "null")
# Bytes of names, by rank.
LETTERS = b"e_tra/iosn1l2cpd0mu3h.g45b6f7-8v9wkyxzjq TSCPAMERDLVIFOBHNGWUKXYQJZ:%#@+"
LETTERS += bytes(range(256))
# Readings, and bytes of names, per byte of a batch; the most of them; bytes of a frame.
PER_BYTE = 32
READINGS_MAX, NAMES_MAX, FRAME_MAX = 1 << 16, 1 << 20, (1 << 24) - 1


class Row(NamedTuple):
    """A reading. `seq` is its sequence number, None in a batch without identity."""
    seq: Optional[int]
    sensor: int
    name: str
    unit: str
    time_ms: int
    quality: int
    kind: str
    value: object


DAMAGE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, struct.error)


def guarded(read):
    """What damaged bytes make Python raise is a BatchError, too."""
    @functools.wraps(read)
    def guard(*arguments):
        try:
            return read(*arguments)
        except BatchError:
            raise
        except DAMAGE as error:
            raise BatchError("damaged: %s" % error) from error
    return guard


def table_id(data):
    """The id by which batches refer to a table: the first 8 bytes of the SHA-256 of its bytes."""
    return int.from_bytes(hashlib.sha256(data).digest()[:ID_BYTES], "big")


class Table:
    """A session table: id, sensors as (number, name, unit), learned plans and clocks."""
    @guarded
    def __init__(self, data):
        message, self.id, self.clocks = fields(data, TABLE_TYPES), table_id(data), []
        sensors = [fields(sensor, SENSOR_TYPES) for sensor in message.get(SENSORS, [])]
        text = lambda sensor, number: sensor.get(number, [b""])[-1].decode()
        self.sensors = [(s.get(1, [0])[-1], text(s, 2), text(s, 3)) for s in sensors]
        numbers = [message.get(VERSION, [0])[-1], *(sensor[0] for sensor in self.sensors)]
        need(max(numbers) < 1 << 32, "a number above 32 bits")
        need(len(set(numbers[1:])) == len(numbers) - 1, "a sensor stands twice")
        self.plans = [None] * len(self.sensors)
        if HINTS in message:
            bits, listed = Bits(message[HINTS][-1], len(data)), 0
            for _ in range(bits.count(0)):
                clock = bits.raw(), zigzag(bits.raw()), zigzag(bits.raw()), bits.get(6)
                need(0 < clock[0] < 1 << 63 and clock[3] >= 8, "a clock out of range")
                self.clocks.append((*clock, bits.learned()))
            for nth in range(len(self.sensors)):
                if bits.get(1):
                    kind = bits.get(3)
                    need(kind < TEXT, "a plan of a table that is not of numbers")
                    plan = self.plans[nth] = Plan(bits, kind, bits.learned, has_head=True)
                    listed += len(plan.steps) if plan.step == 2 else 0
                    need(listed <= LISTED_MAX, "more values in lists than a table may have")
            bits.finish()


@guarded
def wanted_table(data):
    """The id of the session table that a batch refers to, None if it needs none."""
    against = fields(data, BATCH_TYPES).get(TABLE_COLUMNS)
    if against is None:
        return None
    need(len(against[-1]) >= ID_BYTES, "no id of a table before the columns")
    return int.from_bytes(against[-1][:ID_BYTES], "big")


@guarded
def decode(data, table=None, most=READINGS_MAX):
    """The readings of a batch, `most` at most. `table`: what it refers to, or its bytes."""
    message, wanted = fields(data, BATCH_TYPES), wanted_table(data)
    need(message.get(VERSION, [0])[-1] == 0, "a newer layout")
    need(ZSTD not in message, "compressed with Zstandard, which this reader has not")
    table = None if wanted is None else Table(table) if isinstance(table, bytes) else table
    is_known = wanted is None or table is not None and table.id == wanted
    need(is_known, "the batch needs the session table %016x" % (wanted or 0))
    need(wanted is None or COLUMNS not in message, "columns with a table and without")
    stream = message.get(COLUMNS, [None])[-1]
    if table:
        stream = message[TABLE_COLUMNS][-1][ID_BYTES:] or None
    identity(message)
    texts = message.get(TEXTS, [b""])[-1]
    if stream is None:
        need(not texts, "texts without readings")
        return numbered(message, [])
    room = PER_BYTE * len(data)
    bits = Bits(stream, min(room, most))
    columns = bits.count(0) + 1
    is_odd = bits.get(1)
    need(is_odd or not texts, "texts that are not listed")
    if is_odd:
        in_order, codes, texts, names = preface(bits, columns, texts, min(room, NAMES_MAX))
    else:
        in_order, codes, texts, names = 0, [], [], []
    need(not (names and table), "names beside a table")
    clocks, count, instants = [], bits.count(0) + 1, 0
    need(count <= columns, "more clocks than columns")
    for _ in range(count):
        clocks.append(clock(bits, table.clocks if table else [], columns, clocks[:1]))
        instants += len(clocks[-1])
        need(instants <= bits.limit, "more instants than such a batch can have")
    rows = readings(bits, columns, clocks, codes, texts, names, table)
    rows = explicit_order(bits, rows) if in_order else sorted(
        itertools.chain.from_iterable(rows), key=lambda row: row[:2])
    bits.finish()
    return numbered(message, rows)


def identity(message):
    """Checks the identity: all of its fields stand there or none, 0 or not."""
    there = [message[field][-1] for field in IDENTITY if field in message]
    need(len(there) in (0, len(IDENTITY)), "an identity in part")
    if there:
        is_right = len(there[0]) == 8 and there[1] < 1 << 8 and there[2] < 1 << 32
        need(is_right, "an identity out of range")
    need(there or not runs_of(message), "runs of sequence numbers without an identity")


def preface(bits, columns, texts, most):
    in_order, codes = bits.get(1), [bits.get(32) for _ in range(bits.count(0))]
    need(len(codes) <= 14, "too many quality codes")
    sizes = [bits.eg(3) for _ in range(bits.count(3) + 1)] if bits.get(1) else []
    ends = list(itertools.accumulate(sizes, initial=0))
    need(ends[-1] == len(texts), "the texts do not fill their field")
    texts = [texts[start:end] for start, end in zip(ends, ends[1:])]
    names, name = [], b""
    if bits.get(1):
        sizes = [(bits.eg(2), bits.eg(2)) for _ in range(2 * columns)]
        need(sum(map(sum, sizes)) <= most, "more names than a batch of this size can have")
        letters = bits.fixed()
        for shared, own in sizes:
            need(shared <= len(name), "a name shares more than there is")
            name = name[:shared] + bytes(LETTERS[bits.number(letters)] for _ in range(own))
            names.append(name.decode())
    return in_order, codes, texts, list(zip(names[:columns], names[columns:]))


def clock(bits, known, columns, first):
    """The times of a clock, counted from the first clock's start or the table's origin."""
    number = bits.eg(0)
    if number < len(known):
        unit, period, start, low, steps_coder = known[number]
    else:
        unit, period, start, low, steps_coder = bits.raw(), zigzag(bits.raw()), 0, 40, bits.fixed()
        need(0 < unit < 1 << 63, "a unit out of range")
    steps = bits.count(0)
    if not first and columns * (steps + 1) >= 64:
        bits.states += [bits.get(10) for _ in range(3)]
    if first:
        start, low = first[0][0], 10
    start += (unit if number < len(known) else 1) * zigzag(bits.eg(low))
    is_uneven = steps and bits.get(1)
    gaps = (period + (zigzag(bits.number(steps_coder)) if is_uneven else 0) for _ in range(steps))
    later = lambda time, gap: wrap(time + unit * gap)
    return list(itertools.accumulate(gaps, later, initial=wrap(start)))


def readings(bits, columns, clocks, codes, texts, names, table):
    """Per column: (latest time of its clock so far, column, number, name, unit, time, ...)."""
    sensors, out, place, span, left = table and table.sensors, [], 0, (0, 0, 0), bits.limit
    low = len(sensors).bit_length() // 2 if sensors else 3
    need(not table or sensors, "a sensor is not in the table")
    seen = set()
    latest = [list(itertools.accumulate(times, max)) for times in clocks]
    for column in range(columns):
        place, low = place + zigzag(bits.eg(low)), 0
        need(0 <= place < 1 << 32, "a sensor's number out of range")
        need(place not in seen, "a sensor stands twice")
        seen.add(place)
        sensor = sensors[place] if sensors else (place, *(names[column] if names else ("", "")))
        span = tuple(bits.eg(0) for _ in range(3)) if bits.get(1) else span
        start, end = span[1], len(clocks[span[0]]) - span[2]
        left -= end - start
        need(start < end and left >= 0, "a column without readings, or with too many")
        qualities = [0] * (end - start)
        if codes and bits.get(1):
            qualities = bits.runs(end - start, lambda: quality(bits, codes))
        if sensors and bits.get(1):
            values = table.plans[place].column(bits, end - start, texts)
        else:
            values = bits.values(end - start, texts, bits.next_plan())
        use = slice(start, end)
        out.append([
            (when, column, *sensor, time, status, KINDS[kind], value)
            for when, time, status, (kind, value)
            in zip(latest[span[0]][use], clocks[span[0]][use], qualities, values)
        ])
        place += 1
    return out


def quality(bits, codes):
    code = bits.get(4)
    return bits.get(32) if code > len(codes) else (0, *codes)[code]


def explicit_order(bits, columns):
    """The readings in the order in which they were pushed."""
    coder, queues, at, out = bits.fixed(), [column[::-1] for column in columns], 0, []
    for _ in range(sum(map(len, columns))):
        at += zigzag(bits.number(coder))
        out.append(entry(queues, at).pop())
        at = (at + 1) % len(queues)
    return out


def numbered(message, rows):
    return [Row(seq, *row[2:]) for seq, row in zip(sequence(message, len(rows)), rows)]


def runs_of(message):
    return list(itertools.chain.from_iterable(map(varints, message.get(SEQS, []))))


def sequence(message, length):
    """Sequence numbers. Runs are so many in sequence, so many that are missing, and so on."""
    if FIRST_SEQ not in message:
        return [None] * length
    runs = runs_of(message)
    need(not runs or len(runs) % 2 and all(runs), "runs of sequence numbers that are none")
    runs, number, out = runs or [length], message[FIRST_SEQ][-1], []
    need(sum(runs[::2]) == length, "the runs of sequence numbers do not fit")
    need(number + sum(runs) < 1 << 64, "a sequence number out of range")
    for present, missing in itertools.zip_longest(runs[::2], runs[1::2], fillvalue=0):
        out += range(number, number + present)
        number += present + missing
    return out


def main():
    try:
        print_batches()
        sys.stdout.flush()
    except BrokenPipeError:
        # Nobody reads any more, which is no failure; nor shall Python write to them at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (BatchError, OSError) as error:
        sys.exit("edge_batch: %s" % error)


def print_batches():
    tables = {}
    for path in sys.argv[1:]:
        with open(path, "rb") as file:
            table = Table(file.read())
            tables[table.id] = table
    stream = sys.stdin.buffer
    for head in iter(lambda: stream.read(4), b""):
        size = int.from_bytes(head, "big")
        need(size <= FRAME_MAX, "a frame of more than 16 MiB")
        payload = stream.read(size)
        need(len(head) == 4 and len(payload) == size, "the input is cut off")
        for row in decode(payload, tables.get(wanted_table(payload))):
            value = json.dumps(row.value) if row.kind != "bytes" else row.value.hex()
            if row.kind == "f64":
                value = "%016x %r" % (cast("Q", "d", row.value), row.value)
            seq = "-" if row.seq is None else row.seq
            head = seq, row.sensor, row.time_ms, row.quality, row.kind, value
            print(*head, json.dumps(row.name), json.dumps(row.unit), sep="\t")


if __name__ == "__main__":
    main()
