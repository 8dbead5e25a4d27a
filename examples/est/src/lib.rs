#![forbid(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]
//! Enrolment over secure transport (EST, RFC 7030), a sans-IO client: it makes the [request](request::request) for a certificate (PKCS #10),
//! judges the [answer](answer::read) of the authority (CMS, certificates alone), and says [when](schedule::Schedule) to ask again. No clock, socket or file is touched:
//! the shell that has these is `edge-gateway` with the feature `est`.
//!
//! The request is written here and not by a library, because at a renewal its names have to be those of the certificate in use (RFC 7030 §4.2.2): they are
//! copied byte by byte, whatever kinds of names they are. And so any key signs that rustls can use, also one in another process.

pub mod answer;
mod base64;
pub mod certificate;
mod der;
pub mod key;
pub mod names;
pub mod pem;
pub mod request;
pub mod schedule;
pub mod server;
mod text;
pub mod utc;

pub use base64::encode;
