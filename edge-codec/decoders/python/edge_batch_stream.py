"""The stream of bits in a compact batch: Protobuf fields, tANS coders, plans of columns."""
import array
import functools
import itertools
import struct

F64, BOOL, TEXT, BYTES, NULL, MIXED = 0, 3, 4, 5, 6, 7
DIVISORS = (1, 3, 7, 9)
# States of a coder, their stride, and the token of a number that stands beside the code.
STATES, STRIDE, ESCAPE = 1024, 643, 131
# Most learned coders of a table: each takes four kilobytes here, for four bytes or more there.
LEARNED_MAX = 4096
# Most values in the lists of all its plans, which may take no bits there.
LISTED_MAX = 1 << 20
# The fixed coders: weights of zero, and of the tokens behind it.
ZEROS = (0, 307, 512, 717, 870, 952, 993, 1018)
BODIES = (
    (497, 256, 128, 64, 32, 16, 8, 4, 4) + (1,) * 15,
    (244, 192, 144, 108, 81, 61, 46, 34, 70, 22, 9) + (1,) * 13,
    (321, 109, 109, 38, 38, 38, 38, 13, 53, 45, 37, 34, 26, 25, 18, 18, 13, 13, 9, 9, 6, 6, 4, 4),
    (557, 127, 127, 29, 29, 29, 29, 6, 26, 21, 12, 10, 5, 5, 2, 2) + (1,) * 8,
)


class BatchError(ValueError):
    """The reason why a batch or a table cannot be read."""


def need(is_right, otherwise):
    if not is_right:
        raise BatchError(otherwise)


def zigzag(n):
    return n >> 1 ^ -(n & 1)


def wrap(n):
    """Into a signed integer of 64 bits."""
    return (n + (1 << 63)) % (1 << 64) - (1 << 63)


def single(bits):
    """The double of a binary32's bits. A NaN is put together: not all machines convert its bits."""
    sign, payload = bits >> 31 & 1, bits & (1 << 23) - 1
    if bits >> 23 & 255 == 255 and payload:
        return cast("d", "Q", sign << 63 | 0xFFF << 51 | payload << 29)
    return cast("f", "I", bits)


def cast(to, kind, value):
    return struct.unpack(">" + to, struct.pack(">" + kind, value))[0]


def ordered(bits, width):
    """Between the bits of a float and an integer that is ordered as floats are."""
    return bits if bits >= 0 else bits ^ (1 << width - 1) - 1


def entry(entries, index):
    """The entry of a list. Python takes negative ones from the end."""
    need(0 <= index < len(entries), "a number outside of its list")
    return entries[index]


def varint(data, at):
    number = 0
    for shift in range(0, 70, 7):
        need(at < len(data), "the message is cut off")
        number |= (data[at] & 127) << shift
        at += 1
        if data[at - 1] < 128:
            need(number < 1 << 64, "a number of more than 64 bits")
            return number, at
    raise BatchError("a number of more than 10 bytes")


def varints(content):
    """Numbers of one field, packed or not."""
    if isinstance(content, int):
        return [content]
    numbers, at = [], 0
    while at < len(content):
        number, at = varint(content, at)
        numbers.append(number)
    return numbers


def fields(data, types):
    """Fields of a Protobuf message: number -> contents. `types` has the wire types of each."""
    found, at = {}, 0
    while at < len(data):
        key, at = varint(data, at)
        number, wire = key >> 3, key & 7
        need(0 < number < 1 << 29, "a field number out of range")
        need(wire in types.get(number, (wire,)), "a field of another type than it has")
        if wire in (0, 2):
            value, at = varint(data, at)
        if wire:
            size = value if wire == 2 else {1: 8, 5: 4}[wire]
            value, at = data[at : at + size], at + size
            need(at <= len(data), "the message is cut off")
        found.setdefault(number, []).append(value)
    return found


def cells(weights):
    """A tANS coder of (token, weight) pairs: per state token, bits and base of the next state."""
    need(sum(weight for _, weight in weights) == STATES, "the weights of a coder do not fit")
    counts, spread = dict(weights), bytearray(STATES)
    for nth, token in enumerate(token for token, weight in weights for _ in range(weight)):
        spread[nth * STRIDE % STATES] = token
    widths, bases = bytearray(STATES), array.array("H", [0]) * STATES
    for state, token in enumerate(spread):
        widths[state] = 11 - counts[token].bit_length()
        bases[state] = (counts[token] << widths[state]) - STATES
        counts[token] += 1
    return spread, widths, bases


