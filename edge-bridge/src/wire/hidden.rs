//! Stand-in for a secret in the output of `Debug`, which ends in logs and in messages of failed tests.

use std::fmt;

/// Text `…` in place of a secret.
pub(crate) struct Hidden;

impl Hidden {
    /// Returns the stand-in for a secret that may be missing, which is shown.
    pub(crate) fn of<T>(secret: Option<&T>) -> Option<Self> {
        secret.map(|_| Self)
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}
