//! Settings of a proxy, as the application gave them.

use std::fmt;

use bytes::Bytes;

use super::reread_source::RereadSource;

/// Settings of a proxy, unchecked.
#[derive(Clone, Default)]
pub(super) struct ProxySettings {
    pub(super) url: Option<String>,
    pub(super) password: Option<Bytes>,
    pub(super) source: Option<RereadSource<Bytes>>,
}

impl fmt::Debug for ProxySettings {
    /// Shows neither the password nor the address, which may contain one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxySettings").finish_non_exhaustive()
    }
}
