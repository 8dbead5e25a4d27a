//! Access as two files say it together: users, their rights, and what holds for clients without a name.

use super::{AclFile, LoginMemory, Logins, PasswordFile};
use crate::listener::{Access, AllowAnonymous};

/// Content of a listener's files, and how Mosquitto takes one without the other.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct AccessRules {
    /// Users and their passwords. `None`: everybody may call themselves what they like, unless certificates name users.
    pub passwords: Option<PasswordFile>,
    /// Rights of users. `None`: whoever came in may do everything.
    pub acl: Option<AclFile>,
    /// Lets clients without a user name in although there are passwords. Default false.
    pub allow_anonymous: bool,
    /// Certificates name users: no client may have a name without one or a password. Default false.
    pub certificates_name_users: bool,
}

impl AccessRules {
    /// Returns the access of a listener. Users of `before`, the passwords until now, who are gone or have another one may not stay.
    #[must_use]
    pub fn access(self, memory: LoginMemory, before: &PasswordFile) -> Access {
        let allow_anonymous = self.allow_anonymous || self.passwords.is_none();
        // Without passwords nobody proves a name but by a certificate: where there are any, no other name counts.
        let nameless = self.certificates_name_users.then(PasswordFile::default);
        let access = match self.passwords.or(nameless) {
            None => Access::of(AllowAnonymous),
            Some(passwords) => {
                let logins = Logins::new(passwords, memory).replacing(before);
                Access::of(logins.allow_anonymous(allow_anonymous))
            }
        };
        match self.acl {
            Some(acl) => access.with_rights(acl),
            None => access,
        }
    }
}
