"""Reads batches of the gateway with the standard library alone, by docs/codec-formats.md.

    reader.py < messages       # lines: topic, content type, payload in hexadecimal, with tabs between

Prints a line for each reading: topic, identity, sequence number, name, unit, time, quality, kind and value. A float is
the hexadecimal of its bits, a text that of its bytes. For compact batches PYTHONPATH has edge-codec/decoders/python.
"""
import json
import struct
import sys

import edge_batch


def bits(number):
    return struct.pack(">d", number).hex()


def tell(value):
    """Kind and value of what JSON or CBOR gave."""
    if value is None:
        return "null", "-"
    if isinstance(value, bool):
        return "bool", str(value).lower()
    if isinstance(value, int):
        return "int", str(value)
    if isinstance(value, float):
        return "float", bits(value)
    return "text", "-" + value.encode().hex()


def numbers(first, runs, count):
    """Sequence numbers: so many in sequence, so many that are not here, and so on."""
    at, out = first, []
    for place, length in enumerate(runs or [count]):
        out += range(at, at + length) if place % 2 == 0 else []
        at += length
    assert len(out) == count, "the run lengths do not add up"
    return out


def parts(identity):
    gateway, lane, epoch, seq = identity.split("-")
    return "-".join([gateway, lane, epoch]), int(seq, 16)


def read_json(payload):
    batch = json.loads(payload)
    rows = batch["readings"]
    identity, first = parts(batch["id"])
    for seq, row in zip(numbers(first, batch.get("seqs"), len(rows)), rows):
        yield identity, seq, row["sensor"], row.get("unit", ""), row["ts"], row.get("quality", 0), *tell(row["value"])


def cbor(data, at):
    """An item of RFC 8949, and where the next one begins."""
    major, short = data[at] >> 5, data[at] & 31
    at += 1
    if major == 7:
        if short in (20, 21, 22):
            return {20: False, 21: True, 22: None}[short], at
        form = {25: ">e", 26: ">f", 27: ">d"}[short]
        end = at + struct.calcsize(form)
        return struct.unpack(form, data[at:end])[0], end
    count = short
    if short >= 24:
        size = 1 << (short - 24)
        count, at = int.from_bytes(data[at:at + size], "big"), at + size
    if major < 2:
        return (count if major == 0 else -1 - count), at
    if major in (2, 3):
        text = data[at:at + count]
        return (text if major == 2 else text.decode()), at + count
    items = []
    for _ in range(count * {4: 1, 5: 2}[major]):
        item, at = cbor(data, at)
        items.append(item)
    return (items if major == 4 else dict(zip(items[::2], items[1::2]))), at


def read_cbor(payload):
    batch, end = cbor(payload, 0)
    assert end == len(payload), "there is more behind the batch"
    names = {number: (name, *unit) for number, name, *unit in batch["sensors"]}
    identity, first = parts(batch["id"])
    rows = batch["rows"]
    for seq, (number, time, value, *quality) in zip(numbers(first, batch.get("seqs"), len(rows)), rows):
        name, *unit = names[number]
        yield identity, seq, name, "".join(unit), batch["t"] + time, sum(quality), *tell(value)


