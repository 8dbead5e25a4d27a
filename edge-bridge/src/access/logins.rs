//! Login check: compares user names and passwords with a [`PasswordFile`].

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::known_logins::KnownLogins;
use super::login_limit::LoginLimit;
use super::password_file::PasswordFile;
use crate::ingest::Now;
use crate::listener::{Authenticate, ClientRef, LoginRequest, Standing};
use crate::wire::ReasonCode;

/// Memory of correct logins, and of wrong ones by address, which outlives a change of the [`PasswordFile`]. Clones share it.
#[derive(Clone)]
pub struct LoginMemory {
    shared: Arc<Mutex<Remembered>>,
}

struct Remembered {
    right: KnownLogins,
    wrong: LoginLimit,
}

impl LoginMemory {
    /// Creates an empty memory. `secret` is 32 random bytes of this process, the key of the cached login codes.
    pub fn new(secret: [u8; 32]) -> Self {
        let remembered = Remembered { right: KnownLogins::new(&secret), wrong: LoginLimit::default() };
        Self { shared: Arc::new(Mutex::new(remembered)) }
    }

    /// Most bytes that it takes: of wrong logins, whoever makes them, and of correct ones of these users.
    pub fn memory_bytes_max(users: &PasswordFile) -> usize {
        LoginLimit::MEMORY_BYTES_MAX + KnownLogins::memory_bytes_max(users)
    }

    fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for LoginMemory {
    /// Shows no secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginMemory").finish_non_exhaustive()
    }
}

/// Lets users of a [`PasswordFile`] in, and clients whose certificate has a name.
///
/// A wrong login is answered by 0x86 (bad user name or password), a client without a user name by 0x87 (not authorized). An address may make
/// ten wrong logins and one more a second, all addresses together some 500 logins and 500 a second; further ones are answered by 0x89 (server
/// busy) without being computed. Remembered correct logins do not count, also behind an address from which others guess; but if their own
/// password is guessed from there, or more than 256 user names within a second, they get 0x89 too. So an address may try 256 names against
/// remembered logins, each once a second.
#[derive(Debug)]
pub struct Logins {
    passwords: PasswordFile,
    memory: LoginMemory,
    allows_anonymous: bool,
    /// Users whose password hash differs from the one in the replaced file.
    changed: HashSet<Box<str>>,
}

impl Logins {
    /// Checks logins by a file.
    pub fn new(passwords: PasswordFile, memory: LoginMemory) -> Self {
        Self { passwords, memory, allows_anonymous: false, changed: HashSet::new() }
    }

    /// Sets if clients without a user name are accepted as well. Default false.
    #[must_use]
    pub fn allow_anonymous(mut self, allows: bool) -> Self {
        self.allows_anonymous = allows;
        self
    }

    /// Marks this file as the replacement of an older one, so that users who were removed or have a new password are disconnected. `None`: there
    /// was no password file before, so clients could use any user name, and all of them have to log in again.
    #[must_use]
    pub fn replacing(mut self, before: Option<&PasswordFile>) -> Self {
        self.changed = match before {
            Some(before) => {
                let is_changed = |user: &&str| !self.passwords.is_unchanged(before, user);
                before.users().filter(is_changed).map(Into::into).collect()
            }
            None => self.passwords.users().map(Into::into).collect(),
        };
        self.memory.lock().right.forget(|user| self.changed.contains(user));
        self
    }
}

impl Authenticate for Logins {
    fn authenticate(&mut self, now: Now, login: &LoginRequest<'_>) -> Result<(), ReasonCode> {
        if login.certificate_name.is_some() {
            return Ok(());
        }
        let connect = login.connect;
        // Programs send an empty one for none, and Mosquitto takes it so.
        let Some(user) = connect.username.as_deref().filter(|user| !user.is_empty()) else {
            return if self.allows_anonymous { Ok(()) } else { Err(ReasonCode::NOT_AUTHORIZED) };
        };
        if self.passwords.is_empty() {
            // Nobody's password: there is nothing to be guessed.
            return Err(ReasonCode::NOT_AUTHORIZED);
        }
        let password = connect.password.as_deref().unwrap_or_default();
        let mut memory = self.memory.lock();
        let Remembered { right, wrong } = &mut *memory;
        let address = login.peer.map(|peer| peer.ip());
        let hash = self.passwords.hash(user);
        let is_known = |hash| right.is_known(user, hash, password);
        if wrong.may_look_up(now.up_ms, address, user) && hash.is_some_and(is_known) {
            return Ok(());
        }
        if !wrong.may_compute(now.up_ms, address, self.passwords.iterations(user)) {
            // It may have been looked up: a guess.
            wrong.on_wrong(now.up_ms, address, user);
            return Err(ReasonCode::SERVER_BUSY);
        }
        if self.passwords.verify(user, password) {
            hash.into_iter().for_each(|hash| right.remember(user, hash, password));
            return Ok(());
        }
        wrong.on_wrong(now.up_ms, address, user);
        Err(ReasonCode::BAD_USER_NAME_OR_PASSWORD)
    }

    fn standing(&self, client: ClientRef<'_>) -> Standing {
        match client.user {
            _ if client.is_certified => Standing::Stays,
            None if self.allows_anonymous => Standing::Stays,
            Some(user) if !self.passwords.has_user(user) => Standing::Gone,
            Some(user) if !self.changed.contains(user) => Standing::Stays,
            _ => Standing::LogsInAgain,
        }
    }
}
