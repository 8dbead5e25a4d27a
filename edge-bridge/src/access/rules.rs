//! Access as two files say it together: users, their rights, and what holds for clients without a name.

use super::{AclFile, LoginMemory, Logins, PasswordFile};
use crate::listener::{Access, AllowAnonymous};

/// Content of a listener's files, and how Mosquitto takes one without the other.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct AccessRules {
    /// Users and their passwords. `None`: nobody has one.
    pub passwords: Option<PasswordFile>,
    /// Rights of users. `None`: whoever came in may do everything.
    pub acl: Option<AclFile>,
    /// Lets clients without a user name in, and without passwords those that call themselves what they like, unless certificates name users. Default
    /// false.
    pub allow_anonymous: bool,
    /// Certificates name users: no client may have a name without one or a password. Default false.
    pub certificates_name_users: bool,
}

impl AccessRules {
    /// Returns the access of a listener. Users of `before`, the passwords until now, who are gone or have another one may not stay; `None`: until now
    /// nobody had to prove a name, so nobody keeps one.
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
