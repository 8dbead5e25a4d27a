//! Cache of correct logins, by an authentication code of the user's password hash and the password. After an outage all clients of a plant reconnect at once; a cached
//! login saves the costly password hash.

use std::collections::HashMap;

use ring::hmac;

use super::memory;
use super::password_file::PasswordFile;

/// Most users that are remembered.
const USERS_MAX: usize = 4_096;

/// Message authentication codes of correct logins. They contain no password and are of no use outside of this process.
pub(super) struct KnownLogins {
    key: hmac::Key,
    tags: HashMap<Box<str>, hmac::Tag>,
}

impl KnownLogins {
    /// Creates an empty cache. `secret`: random bytes.
    pub(super) fn new(secret: &[u8; 32]) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, secret), tags: HashMap::new() }
    }

    /// Most bytes that correct logins of these users take.
    pub(super) fn memory_bytes_max(users: &PasswordFile) -> usize {
        let mut names: Vec<usize> = users.users().map(|user| memory::allocation(user.len())).collect();
        names.sort_unstable_by(|one, other| other.cmp(one));
        names.truncate(USERS_MAX);
        memory::table::<(Box<str>, hmac::Tag)>(names.len()) + names.iter().sum::<usize>()
    }

    /// Returns whether this login is remembered as correct. `hash` is that of the user in the file in force: a login of another one does not count.
    pub(super) fn is_known(&self, user: &str, hash: &[u8], password: &[u8]) -> bool {
        let known = self.tags.get(user);
        known.is_some_and(|tag| hmac::verify(&self.key, &[hash, password].concat(), tag.as_ref()).is_ok())
    }

    /// Adds a correct login to the cache.
    pub(super) fn remember(&mut self, user: &str, hash: &[u8], password: &[u8]) {
        if self.tags.len() < USERS_MAX || self.tags.contains_key(user) {
            self.tags.insert(user.into(), hmac::sign(&self.key, &[hash, password].concat()));
        }
    }

    /// Makes room: removes users whose login has changed.
    pub(super) fn forget(&mut self, is_changed: impl Fn(&str) -> bool) {
        self.tags.retain(|user, _| !is_changed(user));
    }
}
