//! Rules of strict servers: what the standard allows, or only advises against, and for which a server may end the connection, as Mosquitto does. A
//! message with it would be sent again on each connection, and end each, so that every message behind it waits. A listener refuses it
//! where it enters, and a bridge sends none.

use super::topic::check_levels;
use super::{Properties, PropertyId, TopicError, Value};

/// Most levels (parts between `/`) of a topic that is sent to a server. Mosquitto takes one more; what decodes
/// by this crate's [default limits](super::Limits) does not.
pub const TOPIC_LEVELS_MAX: u16 = 200;

/// Checks that every server accepts `text`. §1.5.4 lets a server treat a packet as malformed if a string has control characters (U+0001 to
/// U+001F, U+007F to U+009F) or Unicode non-characters, and Mosquitto does.
/// [`validate_topic_name`](super::validate_topic_name) accepts them.
///
/// Takes one pass over the bytes, and a second one only if a byte is not printable ASCII.
///
/// # Errors
///
/// [`TopicError::Discouraged`] for the first such character.
pub fn validate_characters(text: &str) -> Result<(), TopicError> {
    match discouraged(text) {
        None => Ok(()),
        Some((at, c)) => Err(TopicError::Discouraged { code: c.into(), at }),
    }
}

/// Checks that every server accepts the texts of a message's properties: [`validate_characters`] for user properties, names and values, and all
/// others that are text, such as Content Type and Response Topic.
///
/// Takes one pass over the properties, and none where there is no text among them.
///
/// ```
/// use edge_bridge::wire::{PropertiesBuilder, validate_properties};
///
/// let mut properties = PropertiesBuilder::new();
/// properties.user("note", "line 1\nline 2")?;
/// let error = validate_properties(&properties.finish()).unwrap_err().to_string();
/// assert!(error.starts_with("U+000A in the property UserProperty"));
/// # Ok::<_, edge_bridge::wire::EncodeError>(())
/// ```
///
/// # Errors
///
/// [`TopicError::DiscouragedProperty`] for the first such character.
pub fn validate_properties(properties: &Properties) -> Result<(), TopicError> {
    const TEXTS: [PropertyId; 3] =
        [PropertyId::UserProperty, PropertyId::ContentType, PropertyId::ResponseTopic];
    if !TEXTS.iter().any(|id| properties.contains(*id)) {
        return Ok(());
    }
    for property in properties.iter() {
        let texts = match property.value {
            Value::Utf8(text) => [text, ""],
            Value::Pair(name, value) => [name, value],
            _ => continue,
        };
        if let Some((_, c)) = texts.into_iter().find_map(discouraged) {
            return Err(TopicError::DiscouragedProperty { property: property.id, code: c.into() });
        }
    }
    Ok(())
}

/// Checks that every server accepts a topic of so many levels: [`TOPIC_LEVELS_MAX`].
///
/// # Errors
///
/// [`TopicError::TooManyLevels`].
pub fn validate_levels(topic: &str) -> Result<(), TopicError> {
    check_levels(topic.as_bytes(), TOPIC_LEVELS_MAX)
}

/// Returns the first character for which a server may end the connection, and its byte.
fn discouraged(text: &str) -> Option<(usize, char)> {
    if text.bytes().all(|b| (0x20..0x7f).contains(&b)) {
        return None;
    }
    text.char_indices().find(|(_, c)| is_discouraged(*c))
}

/// Returns whether it is a control character (`char::is_control`: U+0000 to U+001F and U+007F to U+009F) or a non-character (U+FDD0 to U+FDEF
/// and the last two of each plane).
fn is_discouraged(c: char) -> bool {
    let code = u32::from(c);
    c.is_control() || (0xfdd0..=0xfdef).contains(&code) || code & 0xfffe == 0xfffe
}

#[cfg(test)]
mod tests {
    use super::super::{Limits, validate_topic_name};
    use super::*;

    #[test]
    fn characters_that_a_server_may_refuse_are_found_at_their_place() {
        for (text, at) in [
            ("\u{1}", 0),
            ("a/\u{1f}", 2),
            ("a\u{7f}b", 1),
            ("\u{e4}\u{9f}", 2),
            ("\u{fdd0}", 0),
            ("a\u{fdef}", 1),
            ("\u{fffe}", 0),
            ("\u{10ffff}", 0),
        ] {
            let found = validate_characters(text);
            assert!(
                matches!(found, Err(TopicError::Discouraged { at: found, .. }) if found == at),
                "{text:?}"
            );
            assert_eq!(validate_topic_name(text), Ok(()), "{text:?} is a topic name all the same");
        }
        for fine in
            ["", " ~", "\u{a0}", "\u{feff}a", "\u{fdcf}\u{fdf0}", "\u{fffd}", "\u{202e}", "\u{10fffd}"]
        {
            assert_eq!(validate_characters(fine), Ok(()), "{fine:?}");
        }
    }

    #[test]
    fn what_a_listener_takes_by_default_is_not_too_deep_for_a_hub() {
        assert_eq!(Limits::default().max_topic_levels, TOPIC_LEVELS_MAX);
        let levels = |n: usize| vec!["a"; n].join("/");
        assert_eq!(validate_levels(&levels(200)), Ok(()));
        assert_eq!(validate_levels(&levels(201)), Err(TopicError::TooManyLevels(200)));
    }
}
