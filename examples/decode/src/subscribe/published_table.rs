//! Session tables as gateways publish them: told by their content type or, where a bridge has lost it, by topic and name.

use edge_codec::DecodeError;
use edge_codec::compact::Table;

use crate::input;

/// Most bytes of a session table. Decoded it takes some fifteen times that.
const BYTES_MAX: usize = 2 << 20;

/// Reads a published table.
pub(super) fn decode(payload: &[u8]) -> Result<Table, DecodeError> {
    Table::decode(payload, &input::limits().bytes(BYTES_MAX))
}

/// Returns whether a message without a content type is a table, or clears one: MQTT 3.1.1 has no properties, and its topic ends in
/// `/table/GATEWAY/NAME`. A table has the name that it says.
pub(super) fn is_one(topic: &str, payload: &[u8]) -> bool {
    let Some(id) = name(topic) else { return false };
    payload.is_empty() || decode(payload).is_ok_and(|table| table.id() == id)
}

fn name(topic: &str) -> Option<u64> {
    let mut levels = topic.rsplit('/');
    let (name, _gateway, level) = (levels.next()?, levels.next()?, levels.next()?);
    let id = u64::from_str_radix(name, 16).ok().filter(|id| format!("{id:016x}") == name)?;
    (level == "table" && levels.next().is_some()).then_some(id)
}

#[cfg(test)]
mod tests {
    use edge_codec::SensorTable;

    use super::*;

    #[test]
    fn a_table_is_known_by_its_name_alone_and_nothing_else_is_taken_for_one() {
        let table = Table::new(1, &SensorTable::new());
        let topic = |level: &str| format!("a/{level}/g/{:016x}", table.id());
        assert!(is_one(&topic("table"), table.bytes()) && is_one(&topic("table"), b""));
        assert!(!is_one(&topic("tables"), table.bytes()) && !is_one(&topic("table"), b"21.5"));
        assert!(!is_one(&topic("table")[2..], table.bytes()), "below no topic of batches");
        assert!(!is_one("a/table/g/00000000000000Ab", b"") && !is_one("a/table/g", table.bytes()));
        assert!(!is_one("a/table/g/0000000000000001", table.bytes()), "another name");
    }
}
