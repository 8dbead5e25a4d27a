//! Access rules of two files combined: users, their rights, and the treatment of clients without a name.

use super::{AclFile, LoginMemory, Logins, PasswordFile};
use crate::listener::{Access, AllowAnonymous};

/// Content of a listener's files, combined as Mosquitto does if one of them is missing.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct AccessRules {
    /// Users and their passwords; `None` if there are no passwords.
    pub passwords: Option<PasswordFile>,
    /// Rights of users; `None` permits everything to every accepted client.
    pub acl: Option<AclFile>,
    /// Accepts clients without a user name and, if there are no passwords, clients with any user name, unless certificates name users. Default
    /// false.
    pub allow_anonymous: bool,
    /// Set if certificates name users, so that no client may have a name without a certificate or a password. Default false.
    pub certificates_name_users: bool,
}

impl AccessRules {
    /// Builds the listener's access check. `before` is the password file until now: users that are missing or changed in the new one are
    /// disconnected. `None` if clients needed no password until now, so that all have to log in again.
    #[must_use]
    pub fn access(self, memory: LoginMemory, before: Option<&PasswordFile>) -> Access {
        let is_open = self.allow_anonymous && self.passwords.is_none() && !self.certificates_name_users;
        let access = if is_open {
            Access::of(AllowAnonymous)
        } else {
            // Without passwords nobody proves a name but by a certificate.
            let logins = Logins::new(self.passwords.unwrap_or_default(), memory).replacing(before);
            Access::of(logins.allow_anonymous(self.allow_anonymous))
        };
        match self.acl {
            Some(acl) => access.with_rights(acl),
            None => access,
        }
    }
}
