//! Token: the caller's name for a message that it publishes.

/// Number that the caller gives to a message it publishes, returned in [`Event::Acked`](super::Event::Acked). It has no meaning for the
/// session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);
