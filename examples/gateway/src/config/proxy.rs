//! `proxy` and `proxy_password_file` of `[hub]`: HTTP proxy for networks that reach the hub only through one.

use std::path::PathBuf;

use edge_bridge::net::ProxyAddress;

use super::Findings;
use super::password;
use super::section::Section;

/// An HTTP proxy between the gateway and the hub.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Proxy {
    pub(crate) url: String,
    pub(crate) address: ProxyAddress,
    pub(crate) login: Option<Login>,
}

/// Password of the user in the proxy's address.
#[derive(Clone)]
pub(crate) struct Login {
    pub(crate) password: Vec<u8>,
    /// File with the password.
    pub(crate) file: PathBuf,
}

impl PartialEq for Login {
    /// Compares the files alone: the link reads the password again before each connection.
    fn eq(&self, other: &Self) -> bool {
        let Self { password: _, file } = self;
        *file == other.file
    }
}

impl Eq for Login {}

impl std::fmt::Debug for Proxy {
    /// Writes the address alone, without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxy").field("address", &self.address).finish_non_exhaustive()
    }
}

pub(super) fn proxy(section: &Section<'_>, findings: &mut Findings) -> Option<Proxy> {
    let proxy = section.parsed("proxy", findings, |text| {
        let address = text.parse::<ProxyAddress>().map_err(|error| error.to_string())?;
        Ok((text.to_owned(), address))
    });
    let file = section.path("proxy_password_file", findings);
    if section.get("proxy").is_none() {
        if let Some(file) = file {
            findings.error(file.at, "hub.proxy_password_file", "belongs to `proxy`, which is missing");
        }
        return None;
    }
    let proxy = proxy?;
    let (url, address) = proxy.value;
    let is_given = section.get("proxy_password_file").is_some();
    let login = match (&address.user, file) {
        (None, Some(file)) => {
            let message = "belongs to a user in `proxy`: http://USER@HOST:PORT";
            findings.error(file.at, "hub.proxy_password_file", message);
            None
        }
        (Some(_), None) if !is_given => {
            findings.error(proxy.at, "hub.proxy", "has a user: `proxy_password_file` is missing");
            None
        }
        (Some(_), Some(file)) => password::checked(&file, "hub.proxy_password_file", findings)
            .map(|password| Login { password, file: file.value }),
        _ => None,
    };
    Some(Proxy { url, address, login })
}
