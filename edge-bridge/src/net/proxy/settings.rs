//! Settings of a proxy, as the application gave them.

use std::fmt;

use bytes::Bytes;

use crate::net::reread_source::RereadSource;

/// Settings of a proxy, unchecked.
#[derive(Clone, Default)]
pub(in crate::net) struct ProxySettings {
    pub(in crate::net) url: Option<String>,
    pub(in crate::net) password: Option<Bytes>,
    pub(in crate::net) source: Option<RereadSource<Bytes>>,
}

impl fmt::Debug for ProxySettings {
    /// Shows neither the password nor the address, which may contain one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxySettings").finish_non_exhaustive()
    }
}
