"""Reads compact batches (docs/codec-formats.md has the recipe): edge_batch.py [TABLE…] < frames, each after its length in 4 bytes, big-endian.
Prints a line per reading, with tabs between: row, sensor, time in ms, quality, kind, value (a double's bits first), name, unit."""
import itertools, json, struct, sys
ESC, KINDS, DIVISORS, ZEROS = 131, "f64 i64 u64 bool text bytes null".split(), [1, 3, 7, 9], [0, 307, 512, 717, 870, 952, 993, 1018]
BODIES = [[497, 256, 128, 64, 32, 16, 8, 4, 4] + [1] * 15, [244, 192, 144, 108, 81, 61, 46, 34, 70, 22, 9] + [1] * 13, [321, 109, 109, 38, 38, 38, 38, 13,
    53, 45, 37, 34, 26, 25, 18, 18, 13, 13, 9, 9, 6, 6, 4, 4], [557, 127, 127, 29, 29, 29, 29, 6, 26, 21, 12, 10, 5, 5, 2, 2] + [1] * 8]
LETTERS = [*b"e_tra/iosn1l2cpd0mu3h.g45b6f7-8v9wkyxzjq TSCPAMERDLVIFOBHNGWUKXYQJZ:%#@+", *range(256)]
uz, wrap, sums = lambda z: z >> 1 ^ -(z & 1), lambda x: (x + (1 << 63)) % (1 << 64) - (1 << 63), lambda n, plus=None: list(itertools.accumulate(n, plus))
flip, cast = lambda bits, n: bits if bits >= 0 else bits ^ (1 << n - 1) - 1, lambda k, v: struct.unpack(">" + k[1], struct.pack(">" + k[0], v))[0]
def varint(b, p): n = next(n for n in itertools.count(p) if b[n] < 128) + 1; return sum((c & 127) << 7 * i for i, c in enumerate(b[p:n])), n
def fields(b, p=0):                                                            # of a Protobuf message: number -> contents
    f = {}
    while p < len(b):
        key, p = varint(b, p); v, p = varint(b, p) if key & 7 in (0, 2) else ({1: 8, 5: 4}[key & 7], p)
        if key & 7: p += v; v = b[p - v:p]
        f.setdefault(key >> 3, []).append(v)
    return f
def cells(weights):                                                            # tANS: state -> token, bits, base of the next state
    nth, spread, out = dict(weights), [0] * 1024, []
    for i, t in enumerate(t for t, w in weights for _ in range(w)): spread[i * 643 % 1024] = t
    for t in spread: n = 11 - nth[t].bit_length(); out.append((t, n, (nth[t] << n) - 1024)); nth[t] += 1
    return out