def varint(data, at):
    number = shift = 0
    while True:
        number |= (data[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 128:
            return number, at


def fields(data):
    """Fields of a Protobuf message: number -> contents in their order."""
    found, at = {}, 0
    while at < len(data):
        key, at = varint(data, at)
        wire = key & 7
        if wire == 0:
            value, at = varint(data, at)
        else:
            size = 8
            if wire == 2:
                size, at = varint(data, at)
            value, at = data[at:at + size], at + size
        found.setdefault(key >> 3, []).append(value)
    return found


def varints(contents):
    """Numbers of a repeated field, packed or not."""
    out = []
    for content in contents:
        at = 0
        while not isinstance(content, int) and at < len(content):
            number, at = varint(content, at)
            out.append(number)
        out += [content] if isinstance(content, int) else []
    return out


def signed(number):
    """A sint64."""
    return (number >> 1) ^ -(number & 1)


def source(batch):
    gateway = int.from_bytes(batch[2][0], "little")
    return "%x-%x-%x" % (gateway, batch[3][0], batch[4][0]), batch[5][0]


def read_columns(payload):
    batch = fields(payload)
    (identity, first), names, units = source(batch), batch[8], batch.get(9)
    kinds = varints(batch.get(21, [])) or [0] * len(names)
    ids = varints(batch.get(20, [])) or list(range(len(names)))
    floats = b"".join(batch.get(13, []))
    values = [
        [("float", floats[at:at + 8][::-1].hex()) for at in range(0, len(floats), 8)],
        [("int", signed(number)) for number in varints(batch.get(14, []))],
        [("int", number) for number in varints(batch.get(15, []))],
        [("bool", ["false", "true"][number]) for number in varints(batch.get(16, []))],
        [("text", "-" + text.hex()) for text in batch.get(17, [])],
        [("bytes", content.hex()) for content in batch.get(18, [])],
    ]
    queues = [iter(column) for column in values]
    codes = varints(batch.get(19, []))
    qualities = [code for code, count in zip(codes[::2], codes[1::2]) for _ in range(count)]
    places, steps = varints(batch.get(11, [])), varints(batch.get(12, []))
    qualities = qualities or [0] * len(places)
    assert len(places) == len(steps) == len(qualities), "the columns are not of one length"
    firsts = {number: place for place, number in reversed(list(enumerate(ids)))}
    time = signed(batch.get(7, [0])[0])
    seqs = numbers(first, varints(batch.get(10, [])), len(places))
    for seq, place, step, quality in zip(seqs, places, steps, qualities):
        time += signed(step)
        # Further entries of a sensor have neither name nor unit.
        head = firsts[ids[place]]
        unit = units[head].decode() if units else ""
        kind, value = ("null", "-") if kinds[place] == 6 else next(queues[kinds[place]])
        yield identity, seq, names[head].decode(), unit, time, quality, kind, value
    assert all(next(queue, None) is None for queue in queues), "values without a reading"


def read_rows(payload):
    batch = fields(payload)
    identity, first = source(batch)
    base = signed(batch.get(7, [0])[0])
    sensors = {}
    for sensor in map(fields, batch.get(8, [])):
        sensors[sensor.get(1, [0])[0]] = [sensor.get(field, [b""])[0].decode() for field in (2, 3)]
    rows = [fields(row) for row in batch.get(9, [])]
    forms = {
        3: lambda value: ("float", value[::-1].hex()),
        4: lambda value: ("int", signed(value)),
        5: lambda value: ("int", value),
        6: lambda value: ("bool", ["false", "true"][value]),
        7: lambda value: ("text", "-" + value.hex()),
        9: lambda value: ("null", "-"),
    }
    for seq, row in zip(numbers(first, varints(batch.get(10, [])), len(rows)), rows):
        name, unit = sensors[row.get(1, [0])[0]]
        field = next(field for field in forms if field in row)
        time, quality = base + signed(row.get(2, [0])[0]), row.get(10, [0])[0]
        yield identity, seq, name, unit, time, quality, *forms[field](row[field][0])


def read_compact(payload, tables):
    message = edge_batch.fields(payload, edge_batch.BATCH_TYPES)
    gateway = int.from_bytes(message[2][-1], "little")
    identity = "%x-%x-%x" % (gateway, message[3][-1], message[4][-1])
    for row in edge_batch.decode(payload, tables.get(edge_batch.wanted_table(payload))):
        kind, value = tell(row.value)
        # Python's own kinds are not told apart by `tell` where a float is a whole number.
        assert {"f64": "float", "i64": "int", "u64": "int"}.get(row.kind, row.kind) == kind, row
        yield identity, row.seq, row.name, row.unit, row.time_ms, row.quality, kind, value


READERS = {
    "application/json": read_json,
    "application/cbor": read_cbor,
    "application/vnd.edge.rows+protobuf;v=1": read_rows,
    "application/vnd.edge.columns+protobuf;v=1": read_columns,
}


def main():
    tables = {}
    for line in sys.stdin:
        topic, content_type, payload = line.rstrip("\n").split("\t")
        payload = bytes.fromhex(payload)
        if "/table/" in topic:
            table = edge_batch.Table(payload)
            tables[table.id] = table
            continue
        if content_type == "application/vnd.edge.batch;v=1":
            rows = read_compact(payload, tables)
        else:
            rows = READERS[content_type](payload)
        for row in rows:
            print(topic, *row, sep="\t")


main()
