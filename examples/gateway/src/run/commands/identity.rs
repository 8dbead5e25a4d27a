//! Identity of a command, by which a repetition is recognised. Pure.

use edge_bridge::wire::{PropertyId, Publish};
use sha2::{Digest, Sha256};

/// Longest identity that a sender may set, in bytes.
const BYTES_MAX: usize = 256;
/// User property with the identity.
const PROPERTY: &str = "cmd-id";

/// Hash of an identity. Its length is fixed, so that memory and disk for a command are limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key(pub(super) [u8; 16]);

/// Identity of one command, within its topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) key: Key,
    /// Identity as the sender set it, in hexadecimal if it is Correlation Data. `None`: the sender set none, and the key is made from the
    /// content.
    pub(super) shown: Option<String>,
}

impl Identity {
    /// Reads the identity: the user property `cmd-id`, else the Correlation Data, else topic, properties and payload.
    ///
    /// # Errors
    /// The sender's identity is empty or too long, or there are several: a client that goes by another of them would take a repetition for a new command.
    pub(super) fn of(publish: &Publish) -> Result<Self, ()> {
        let properties = &publish.properties;
        let topic = publish.topic.as_bytes();
        let mut named = properties.user_properties().filter(|(name, _)| *name == PROPERTY);
        if let Some((_, id)) = named.next() {
            let fits = (1..=BYTES_MAX).contains(&id.len()) && named.next().is_none();
            let identity = Self { key: key(b"i", &[topic, id.as_bytes()]), shown: Some(id.to_owned()) };
            return fits.then_some(identity).ok_or(());
        }
        if let Some(data) = properties.binary(PropertyId::CorrelationData) {
            let fits = (1..=BYTES_MAX).contains(&data.len());
            let identity = Self { key: key(b"c", &[topic, &data]), shown: Some(hex(&data)) };
            return fits.then_some(identity).ok_or(());
        }
        // A hub shortens the expiry with each attempt.
        let rest = properties.without(&[PropertyId::MessageExpiryInterval, PropertyId::TopicAlias]);
        Ok(Self { key: key(b"m", &[topic, rest.as_bytes(), &publish.payload]), shown: None })
    }
}

fn key(kind: &[u8], parts: &[&[u8]]) -> Key {
    let mut sum = Sha256::new();
    sum.update(kind);
    for part in parts {
        sum.update((part.len() as u64).to_be_bytes());
        sum.update(part);
    }
    let sum: [u8; 32] = sum.finalize().into();
    let mut key = [0; 16];
    key.iter_mut().zip(sum).for_each(|(to, from)| *to = from);
    Key(key)
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{command, with};
    use super::*;
    use edge_bridge::wire::Value;

    fn identity(publish: &Publish) -> Identity {
        Identity::of(publish).unwrap()
    }

    #[test]
    fn the_senders_identity_counts_and_else_the_content() {
        let plain = command("site7/cmd/a", "1");
        let expiring = |seconds| with(&plain, PropertyId::MessageExpiryInterval, Value::U32(seconds));
        assert_eq!(identity(&expiring(9)), identity(&expiring(3)), "the hub counts it down");
        assert_ne!(identity(&plain).key, identity(&command("site7/cmd/a", "2")).key);
        assert_ne!(identity(&plain).key, identity(&command("site7/cmd/b", "1")).key);
        let named = |id| with(&plain, PropertyId::UserProperty, Value::Pair("cmd-id", id));
        let again = with(&command("site7/cmd/a", "2"), PropertyId::UserProperty, Value::Pair("cmd-id", "x"));
        assert_eq!(identity(&named("x")), identity(&again), "whatever else it says");
        assert_eq!(identity(&named("x")).shown.as_deref(), Some("x"));
        let correlated = with(&plain, PropertyId::CorrelationData, Value::Binary(b"x\xff"));
        assert_eq!(identity(&correlated).shown.as_deref(), Some("78ff"));
        let both = with(&correlated, PropertyId::UserProperty, Value::Pair("cmd-id", "x"));
        assert_eq!(identity(&both), identity(&named("x")), "the user property goes first");
    }

    #[test]
    fn an_identity_has_1_to_256_bytes() {
        let plain = command("a", "1");
        for len in [0, 1, 127, 128, 255, 256, 257, 16_384] {
            let id = "i".repeat(len);
            let named = with(&plain, PropertyId::UserProperty, Value::Pair("cmd-id", &id));
            let correlated = with(&plain, PropertyId::CorrelationData, Value::Binary(id.as_bytes()));
            for publish in [named, correlated] {
                assert_eq!(Identity::of(&publish).is_ok(), (1..=256).contains(&len), "{len}");
            }
        }
    }

    /// The client gets both, and may go by the other one.
    #[test]
    fn promise_10_a_command_with_two_identities_is_refused() {
        let named =
            |publish: &Publish, id| with(publish, PropertyId::UserProperty, Value::Pair("cmd-id", id));
        let once = named(&command("a", "1"), "x");
        for again in ["y", "x", ""] {
            assert_eq!(Identity::of(&named(&once, again)), Err(()), "{again:?}");
        }
        let other = with(&once, PropertyId::UserProperty, Value::Pair("operator", "y"));
        assert_eq!(identity(&other), identity(&once));
    }

    /// `valve/1` with `23` is none of `valve/12` with `3`, although their bytes in a row are the same.
    #[test]
    fn promise_10_parts_of_an_identity_do_not_run_together() {
        let named =
            |topic, id| with(&command(topic, "1"), PropertyId::UserProperty, Value::Pair("cmd-id", id));
        assert_ne!(identity(&named("valve/1", "23")).key, identity(&named("valve/12", "3")).key);
    }
}
