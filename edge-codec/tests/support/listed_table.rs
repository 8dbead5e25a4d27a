//! Session tables by hand, whose plans have the longest lists in the fewest bytes.
#![allow(dead_code, unreachable_pub, reason = "test support; each file uses its part")]

/// Values in each list, of which all but the first take no bits.
pub const LIST: usize = 1024;

/// Most lists of this length in a table.
pub const LISTS_MAX: usize = 1024;

/// A table with as many lists, each in the plan of another sensor. Readers want a bit in the stream for each value of a list; sensors without a
/// plan have them, behind.
pub fn announced(version: u8, lists: usize) -> Vec<u8> {
    let mut table = vec![1 << 3, version];
    for id in 0..lists + LIST {
        let sensor = [&[1 << 3][..], &varint(id)].concat();
        table.extend(field(2, &sensor));
    }
    let mut hints = Stream("0".repeat(10));
    hints.eg(0, 0);
    for _ in 0..lists {
        hints.bits(1, 1).bits(1, 3).bits(2, 2).eg(LIST, 3).bits(0, 7).eg(0, 4).bits(0, 2).eg(0, 4);
        // One coder for all of them: tokens 1 and 131, of half the weight each.
        hints.eg(1, 0).eg(511, 4).eg(130, 0).eg(511, 4);
    }
    hints.bits(0, LIST);
    table.extend(field(3, &hints.bytes()));
    table
}

fn varint(number: usize) -> Vec<u8> {
    if number < 0x80 {
        return vec![number as u8];
    }
    [&[number as u8 | 0x80][..], &varint(number >> 7)].concat()
}

fn field(number: usize, content: &[u8]) -> Vec<u8> {
    [varint(number << 3 | 2), varint(content.len()), content.to_vec()].concat()
}

/// A stream as zeros and ones.
struct Stream(String);

impl Stream {
    fn bits(&mut self, value: usize, count: usize) -> &mut Self {
        if count > 0 {
            self.0.push_str(&format!("{value:0count$b}"));
        }
        self
    }

    /// An exponential Golomb number.
    fn eg(&mut self, value: usize, k: usize) -> &mut Self {
        let high = (value >> k) + 1;
        self.bits(0, high.ilog2() as usize).bits(high, 1).bits(value & ((1 << k) - 1), k)
    }

    /// The bytes, with the marker in front.
    fn bytes(&self) -> Vec<u8> {
        let text = format!("1{}", self.0);
        let text = format!("{}{text}", "0".repeat(text.len().next_multiple_of(8) - text.len()));
        let byte = |bits: &[u8]| bits.iter().fold(0, |byte, bit| byte << 1 | (bit - b'0'));
        text.as_bytes().chunks(8).map(byte).collect()
    }
}
