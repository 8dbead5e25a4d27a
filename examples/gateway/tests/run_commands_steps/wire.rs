//! PUBLISH of MQTT 5 with the properties that an answer has, read without our code.

use std::collections::HashMap;

use super::support::packet::{Publish, after_properties, text};

pub struct Published {
    /// 0 at QoS 0.
    pub id: u16,
    pub topic: String,
    /// Empty if there is none.
    pub correlation: String,
    pub payload: String,
}

impl Published {
    /// `aliases`: topics of this connection, by alias.
    pub fn read(first: u8, body: &[u8], aliases: &mut HashMap<u16, String>) -> Option<Self> {
        let Publish { id, mut topic, payload } = Publish::read(first, body, true)?;
        let from = 2 + topic.len() + if first & 6 == 0 { 0 } else { 2 };
        let rest = body.get(from..)?;
        let end = rest.len() - after_properties(rest, true)?.len();
        let length_size = rest.iter().position(|byte| *byte < 0x80)? + 1;
        let (mut properties, mut correlation) = (rest.get(length_size..end)?, String::new());
        while let [kind, value @ ..] = properties {
            let size = size(*kind, value)?;
            match kind {
                0x09 => correlation = text(value)?,
                0x23 => {
                    let alias = u16::from_be_bytes([value[0], value[1]]);
                    assert!((1..=16).contains(&alias), "alias {alias}");
                    if topic.is_empty() {
                        topic.clone_from(aliases.get(&alias).expect("an alias that was set"));
                    } else {
                        aliases.insert(alias, topic.clone());
                    }
                }
                _ => {}
            }
            properties = value.get(size..)?;
        }
        let payload = String::from_utf8_lossy(&payload).into_owned();
        Some(Self { id, topic, correlation, payload })
    }
}

/// Bytes of a property's value (§2.2.2.2).
fn size(kind: u8, value: &[u8]) -> Option<usize> {
    let of_text =
        |at: usize| Some(2 + usize::from(u16::from_be_bytes([*value.get(at)?, *value.get(at + 1)?])));
    match kind {
        0x01 => Some(1),
        0x23 => Some(2),
        0x02 => Some(4),
        0x03 | 0x08 | 0x09 => of_text(0),
        0x26 => {
            let name = of_text(0)?;
            Some(name + of_text(name)?)
        }
        _ => panic!("property {kind:#x} of a PUBLISH"),
    }
}