@functools.lru_cache(maxsize=None)
def fixed_cells(shape):
    """The cells of a fixed coder, and whether it has a zero of its own, as a number."""
    zero, body = ZEROS[shape >> 2], BODIES[shape & 3]
    shift, rest = int(zero > 0), STATES - 1 - zero
    weights = [weight * rest // STATES for weight in body]
    weights[0] += rest - sum(weights)
    tokens = [(token + shift, weight) for token, weight in enumerate(weights) if weight]
    return cells([(0, zero)] * shift + tokens + [(ESCAPE, 1)]), shift


class Bits:
    """A stream of bits, first bit first, behind zeros and a marker bit."""
    def __init__(self, data, limit):
        self.data, self.limit, self.plan, self.coders = data, limit, None, {}
        self.at = 8 * len(data) - int.from_bytes(data, "big").bit_length() + 1
        self.states = [self.get(10)]

    def get(self, bits):
        first, self.at = self.at >> 3, self.at + bits
        last = self.at + 7 >> 3
        need(last <= len(self.data), "the stream is cut off")
        word = int.from_bytes(self.data[first:last], "big")
        return word >> 8 * last - self.at & (1 << bits) - 1

    def eg(self, k):
        """An exponential Golomb number."""
        zeros = 0
        while not self.get(1):
            zeros += 1
            need(zeros < 56, "a number that is too long")
        return ((1 << zeros | self.get(zeros)) - 1 << k | self.get(k)) % (1 << 64)

    def raw(self):
        size = self.eg(4)
        need(size <= 64, "a number of more than 64 bits")
        return self.get(size)

    def count(self, k):
        """A number of things of which a batch of this size can only have so many."""
        count = self.eg(k)
        need(count <= self.limit, "more than a batch of this size can have")
        return count

    def number(self, coder):
        (tokens, widths, bases), low, shift = coder
        state = self.states.pop(0)
        token = tokens[state]
        self.states.append(bases[state] + self.get(widths[state]))
        if token == ESCAPE:
            return self.raw()
        if token < shift:
            return 0
        token -= shift
        if token >= 8:
            low, token = token // 2 - 2 + low, 2 | token & 1
        need(low <= 64, "a number of more than 64 bits")
        return shift + (token << low | self.get(low)) & (1 << 64) - 1

    def fixed(self):
        """One of the 32 fixed coders."""
        made, shift = fixed_cells(self.get(5))
        return made, self.get(6), shift

    def learned(self):
        """A coder with weights of its own, in tables. Equal ones are one."""
        weights, token, total = [], 0, 0
        while total < STATES:
            step, weight = self.eg(0), self.eg(4) + 1
            need(step or not weights, "tokens that do not rise")
            token += step
            weights.append((token, weight))
            total += weight
        need(token == ESCAPE and all(t < 130 for t, _ in weights[:-1]), "an unknown token")
        key = tuple(weights)
        if key not in self.coders:
            need(len(self.coders) < LEARNED_MAX, "more learned coders than a table may have")
            self.coders[key] = cells(weights), 0, 0
        return self.coders[key]

    def runs(self, length, item):
        out = []
        while len(out) < length:
            size = self.count(3) + 1
            need(len(out) + size <= length, "a run is too long")
            out += [item()] * size
        return out

    def next_plan(self):
        """The kind of the next column. Its plan may be like the one before."""
        if not self.plan or not self.get(1):
            kind = self.get(3)
            self.plan = Plan(self, kind, self.fixed) if kind < NULL else self.plan
            return kind
        need(not self.plan.step, "a column is like one that has a step")
        self.plan.center = zigzag(self.raw())
        if not self.get(1):
            self.plan.main = self.fixed()
            self.plan.ulps = self.plan.ulps and self.fixed()
        return self.plan.kind

    def values(self, length, texts, kind):
        if kind == NULL:
            return [(NULL, None)] * length
        if kind != MIXED:
            return self.plan.column(self, length, texts)
        kinds, columns = self.runs(length, lambda: self.get(3)), {}
        for kind in sorted(set(kinds)):
            is_right = kind == NULL or kind != MIXED and self.next_plan() == kind
            need(is_right, "a plan of another kind")
            columns[kind] = iter(self.values(kinds.count(kind), texts, kind))
        return [next(columns[kind]) for kind in kinds]

    def finish(self):
        whole = self.at == 8 * len(self.data) and not any(self.states)
        need(whole, "the stream does not end where it should")


class Plan:
    """How the numbers of a column become values."""
    def __init__(self, bits, kind, coder, has_head=False):
        self.kind, self.form = kind, [bits.get(2)] if kind == F64 else [None]
        widths = {0: (4, 2, 2, 1), 1: (4,)}.get(self.form[0], ())
        self.form += [bits.get(width) for width in widths]
        need(self.form[0] != 0 or self.form[3] < 3, "an unknown rounding")
        need(self.form[0] != 1 or self.form[1] > 0, "decimals of no digits")
        self.step = bits.get(2)
        if self.step == 1:
            self.steps = zigzag(bits.raw()), bits.raw()
        elif self.step:
            need(self.step == 2, "an unknown step")
            size, width, first = bits.eg(3), bits.get(7), zigzag(bits.raw())
            need(1 <= size <= 1024 and width <= 64, "a list of values that is none")
            # As many entries as the stream has room for: those of width 0 take nothing.
            left = 8 * len(bits.data) - bits.at
            need(max(width, 1) * (size - 1) <= left, "a list that is too long")
            gaps = (bits.get(width) + 1 for _ in range(size - 1))
            list_of = map(wrap, itertools.accumulate(gaps, initial=first))
            self.steps = array.array("q", list_of) if width else range(first, first + size)
        self.order, self.center, self.main = bits.get(2), zigzag(bits.raw()), coder()
        self.ulps = coder() if self.form[0] == 0 and self.form[4] else None
        self.head = coder() if has_head and self.order in (1, 2) else None

    def column(self, bits, length, texts):
        if self.order in (1, 2):
            first, slope = zigzag(bits.number(self.head)) if self.head else 0, 0
            numbers = [wrap(self.center + first)]
            for _ in range(length - 1):
                slope = zigzag(bits.number(self.main)) + (slope if self.order == 2 else 0)
                numbers.append(wrap(numbers[-1] + slope))
        else:
            sign = zigzag if self.order else int
            numbers = [wrap(self.center + sign(bits.number(self.main))) for _ in range(length)]
        return [(self.kind, self.value(bits, self.integer(x), texts)) for x in numbers]

    def integer(self, x):
        if self.step == 1:
            return wrap(self.steps[0] + self.steps[1] * x)
        return wrap(entry(self.steps, x)) if self.step else x

    def value(self, bits, m, texts):
        if self.kind == F64:
            return self.double(m, zigzag(bits.number(self.ulps)) if self.ulps else 0)
        if self.kind in (TEXT, BYTES):
            return entry(texts, m).decode() if self.kind == TEXT else entry(texts, m)
        need(self.kind != BOOL or m in (0, 1), "a boolean is neither 0 nor 1")
        return (m, m % (1 << 64), bool(m))[self.kind - 1]

    def double(self, m, ulps):
        form, *details = self.form
        if form == 2:
            return cast("d", "q", ordered(m, 64))
        if form == 3:
            need(-(1 << 31) <= m < 1 << 31, "a number of a binary32 is above 32 bits")
            return single(ordered(m, 32) % (1 << 32))
        if form == 1:
            least = 10 ** (details[0] - 1)
            group, rest = divmod(abs(m) - 1, 9 * least)
            shift, v = details[0] + 19 - group, float(least + rest)
            need(m == 0 or abs(shift) <= 22, "an exponent out of range")
            shift = shift if m else 0
            v = v / 10.0**shift if shift >= 0 else v * 10.0**-shift
            return 0.0 if m == 0 else v if m > 0 else -v
        exponent, divisor, after, _ = details
        v = float(m) / (10.0**exponent * DIVISORS[divisor])
        if after == 1:
            scale = 10.0 ** max(0, 15 - len(str(int(abs(v))).lstrip("0")))
            v = round(v * scale) / scale
        elif after == 2:
            v = cast("f", "f", v)
        return cast("d", "q", ordered(wrap(ordered(cast("q", "d", v), 64) + ulps), 64))
