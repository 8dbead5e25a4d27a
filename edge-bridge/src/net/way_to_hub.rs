//! Route to the hub: address, TLS and proxy from the settings, checked before anything starts.

use super::builder::Builder;
use super::dial::Dialer;
use super::dial::failed_dials::FailedDials;
use super::hub_address::Target;
use super::proxy::Proxy;
use super::proxy::address::ProxyAddress;
use super::proxy::login::ProxyLogin;
use super::proxy::settings::ProxySettings;
use super::start_error::StartError;
use super::tls::Tls;
use super::tls::hub_session::LastHubTls;
use super::tls::names::{server_name, validate_alpn};
use super::tls::renewal::TlsRenewal;
use super::wire_bytes::WireBytes;

impl Builder {
    /// Reads certificate and authorities again before each dial, and every 20 s while there is a connection, on a thread that may block, so that
    /// renewed ones need no restart. `read` returns `None` while nothing has changed since the last read.
    ///
    /// A connection that shows another certificate than the one that was read, as far as it is known (of [`Tls::from_config`] everything that `read`
    /// returns counts as another one), is replaced within a minute: when nothing is unanswered on it, after ten seconds at the latest, and up to
    /// 20 s later than it was read, by an amount of its own for each link ([`Link::look_at_certificate`](super::Link::look_at_certificate) does it
    /// at once). The session goes on, so no message is lost; the hub publishes no will.
    ///
    /// Until a hub has accepted a CONNECT with the new ones, dials alternate between them and the former. A connection that the former ones made is
    /// replaced again after a minute, then two, up to an hour, where no hub has judged the new ones; after an hour, then two, up to a day, where one has
    /// refused them. While `read` fails, or takes longer than a second, the last ones are used, at first those of [`tls`](Self::tls), which is required.
    pub fn tls_from(
        mut self,
        read: impl Fn() -> std::io::Result<Option<Tls>> + Send + Sync + 'static,
    ) -> Self {
        self.renewal = Some(TlsRenewal::new(read));
        self
    }

    /// Returns the hub's addresses, the preferred one first.
    pub(super) fn targets(&self) -> Result<Vec<Target>, StartError> {
        let urls = std::iter::once(&self.url).chain(&self.further_urls);
        let targets = urls.map(|url| url.0.parse::<Target>()).collect::<Result<Vec<_>, _>>()?;
        if targets.iter().any(|target| target.tls) && !targets.iter().all(|target| target.tls) {
            return Err(StartError::MixedSchemes);
        }
        Ok(targets)
    }

    /// Checks address, TLS and proxy, and makes the dialer.
    pub(super) fn dialer(&self) -> Result<Dialer, StartError> {
        let target: Target = self.url.0.parse()?;
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
            renewal: self.renewal.clone(),
            alpn: self.alpn.clone(),
            server_name,
            proxy: self.checked_proxy()?,
            connect_timeout: self.connect_timeout,
            send_buffer_bytes: self.send_buffer_bytes,
            wire_bytes: WireBytes::default(),
            hub_tls: LastHubTls::default(),
            password: self.password.clone(),
            failed_dials: FailedDials::default(),
        })
    }

    fn checked_proxy(&self) -> Result<Option<Proxy>, StartError> {
        let ProxySettings { url, password, source } = self.proxy.clone();
        let address = url.as_deref().map(str::parse::<ProxyAddress>).transpose()?;
        let has_password = password.is_some() || source.is_some();
        let user = address.as_ref().and_then(|address| address.user.clone());
        let login = match user {
            Some(user) if has_password => Some(ProxyLogin::new(user, password, source)),
            None if !has_password => None,
            _ => return Err(StartError::ProxyLogin),
        };
        Ok(address.map(|address| Proxy { address, login }))
    }
}

#[cfg(test)]
mod tests;
