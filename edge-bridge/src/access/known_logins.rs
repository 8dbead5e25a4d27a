//! Cache of logins that were right, by an authentication code of user and password: a client that comes back, as a plant's clients all do after a
//! cut, is not computed again.

use std::collections::HashMap;

use ring::hmac;

/// Users that are remembered.
const USERS_MAX: usize = 4_096;

/// See the [module](self). Holds no password, and nothing of use outside of this process.
pub(super) struct KnownLogins {
    key: hmac::Key,
    tags: HashMap<Box<str>, hmac::Tag>,
}

impl KnownLogins {
    /// `secret`: random bytes.
    pub(super) fn new(secret: &[u8; 32]) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, secret), tags: HashMap::new() }
    }

    /// Returns whether this was right before.
    pub(super) fn is_known(&self, user: &str, password: &[u8]) -> bool {
        let known = self.tags.get(user);
        known.is_some_and(|tag| hmac::verify(&self.key, password, tag.as_ref()).is_ok())
    }

    /// Remembers a login that was right.
    pub(super) fn remember(&mut self, user: &str, password: &[u8]) {
        if self.tags.len() < USERS_MAX || self.tags.contains_key(user) {
            self.tags.insert(user.into(), hmac::sign(&self.key, password));
        }
    }

    /// Forgets users whose login is another one now.
    pub(super) fn forget(&mut self, is_changed: impl Fn(&str) -> bool) {
        self.tags.retain(|user, _| !is_changed(user));
    }
}
