//! Answer of an EST server: judges status and body, and picks the certificate for the own key with its chain out of the CMS (RFC 5652, certificates
//! alone). What is not such an answer is refused by the reason, in words for whoever runs the gateway.

use rustls::server::ParsedCertificate;
use rustls_pki_types::CertificateDer;

use crate::base64::decode;
use crate::certificate::{Certificate, Validity};
use crate::der::{CONTEXT_0, Element, INTEGER, OBJECT_IDENTIFIER, SEQUENCE, SET, elements, tagged};
use crate::names::{Names, alternatives_text, subject_text};
use crate::text::harmless;
use crate::{pem, utc};

/// Most bytes of a body: shells read no more.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// Most certificates of an answer, and of the chain behind the first one.
const CERTIFICATES_MAX: usize = 32;
const BEHIND_MAX: usize = 8;
/// Seconds by which the authority's clock may be ahead of this machine's: until its certificate begins the former one is used.
const AHEAD_MAX_S: u64 = 3_600;
/// Object identifier of signed data, 1.2.840.113549.1.7.2.
const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
const MEDIA_TYPE: &str = "application/pkcs7-mime";

/// Parts of an HTTP response.
#[derive(Debug, Clone, Copy, Default)]
pub struct Answer<'a> {
    /// Status code.
    pub status: u16,
    /// Header `Content-Type`.
    pub content_type: Option<&'a str>,
    /// Header `Retry-After`.
    pub retry_after: Option<&'a str>,
    /// Content, of [`BODY_BYTES_MAX`] at most.
    pub body: &'a [u8],
}

/// Certificate that was asked for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Its key, as SubjectPublicKeyInfo.
    pub public_key: &'a [u8],
    /// Names that were asked for.
    pub names: &'a Names,
    /// Certificates (DER) of authorities that are trusted here: a signature in the name of one has to be its own, whatever certificates of
    /// that name the answer has.
    pub authorities: &'a [Vec<u8>],
    /// Certificates (DER) that stand behind the one in use: an answer may have the new one alone (RFC 7030 §4.2.3).
    pub behind: &'a [Vec<u8>],
    /// Validity of the certificate in use, which it has to outlast. `None`: there is none.
    pub in_use: Option<Validity>,
    /// Wall clock in seconds since 1970. `None` while it is not known to be right.
    pub wall_s: Option<u64>,
}

/// Certificate with the authorities behind it, the last of which signed itself or is unknown here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// PEM, the own certificate first.
    pub pem: String,
    /// Life of the own certificate.
    pub validity: Validity,
}

/// Reason for which an answer brings no certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// The authority asks for patience (202).
    #[error("the authority has not decided yet (status 202)")]
    Later {
        /// Seconds after which it wants to be asked again.
        after_s: Option<u64>,
    },
    /// The server names another address.
    #[error("the server redirects (status {0}), which is not followed: `url` is to name the server itself")]
    Redirect(u16),
    /// The server refuses.
    #[error("the server refuses: status {status}{}{said}", hint(*status))]
    Status {
        /// Status code.
        status: u16,
        /// Words of the server behind a colon, or empty.
        said: String,
        /// Seconds after which it wants to be asked again.
        after_s: Option<u64>,
    },
    /// The content says that it is something else.
    #[error("the answer is \"{0}\", expected {MEDIA_TYPE}")]
    MediaType(String),
    /// The content is not base64.
    #[error("the answer is no base64")]
    NotBase64,
    /// The content is no CMS with certificates.
    #[error("the answer is no list of certificates (CMS)")]
    NotCms,
    /// The content has no certificate, or none that can be read.
    #[error("the answer has no certificate")]
    NoCertificate,
    /// The content has too many certificates.
    #[error("the answer has more than {CERTIFICATES_MAX} certificates")]
    TooMany,
    /// None of the certificates is of the own key.
    #[error("the answer has no certificate for the key of this gateway")]
    OtherKey,
    /// TLS could not use the certificate.
    #[error("the answer's certificate is of no use: {0}")]
    Unusable(String),
    /// The subject is not the one that was asked for.
    #[error("the answer's certificate is for {found}, asked was for {asked}")]
    OtherSubject {
        /// Subject of the certificate.
        found: String,
        /// Subject of the request.
        asked: String,
    },
    /// The alternative names are not those that were asked for.
    #[error("the answer's certificate has other alternative names ({found}) than were asked for ({asked})")]
    OtherAlternativeNames {
        /// Names of the certificate.
        found: String,
        /// Names of the request.
        asked: String,
    },
    /// The certificate is one of an authority.
    #[error("the answer's certificate is one of an authority (CA), not of a client")]
    Authority,
    /// The certificate is for other purposes.
    #[error("the answer's certificate is not for clients, by its extended key usage")]
    NotForClients,
    /// The signature is not by the authority that the certificate names.
    #[error(
        "the answer's certificate is not signed by the key that its authority, {0}, has here: if that key was replaced, put the authority's new certificate into `ca`"
    )]
    BadSignature(String),
    /// The new certificate ends no later than the one in use.
    #[error("the new certificate ends no later than the one in use: {}", utc::text(*.0))]
    NotLater(u64),
    /// The certificate is not valid for a long time.
    #[error("the new certificate is valid only from {}, by this machine's clock", utc::text(*.0))]
    NotYet(u64),
    /// The certificate has ended.
    #[error("the new certificate has ended already, by this machine's clock: {}", utc::text(*.0))]
    Ended(u64),
}