class Bits:                                                                    # a big number; the marker is its highest bit
    def __init__(s, b): s.x = int.from_bytes(b, "big"); s.left = s.x.bit_length() - 1; s.states, s.before = [s.get(10)], None
    def get(s, n): s.left -= n; assert s.left >= 0, "the batch is cut off"; return s.x >> s.left & (1 << n) - 1
    def eg(s, k): z = next(z for z in itertools.count() if s.get(1)); return (1 << z | s.get(z)) - 1 << k | s.get(k)
    def raw(s): return s.get(s.eg(4))
    def num(s, coder):
        cells, low, shift = coder; t, n, base = cells[s.states[0]]; s.states = s.states[1:] + [base + s.get(n)]
        if t == ESC or t < shift: return s.raw() if t == ESC else 0
        t -= shift; e, q = (low, t) if t < 8 else (t // 2 - 2 + low, 2 | t & 1); return shift + (q << e | s.get(e))
    def fixed(s):                                                              # one of the 32 fixed shapes
        n, low = s.get(5), s.get(6); zero = ZEROS[n >> 2]; shift = int(zero > 0)
        w = [x * (1023 - zero) // 1024 for x in BODIES[n & 3]]; w[0] += 1023 - zero - sum(w)
        return cells([(0, zero)] * shift + [(t + shift, x) for t, x in enumerate(w) if x] + [(ESC, 1)]), low, shift
    def learned(s, w=()):                                                      # weights of their own: in tables
        return (cells(w), 0, 0) if sum(x for _, x in w) > 1023 else s.learned((*w, ((w[-1][0] if w else 0) + s.eg(0), s.eg(4) + 1)))
    def runs(s, n, what, out=()):
        while len(out) < n: more = s.eg(3) + 1; out = [*out, *[what()] * more]
        return out
    def plan(s, kind, coder, heads=False):
        form = [s.get(2)] if kind == 0 else []; form += [s.get(n) for n in ((4, 2, 2, 1), (4,), (), ())[form[0]]] if form else []
        how = s.get(2); a, b, c = (uz(s.raw()), s.raw(), 0) if how == 1 else (s.eg(3), s.get(7), uz(s.raw())) if how == 2 else (0, 0, 0)
        pre = (lambda x: x, lambda x: wrap(a + b * x), sums([c] + [s.get(b) + 1 for _ in range((a - 1) * (how == 2))]).__getitem__)[how]; order, center, main = s.get(2), uz(s.raw()), coder()
        return [kind, form, pre, order, center, main, form[:1] == [0] and form[4] and coder(), heads and order in (1, 2) and coder()]
    def own_plan(s):                                                           # of a batch: perhaps like the one before
        if not s.before or not s.get(1): kind = s.get(3); s.before = s.plan(kind, s.fixed) if kind < 6 else s.before; return kind
        s.before[4] = uz(s.raw()); s.before[5:7] = s.before[5:7] if s.get(1) else (s.fixed(), s.before[6] and s.fixed()); return s.before[0]
    def column(s, plan, n, texts):
        kind, form, pre, order, center, main, ulps, head = plan; slope = 0
        x = [wrap(center + (head and uz(s.num(head))))] if order in (1, 2) else [wrap(center + (uz, int)[order == 0](s.num(main))) for _ in range(n)]
        for _ in range(n - len(x)): slope = uz(s.num(main)) + (slope if order == 2 else 0); x.append(wrap(x[-1] + slope))
        of = (lambda m: value(form, m, ulps and uz(s.num(ulps))), int, lambda m: m % (1 << 64), bool, lambda m: texts[m].decode(), texts.__getitem__)
        return [(kind, of[kind](pre(m))) for m in x]
    def values(s, n, texts, kind):
        if kind < 7: return [(6, None)] * n if kind == 6 else s.column(s.before, n, texts)
        kinds = s.runs(n, lambda: s.get(3)); each = {k: iter(s.values(kinds.count(k), texts, k if k == 6 else s.own_plan())) for k in sorted(set(kinds))}
        return [next(each[k]) for k in kinds]
def value(form, m, ulps):                                                      # the double of an integer
    if form[0] > 1: return cast("qd", flip(m, 64)) if form[0] == 2 else cast("if", flip(m, 32))
    if form[0] == 1:
        least = 10 ** (form[1] - 1); group, rest = divmod(abs(m) - 1, 9 * least); shift, v = form[1] + 19 - group, float(least + rest)
        return 0.0 if m == 0 else (v / 10.0 ** shift if shift >= 0 else v * 10.0 ** -shift) * (1 if m > 0 else -1)
    v = float(m) / (10.0 ** form[1] * DIVISORS[form[2]]); scale = 10.0 ** max(0, 15 - len(str(int(abs(v))).lstrip("0")))
    v = round(v * scale) / scale if form[3] == 1 else cast("ff", v) if form[3] == 2 else v
    return cast("qd", flip(wrap(flip(cast("dq", v), 64) + ulps), 64)) if form[4] else v
def table(b):                                                                  # id, sensors, plans and clocks of a session table
    f = fields(b); h = sums([0x811c9dc5, *b], lambda h, c: (h ^ c) * 0x01000193 % (1 << 32))[-1]; s = 3 in f and Bits(f[3][0])
    sensors = [(e[1][0], e[2][0].decode(), e[3][0].decode()) for e in map(fields, f.get(2, []))]
    clocks = [(s.raw(), uz(s.raw()), uz(s.raw()), s.get(6), s.learned()) for _ in range(s.eg(0))] if s else []
    return h >> 28 ^ h & 0xfffffff, (sensors, [s and s.get(1) and s.plan(s.get(3), s.learned, True) for _ in sensors], clocks)
def decode(b, tables={}):                                                      # [(latest, column, sensor, ms, quality, (kind, value))], rows
    f, rows, clocks, place, span, names, name = fields(b), [], [], 0, (0, 0, 0), [], b""; assert 1 not in f, "a newer layout"
    assert 13 not in f, "compressed with Zstandard, which this reader has not"; assert 9 not in f or f[9][0] in tables, "the batch needs the session table %07x" % f[9][0]
    if 8 not in f: return [], []
    sensors, plans, known = tables[f[9][0]] if 9 in f else (None, None, []); s = Bits(f[8][0]); n = s.eg(0) + 1; odd = s.get(1); low = len(sensors).bit_length() // 2 if sensors else 3
    ordered, codes = odd and s.get(1), [s.get(32) for _ in range(s.eg(0))] if odd else []; ends = sums(s.eg(3) for _ in range(s.eg(3) + 1)) if odd and s.get(1) else []; texts = [f[11][0][a:e] for a, e in zip([0] + ends, ends)]
    sizes = [(s.eg(2), s.eg(2)) for _ in range(2 * n)] if odd and s.get(1) else []; letters = sizes and s.fixed()
    for same, more in sizes: name = name[:same] + bytes(LETTERS[s.num(letters)] for _ in range(more)); names.append(name.decode())
    for _ in range(s.eg(0) + 1):
        i = s.eg(0); unit, period, t, first, coder = known[i] if i < len(known) else (s.raw(), uz(s.raw()), 0, 40, s.fixed()); steps = s.eg(0)
        s.states += [s.get(10) for _ in range(3 * (not clocks and n * (steps + 1) > 63))]     # they take turns
        t, first = (clocks[0][0], 10) if clocks else (t, first); t = wrap(t + (unit if i < len(known) else 1) * uz(s.eg(first))); uneven = steps and s.get(1)
        clocks.append(sums([t] + [unit * (period + (uneven and uz(s.num(coder)))) for _ in range(steps)], lambda a, c: wrap(a + c)))
    for nth in range(n):
        place += uz(s.eg(low)); low, sensor = 0, sensors[place] if sensors else (place, *(names[nth::n] or ("", "")))
        span = tuple(s.eg(0) for _ in range(3)) if s.get(1) else span; clock = clocks[span[0]]; use = slice(span[1], len(clock) - span[2]); m = len(clock[use])
        qualities = s.runs(m, lambda: (lambda c: [0, *codes][c] if c <= len(codes) else s.get(32))(s.get(4))) if codes and s.get(1) else [0] * m
        v = s.column(plans[place], m, texts) if sensors and s.get(1) else s.values(m, texts, s.own_plan()); place += 1
        rows += zip(sums(clock, max)[use], [nth] * m, [sensor] * m, clock[use], qualities, v)
    order, coder, queues, c = [], ordered and s.fixed(), [[r for r in rows if r[1] == i][::-1] for i in range(n)], 0
    for _ in rows if ordered else []: c += uz(s.num(coder)); order.append(queues[c].pop()); c = (c + 1) % n
    assert s.left == 0 == sum(s.states), "the batch does not end where it should"
    runs = f.get(10, [b""])[0]; runs = [varint(runs, at)[0] for at in [0, *(i + 1 for i, c in enumerate(runs) if c < 128)][:-1]]
    ends = sums(runs or [len(rows)]); numbers = [f[5][0] + k for a, e in zip([0] + ends[1::2], ends[0::2]) for k in range(a, e)] if 5 in f else ["-"] * len(rows)
    return order or sorted(rows, key=lambda r: r[:2]), numbers
tables, stream = dict(table(open(path, "rb").read()) for path in sys.argv[1:]), sys.stdin.buffer
for size in iter(lambda: stream.read(4), b""):
    for (_, _, (i, *name), ms, q, (kind, v)), row in zip(*decode(stream.read(struct.unpack(">I", size)[0]), tables)):
        print(row, i, ms, q, KINDS[kind], "%016x %r" % (cast("dQ", v), v) if kind == 0 else v.hex() if kind == 5 else json.dumps(v), *map(json.dumps, name), sep="\t")
