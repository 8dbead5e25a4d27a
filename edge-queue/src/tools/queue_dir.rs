//! Directory of a queue as a command is given it, with the key of an encrypted one.

use crate::key::Key;
use crate::medium::Dir;

/// Directory of a queue, and the key if it is encrypted.
pub struct QueueDir {
    pub(super) dir: Box<dyn Dir>,
    pub(super) key: Option<Key>,
}

impl QueueDir {
    /// Names the directory of an encrypted queue.
    #[must_use]
    pub fn encrypted(dir: Box<dyn Dir>, key: Key) -> QueueDir {
        QueueDir { dir, key: Some(key) }
    }
}

impl From<Box<dyn Dir>> for QueueDir {
    fn from(dir: Box<dyn Dir>) -> QueueDir {
        QueueDir { dir, key: None }
    }
}

impl<D: Dir + 'static> From<Box<D>> for QueueDir {
    fn from(dir: Box<D>) -> QueueDir {
        QueueDir { dir, key: None }
    }
}
