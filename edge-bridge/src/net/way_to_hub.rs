//! Way to the hub, as the settings say it: address and TLS, checked before anything starts.

use std::sync::Arc;

use super::builder::Builder;
use super::dial::Dialer;
use super::hub_address::Target;
use super::start_error::StartError;
use super::tls_names::{server_name, validate_alpn};

impl Builder {
    /// Checks what leads to the hub.
    pub(super) fn dialer(&self) -> Result<Dialer, StartError> {
        let target: Target = self.url.parse()?;
        match (target.tls, &self.tls) {
            (true, None) => return Err(StartError::TlsMissing),
            (false, Some(_)) => return Err(StartError::TlsUnused),
            _ => {}
        }
        validate_alpn(&self.alpn)?;
        let server_name = self.server_name.as_deref().map(server_name).transpose()?;
        if !target.tls && !self.alpn.is_empty() {
            return Err(StartError::NotOverTls { what: "alpn()" });
        }
        if !target.tls && server_name.is_some() {
            return Err(StartError::NotOverTls { what: "server_name()" });
        }
        Ok(Dialer {
            target,
            tls: self.tls.clone().map(|tls| tls.with_alpn(&self.alpn)),
            server_name,
            connect_timeout: self.connect_timeout,
            send_buffer_bytes: self.send_buffer_bytes,
            wire_bytes: Arc::default(),
            password: self.password.clone(),
        })
    }
}

#[cfg(test)]
mod tests;
