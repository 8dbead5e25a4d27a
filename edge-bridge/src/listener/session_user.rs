//! Users to whom sessions belong, as far as a CONNECT and the client's certificate tell.

use crate::wire::{Connect, Utf8};

/// User to whom a session belongs. A user name of a CONNECT and the same one in a certificate are two users.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SessionUser {
    /// Name in the certificate, or the user name of the CONNECT; `None` without either.
    pub name: Option<Utf8>,
    /// Set if the name comes from a verified certificate.
    pub is_certified: bool,
}

impl SessionUser {
    /// Returns the user of a CONNECT, whose name is that of the client's certificate if it showed one. An empty user name is none.
    pub(super) fn of(certified: Option<&Utf8>, connect: &Connect) -> Self {
        let said = connect.username.as_ref().filter(|user| !user.is_empty());
        Self { name: certified.or(said).map(Utf8::detached), is_certified: certified.is_some() }
    }
}
