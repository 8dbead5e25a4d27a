//! User name of a client by its verified certificate: the common name of the subject, or a subject alternative name.

use super::ServerTls;
use super::alternative_names::{AlternativeName, alternative_names};
use super::certificate_name::common_name;
use crate::wire::Utf8;

/// Name in a client's certificate that is its user name. A certificate without such a name, or with several of which nobody knows who is meant, is
/// refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateUser {
    /// Common name of the subject, as Mosquitto's `use_identity_as_username` takes it.
    #[default]
    CommonName,
    /// Subject alternative name: the DNS name; without any the mail address; without those the URI. Several of the one kind are ambiguous, also if they are
    /// alike.
    AlternativeName,
}

/// Certificate that has no name for a user, in words that stand behind "it has".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::net) enum Nameless {
    #[error("no common name, or several")]
    CommonName,
    #[error("no subject alternative name that can be read")]
    Unreadable,
    #[error("no DNS name, mail address or URI as subject alternative name")]
    NoAlternative,
    #[error("several subject alternative names that are {0}")]
    Several(&'static str),
    #[error("a name that MQTT does not allow")]
    NotOfMqtt,
}

impl CertificateUser {
    /// Returns the user name in a certificate.
    ///
    /// # Errors
    ///
    /// The certificate has none, or several.
    pub(in crate::net) fn name_in(self, certificate: &[u8]) -> Result<Utf8, Nameless> {
        let name = match self {
            Self::CommonName => common_name(certificate).ok_or(Nameless::CommonName),
            Self::AlternativeName => alternative_name(certificate),
        };
        Utf8::try_from(name?).map_err(|_| Nameless::NotOfMqtt)
    }
}

fn alternative_name(certificate: &[u8]) -> Result<&str, Nameless> {
    let names = alternative_names(certificate).ok_or(Nameless::Unreadable)?;
    let kinds: [(&str, Kind); 3] = [("DNS names", dns), ("mail addresses", mail), ("URIs", uri)];
    for (kind, of_kind) in kinds {
        let mut of_kind = names.iter().filter_map(of_kind);
        match (of_kind.next(), of_kind.next()) {
            (Some(name), None) => return Ok(name),
            (Some(_), Some(_)) => return Err(Nameless::Several(kind)),
            (None, _) => {}
        }
    }
    Err(Nameless::NoAlternative)
}

/// Returns the text of a name if it is of one kind.
type Kind = for<'a> fn(&AlternativeName<'a>) -> Option<&'a str>;

fn dns<'a>(name: &AlternativeName<'a>) -> Option<&'a str> {
    if let AlternativeName::Dns(text) = *name { Some(text) } else { None }
}

fn mail<'a>(name: &AlternativeName<'a>) -> Option<&'a str> {
    if let AlternativeName::Mail(text) = *name { Some(text) } else { None }
}

fn uri<'a>(name: &AlternativeName<'a>) -> Option<&'a str> {
    if let AlternativeName::Uri(text) = *name { Some(text) } else { None }
}

impl ServerTls {
    /// Takes this name in a client's certificate for its user name. Default: the common name.
    #[must_use]
    pub fn with_certificate_user(self, user: CertificateUser) -> Self {
        Self { user, ..self }
    }

    pub(in crate::net) fn certificate_user(&self) -> CertificateUser {
        self.user
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn certificate(names: Vec<SanType>) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "common");
        params.subject_alt_names = names;
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    fn dns(name: &str) -> SanType {
        SanType::DnsName(name.try_into().unwrap())
    }

    #[test]
    fn the_one_name_of_the_first_kind_is_the_user() {
        let mail = || SanType::Rfc822Name("oven3@plant".try_into().unwrap());
        let uri = |text: &str| SanType::URI(text.try_into().unwrap());
        let ip = || SanType::IpAddress([10, 1, 0, 2].into());
        for (names, expected) in [
            (vec![uri("urn:oven:3"), mail(), dns("oven3.plant"), ip()], Ok("oven3.plant")),
            (vec![uri("urn:oven:3"), ip(), mail()], Ok("oven3@plant")),
            (vec![ip(), uri("urn:oven:3")], Ok("urn:oven:3")),
            (vec![ip()], Err(Nameless::NoAlternative)),
            (vec![], Err(Nameless::NoAlternative)),
            (vec![dns("a"), mail(), dns("b")], Err(Nameless::Several("DNS names"))),
            (vec![dns("a"), dns("a")], Err(Nameless::Several("DNS names"))),
            (vec![mail(), mail()], Err(Nameless::Several("mail addresses"))),
            (vec![uri("urn:a"), uri("urn:b")], Err(Nameless::Several("URIs"))),
        ] {
            let der = certificate(names.clone());
            let named = CertificateUser::AlternativeName.name_in(&der);
            assert_eq!(named.as_ref().map(Utf8::as_str), expected.as_ref().copied(), "{names:?}");
            assert_eq!(CertificateUser::CommonName.name_in(&der).unwrap().as_str(), "common");
        }
        assert_eq!(CertificateUser::AlternativeName.name_in(b"\x30"), Err(Nameless::Unreadable));
    }
}