impl AnswerError {
    /// Returns the seconds after which the server wants to be asked again, if it said so.
    #[must_use]
    pub fn after_s(&self) -> Option<u64> {
        match self {
            Self::Later { after_s } | Self::Status { after_s, .. } => *after_s,
            _ => None,
        }
    }
}

fn hint(status: u16) -> &'static str {
    match status {
        401 | 403 => ", it does not take the certificate of this gateway",
        404 => ", there is no EST at this address and path",
        _ => "",
    }
}

/// Judges the answer to a request.
///
/// # Errors
///
/// The reason for which it brings no certificate.
pub fn read(answer: &Answer<'_>, wanted: &Wanted<'_>) -> Result<Chain, AnswerError> {
    let after_s = answer.retry_after.and_then(|text| after_s(text, wanted.wall_s));
    match answer.status {
        200 => {}
        202 => return Err(AnswerError::Later { after_s }),
        status @ 300..=399 => return Err(AnswerError::Redirect(status)),
        status => return Err(AnswerError::Status { status, said: said(answer.body), after_s }),
    }
    if let Some(other) = answer.content_type.filter(|kind| !is_pkcs7(kind)) {
        return Err(AnswerError::MediaType(harmless(other)));
    }
    // Base64 of a sequence begins with `M`, so that content in DER, against the standard, is known by its first byte.
    let der = match answer.body {
        [SEQUENCE, ..] => answer.body.to_vec(),
        text => decode(text).ok_or(AnswerError::NotBase64)?,
    };
    let found = certificates(&der).ok_or(AnswerError::NotCms)?;
    if found.len() > CERTIFICATES_MAX {
        return Err(AnswerError::TooMany);
    }
    let all: Vec<_> = found.iter().filter_map(|element| Certificate::read(element.whole)).collect();
    if all.is_empty() {
        return Err(AnswerError::NoCertificate);
    }
    let own = all.iter().filter(|one| one.public_key == wanted.public_key);
    let own = own.max_by_key(|one| one.validity.end_s).ok_or(AnswerError::OtherKey)?;
    judge(own, wanted)?;
    let behind = wanted.behind.iter().filter_map(|der| Certificate::read(der));
    let known: Vec<_> = all.iter().copied().chain(behind).collect();
    let trusted = wanted.authorities.iter().filter_map(|der| Certificate::read(der));
    judge_signature(own, &trusted.collect::<Vec<_>>(), &known)?;
    let text = chain(own, &known).into_iter().map(|der| pem::block("CERTIFICATE", der)).collect();
    Ok(Chain { pem: text, validity: own.validity })
}

