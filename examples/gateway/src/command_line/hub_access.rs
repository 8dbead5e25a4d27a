//! Access to a hub from a command line: authority, certificate, user.

use std::path::PathBuf;

use clap::Args;
use edge_bridge::net::{StartError, signer_socket};
use edge_bridge::{Builder, Tls};

use crate::config::{operator_file, password};

#[derive(Args)]
pub(super) struct HubAccess {
    /// Authority to trust, PEM
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Our certificate, PEM
    #[arg(long, value_name = "FILE", requires_all = ["key", "ca"])]
    cert: Option<PathBuf>,
    /// Its key, PEM, or unix:PATH of the signer that has it
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// User name
    #[arg(long, value_name = "NAME", requires = "password_file")]
    user: Option<String>,
    /// Its password: one line, mode 0600
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
}

impl HubAccess {
    /// Adds TLS and login to a link's settings.
    ///
    /// # Errors
    /// The file that cannot be used, and why.
    pub(super) fn add_to(&self, mut builder: Builder) -> Result<Builder, String> {
        let files = [&self.ca, &self.cert, &self.key].into_iter().flatten();
        for file in files.filter(|file| signer_socket(file).is_none()) {
            operator_file::check(file).map_err(|error| format!("{}: {error}", file.display()))?;
        }
        if let Some(ca) = &self.ca {
            let tls = match (&self.cert, &self.key) {
                (Some(cert), Some(key)) => Tls::from_pem(ca, cert, key),
                _ => Tls::from_ca(ca),
            };
            builder = builder.tls(tls.map_err(|error| error.to_string())?);
        }
        if let (Some(user), Some(file)) = (&self.user, &self.password_file) {
            let password = password::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
            builder = builder.credentials(user, password);
        }
        Ok(builder)
    }
}

/// Describes an address that cannot be used, by the options that it wants.
pub(super) fn not_started(error: &StartError) -> String {
    match error {
        StartError::TlsMissing => "mqtts:// needs --ca: the authority to trust".to_owned(),
        StartError::TlsUnused => {
            "--ca is given, but the address is mqtt://, which would be sent in the clear".to_owned()
        }
        error => error.to_string(),
    }
}
