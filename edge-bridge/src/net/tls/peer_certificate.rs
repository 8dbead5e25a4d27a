//! Certificate of a peer that was refused, as far as a reader of the error needs it: the names that it has, and its issuer. Read from DER with bounds,
//! because these bytes are foreign and nobody has verified them.

use std::cell::RefCell;
use std::fmt;

use super::alternative_names::{AlternativeName, alternative_names};
use super::certificate_dates::from_issuer;
use super::certificate_name::{common_name, first_common_name};
use super::der::{SEQUENCE, element};
use super::revocation::quoted;

/// Most names of a certificate that are shown.
const NAMES_MAX: usize = 4;

tokio::task_local! {
    /// Certificate that the verifier refused in the handshake of this task. rustls does not return it, and an error of this crate in the place of its own
    /// would have rustls send the peer another alert.
    static REFUSED: RefCell<Option<PeerCertificate>>;
}

/// Certificate of a peer, for a reader. Names are escaped and bounded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::net) struct PeerCertificate {
    /// Alternative names, text in quotes, with commas between; `None` if there are none.
    names: Option<String>,
    /// Common name in quotes; `None` if there is none that can be read.
    common_name: Option<String>,
    /// Common name of the issuer in quotes; `None` if it has none that can be read.
    issuer: Option<String>,
}

impl PeerCertificate {
    /// Reads a certificate. What cannot be read is left out.
    pub(in crate::net) fn new(certificate: &[u8]) -> Self {
        let names = alternative_names(certificate).unwrap_or_default();
        let shown: Vec<_> = names.iter().take(NAMES_MAX).map(shown).collect();
        let more = if names.len() > NAMES_MAX { ", …" } else { "" };
        let issuer = match from_issuer(certificate).and_then(element) {
            Some((SEQUENCE, issuer, _)) => first_common_name(issuer).map(quoted),
            _ => None,
        };
        Self {
            names: (!shown.is_empty()).then(|| shown.join(", ") + more),
            common_name: common_name(certificate).map(quoted),
            issuer,
        }
    }

    /// Returns the alternative names, text in quotes.
    pub(in crate::net) fn names(&self) -> Option<&str> {
        self.names.as_deref()
    }

    /// Returns the common name of the subject, in quotes. As the name of a server it does not count.
    pub(in crate::net) fn common_name(&self) -> Option<&str> {
        self.common_name.as_deref()
    }
}

impl fmt::Display for PeerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "of {}", self.names().or(self.common_name()).unwrap_or("no name"))?;
        write!(f, ", issued by {}", self.issuer.as_deref().unwrap_or("an authority without a common name"))
    }
}

fn shown(name: &AlternativeName<'_>) -> String {
    match name {
        AlternativeName::Ip(address) => address.to_string(),
        AlternativeName::Dns(text) | AlternativeName::Mail(text) | AlternativeName::Uri(text) => quoted(text),
    }
}

/// Keeps a certificate that the verifier refuses for the handshake that it is called in; does nothing in any other task.
pub(in crate::net) fn note(certificate: &[u8]) {
    let _ = REFUSED.try_with(|refused| *refused.borrow_mut() = Some(PeerCertificate::new(certificate)));
}

/// Performs a handshake; returns its result, and the certificate that the verifier refused in it.
pub(in crate::net) async fn noted<T>(handshake: impl Future<Output = T>) -> (T, Option<PeerCertificate>) {
    let with_refused = async {
        let result = handshake.await;
        (result, REFUSED.with(RefCell::take))
    };
    REFUSED.scope(RefCell::new(None), with_refused).await
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};

    use super::*;

    #[test]
    fn names_and_issuer_are_shown_and_cannot_be_read_as_words() {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        authority.distinguished_name = rcgen::DistinguishedName::new();
        authority.distinguished_name.push(DnType::CommonName, "plant\n\" CA");
        let authority = Issuer::new(authority, KeyPair::generate().unwrap());
        let of = |names: Vec<SanType>, common: Option<&str>| {
            let mut params = CertificateParams::default();
            params.distinguished_name = rcgen::DistinguishedName::new();
            common.iter().for_each(|name| params.distinguished_name.push(DnType::CommonName, *name));
            params.subject_alt_names = names;
            let der = params.signed_by(&KeyPair::generate().unwrap(), &authority).unwrap();
            PeerCertificate::new(der.der()).to_string()
        };
        let dns = |name: &str| SanType::DnsName(name.try_into().unwrap());
        let ip = SanType::IpAddress([10, 1, 0, 2].into());
        let by = ", issued by \"plant\\n\\\" CA\"";
        assert_eq!(of(vec![dns("hub.example"), ip], Some("x")), format!("of \"hub.example\", 10.1.0.2{by}"));
        assert_eq!(of(vec![], Some("hub")), format!("of \"hub\"{by}"));
        assert_eq!(of(vec![], None), format!("of no name{by}"));
        let five = of(["a", "b", "c", "d", "e"].map(dns).to_vec(), None);
        assert_eq!(five, format!("of \"a\", \"b\", \"c\", \"d\", …{by}"));
        let said = PeerCertificate::new(b"\x30").to_string();
        assert_eq!(said, "of no name, issued by an authority without a common name");
    }
}
