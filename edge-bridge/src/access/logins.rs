//! Check of user names and passwords by a [`PasswordFile`].

use std::collections::HashSet;
use std::fmt;

use super::known_logins::KnownLogins;
use super::login_limit::LoginLimit;
use super::password_file::PasswordFile;
use crate::ingest::Now;
use crate::listener::{Authenticate, ClientRef, Login};
use crate::wire::ReasonCode;

/// Lets users of a [`PasswordFile`] in, and clients whose certificate has a name.
///
/// A wrong login is answered 0x86 (bad user name or password), a client without a user name 0x87 (not authorized). An address has ten wrong logins
/// and one more a second, all addresses together some 2 000 and 200 a second; what is beyond is answered 0x89 (server busy), and nothing is computed
/// for it. Logins that were right are remembered and cost neither.
pub struct Logins {
    passwords: PasswordFile,
    allows_anonymous: bool,
    /// Users whose login is another one than before.
    changed: HashSet<Box<str>>,
    known: KnownLogins,
    limit: LoginLimit,
}

impl Logins {
    /// Logins of a file; `secret` is 32 random bytes of this process.
    pub fn new(passwords: PasswordFile, secret: [u8; 32]) -> Self {
        Self {
            passwords,
            allows_anonymous: false,
            changed: HashSet::new(),
            known: KnownLogins::new(&secret),
            limit: LoginLimit::default(),
        }
    }

    /// Lets clients without a user name in as well.
    #[must_use]
    pub fn allow_anonymous(mut self, allows: bool) -> Self {
        self.allows_anonymous = allows;
        self
    }

    /// Takes the place of logins by an older file: users who are gone or have another password since then may not stay.
    #[must_use]
    pub fn replacing(mut self, before: &PasswordFile) -> Self {
        let is_changed = |user: &&str| !self.passwords.is_unchanged(before, user);
        self.changed = before.users().filter(is_changed).map(Into::into).collect();
        self
    }
}

impl Authenticate for Logins {
    fn authenticate(&mut self, now: Now, login: &Login<'_>) -> Result<(), ReasonCode> {
        if login.certificate_name.is_some() {
            return Ok(());
        }
        let connect = login.connect;
        // Programs send an empty one for none, and Mosquitto takes it so.
        let Some(user) = connect.username.as_deref().filter(|user| !user.is_empty()) else {
            return if self.allows_anonymous { Ok(()) } else { Err(ReasonCode::NOT_AUTHORIZED) };
        };
        let password = connect.password.as_deref().unwrap_or_default();
        if self.known.is_known(user, password) {
            return Ok(());
        }
        let address = login.peer.map(|peer| peer.ip());
        if !self.limit.may_compute(now.up_ms, address, self.passwords.iterations(user)) {
            return Err(ReasonCode::SERVER_BUSY);
        }
        if self.passwords.verify(user, password) {
            self.known.remember(user, password);
            return Ok(());
        }
        self.limit.on_wrong(now.up_ms, address);
        Err(ReasonCode::BAD_USER_NAME_OR_PASSWORD)
    }

    fn may_stay(&self, client: ClientRef<'_>) -> bool {
        match client.user {
            _ if client.is_certified => true,
            None => self.allows_anonymous,
            Some(user) => self.passwords.has_user(user) && !self.changed.contains(user),
        }
    }
}

impl fmt::Debug for Logins {
    /// Shows no secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logins").field("passwords", &self.passwords).finish_non_exhaustive()
    }
}
