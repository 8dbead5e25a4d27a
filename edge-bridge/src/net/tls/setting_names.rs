//! Names of a program's own settings, for errors of TLS that say which one to look at.

use super::Tls;

/// Names by which the users of a program know its settings, such as the keys of its configuration. An error of a handshake has them in brackets behind
/// what it is about; an empty one is left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TlsSettingNames {
    /// Name of the setting with the hub's address, or the name that its certificate has to have.
    pub server_name: &'static str,
    /// Name of the setting with the file of trusted authorities.
    pub authorities: &'static str,
    /// Name of the setting with the file of the own certificate.
    pub certificate: &'static str,
    /// Word for the server, with its article, as `the EST server`; empty for `the hub`.
    pub peer: &'static str,
    /// Name of the setting by which the wall clock counts as right without a time service.
    pub clock: &'static str,
}

impl Tls {
    /// Names the program's settings, and the server, in errors of handshakes.
    #[must_use]
    pub fn with_setting_names(self, names: TlsSettingNames) -> Self {
        Self { names, ..self }
    }
}

/// Returns the name of a setting as it stands behind what it sets: in brackets, nothing without one.
pub(in crate::net) fn in_brackets(name: &str) -> String {
    if name.is_empty() { String::new() } else { format!(" ({name})") }
}