fn judge(own: &Certificate<'_>, wanted: &Wanted<'_>) -> Result<(), AnswerError> {
    if let Err(error) = parsed(own.der) {
        return Err(AnswerError::Unusable(error.to_string()));
    }
    if !wanted.names.are_subject_of(own) {
        let (found, asked) = (subject_text(own.subject), subject_text(&wanted.names.subject));
        return Err(AnswerError::OtherSubject { found, asked });
    }
    if !wanted.names.are_alternatives_of(own) {
        let found = alternatives_text(own.alternative_names);
        let asked = alternatives_text(wanted.names.alternative.as_deref());
        return Err(AnswerError::OtherAlternativeNames { found, asked });
    }
    if own.is_authority() {
        return Err(AnswerError::Authority);
    }
    if !own.is_for_clients() {
        return Err(AnswerError::NotForClients);
    }
    let Validity { begin_s, end_s } = own.validity;
    if wanted.in_use.is_some_and(|in_use| end_s <= in_use.end_s) {
        return Err(AnswerError::NotLater(end_s));
    }
    match wanted.wall_s {
        Some(wall_s) if end_s <= wall_s => Err(AnswerError::Ended(end_s)),
        Some(wall_s) if begin_s > wall_s.saturating_add(AHEAD_MAX_S) => Err(AnswerError::NotYet(begin_s)),
        _ => Ok(()),
    }
}

/// Judges the signature, if its authority is known here. Where it is not the hub alone can judge it, which may trust others. Those that are `trusted` and can
/// judge it do so alone: whoever makes an answer can make a certificate of their name.
fn judge_signature(
    own: &Certificate<'_>,
    trusted: &[Certificate<'_>],
    known: &[Certificate<'_>],
) -> Result<(), AnswerError> {
    let judged_by = |authorities: &[Certificate<'_>]| -> Vec<bool> {
        let named = authorities.iter().filter(|one| one.subject == own.issuer && one.der != own.der);
        named.filter_map(|one| own.is_signed_by(one)).collect()
    };
    let judged = match judged_by(trusted) {
        none if none.is_empty() => judged_by(known),
        judged => judged,
    };
    if judged.is_empty() || judged.contains(&true) {
        return Ok(());
    }
    Err(AnswerError::BadSignature(subject_text(own.issuer)))
}

/// Reads a certificate as TLS will do it.
fn parsed(der: &[u8]) -> Result<(), rustls::Error> {
    ParsedCertificate::try_from(&CertificateDer::from(der)).map(drop)
}

/// Returns the certificate and those behind it: of the authority that signed it, of the one that signed that, and so on. One that signed itself is left
/// out, because whoever trusts it has it.
fn chain<'a>(own: &Certificate<'a>, all: &[Certificate<'a>]) -> Vec<&'a [u8]> {
    let (mut chain, mut last) = (vec![own.der], *own);
    while chain.len() <= BEHIND_MAX && !last.is_self_signed() {
        let signers = all.iter().filter(|one| {
            one.subject == last.issuer
                && !one.is_self_signed()
                && !chain.contains(&one.der)
                && last.is_signed_by(one) != Some(false)
                && parsed(one.der).is_ok()
        });
        let Some(signer) = signers.max_by_key(|one| one.validity.end_s) else { break };
        chain.push(signer.der);
        last = *signer;
    }
    chain
}

/// Returns the certificates of a CMS (RFC 5652 §5.1). `None`: it is none, or not of the kind that has certificates.
fn certificates(der: &[u8]) -> Option<Vec<Element<'_>>> {
    let (info, _) = tagged(der, SEQUENCE)?;
    let (kind, rest) = tagged(info.content, OBJECT_IDENTIFIER)?;
    let (content, _) = tagged(rest, CONTEXT_0).filter(|_| kind.content == SIGNED_DATA)?;
    let (signed, _) = tagged(content.content, SEQUENCE)?;
    let (_version, rest) = tagged(signed.content, INTEGER)?;
    let (_digests, rest) = tagged(rest, SET)?;
    let (_content, rest) = tagged(rest, SEQUENCE)?;
    let list = tagged(rest, CONTEXT_0).map_or(&[][..], |(list, _)| list.content);
    Some(elements(list).filter(|element| element.tag == SEQUENCE).take(CERTIFICATES_MAX + 1).collect())
}

fn is_pkcs7(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case(MEDIA_TYPE)
}

/// Seconds of `Retry-After`, which is a number of them or a date.
fn after_s(text: &str, wall_s: Option<u64>) -> Option<u64> {
    let text = text.trim();
    text.parse().ok().or_else(|| Some(utc::of_http(text)?.saturating_sub(wall_s?)))
}

/// Returns the first line of a text behind a colon; empty for a page of HTML and for what is no text.
fn said(body: &[u8]) -> String {
    let line = body.split(|byte| *byte == b'\n').next().and_then(|line| std::str::from_utf8(line).ok());
    match line.map(harmless) {
        Some(line) if !line.is_empty() && !line.starts_with('<') => format!(": {line}"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests;
