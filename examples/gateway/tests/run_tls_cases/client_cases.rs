//! Table of the clients at the listener with TLS.

use super::Outcome;
use super::materials::{Certificate, GOOD, Key, REVOKED, Usage};

/// Behaviour of a client.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Client {
    Shows(Certificate),
    ShowsNothing,
    /// One version of TLS alone.
    Speaks(&'static str),
    /// It asks for another server's name.
    AsksFor(&'static str),
    /// MQTT without TLS.
    Plain,
    /// TLS to the listener without.
    SecureToPlain,
    /// It ends the connection in the middle of its first message.
    Leaves,
    Silent,
}

use Client::{AsksFor, Leaves, Plain, SecureToPlain, Shows, ShowsNothing, Silent, Speaks};
use Outcome::{LetIn, Refused};

/// Before the clock of the gateways whose clock is behind, which say this many days less.
pub(crate) const BEHIND_DAYS: i64 = 200;

/// Words of lines that several cases have. A line is told once a minute, and the groups keep cases of the same words apart.
const NO_FIT: &str = "client: a signature does not fit: its authority has another key in ";
const NOTHING_SHOWN: &str = "client: it shows no certificate, or has none with a key that is taken, such as one on P-256 ([local] client_ca)";
const LISTED: &str = "\"peer\" is revoked by ";
const NO_NAME: &str = "the client's certificate has no common name, or several: it is to be its user name ([local] client_user_from)";

pub(crate) const CASES: [(&str, Client, Outcome); 48] = [
    ("right", Shows(GOOD), LetIn),
    ("rsa-2048", Shows(Certificate { key: Key::Rsa(2048), ..GOOD }), LetIn),
    ("rsa-1024", Shows(Certificate { key: Key::Rsa(1024), ..GOOD }), Refused(NO_FIT)),
    ("p-384", Shows(Certificate { key: Key::P384, ..GOOD }), LetIn),
    ("p-521", Shows(Certificate { key: Key::P521, ..GOOD }), Refused(NOTHING_SHOWN)),
    ("ed25519", Shows(Certificate { key: Key::Ed25519, ..GOOD }), LetIn),
    (
        "sha-1",
        Shows(Certificate { key: Key::Sha1, ..GOOD }),
        Refused("client: the certificate is signed by an algorithm that is not taken, such as SHA-1"),
    ),
    (
        "version-1",
        Shows(Certificate { key: Key::Version1, ..GOOD }),
        Refused("client: the certificate is of X.509 version 1"),
    ),
    ("none", ShowsNothing, Refused(NOTHING_SHOWN)),
    (
        "expired",
        Shows(Certificate { days: (-20, -10), ..GOOD }),
        Refused("client: the certificate has expired: it ended at 20"),
    ),
    (
        "not-yet",
        Shows(Certificate { days: (10, 20), ..GOOD }),
        Refused("client: the certificate is not valid yet: it begins at 20"),
    ),
    (
        "self-signed",
        Shows(Certificate { by: "itself", ..GOOD }),
        Refused("trusted.crt has signed the certificate ([local] client_ca)"),
    ),
    (
        "self-signed-authority",
        Shows(Certificate { by: "itself, an authority", ..GOOD }),
        Refused("client: the certificate is made for an authority (CA:TRUE)"),
    ),
    (
        "unknown-issuer",
        Shows(Certificate { by: "stranger", ..GOOD }),
        Refused("trusted.crt has signed the certificate ([local] client_ca)"),
    ),
    (
        "unknown-issuer-with-root",
        Shows(Certificate { by: "stranger", behind: &["stranger"], ..GOOD }),
        Refused("trusted.crt has signed the certificate ([local] client_ca)"),
    ),
    ("former-issuer", Shows(Certificate { by: "former", ..GOOD }), Refused(NO_FIT)),
    (
        "authority-p-521",
        Shows(Certificate { by: "on P-521", ..GOOD }),
        Refused(
            "client: the certificate is signed with an authority's key that is not taken, such as one on P-521",
        ),
    ),
    ("authority-rsa-1024", Shows(Certificate { by: "of RSA-1024", ..GOOD }), Refused(NO_FIT)),
    ("other-trusted", Shows(Certificate { by: "second", ..GOOD }), LetIn),
    ("root-ended", Shows(Certificate { by: "ended", ..GOOD }), LetIn),
    (
        "intermediate-missing",
        Shows(Certificate { by: "line", ..GOOD }),
        Refused("trusted.crt has signed the certificate ([local] client_ca)"),
    ),
    ("intermediate", Shows(Certificate { by: "line", behind: &["line"], ..GOOD }), LetIn),
    (
        "intermediate-ended",
        Shows(Certificate { by: "line, ended", behind: &["line, ended"], ..GOOD }),
        Refused("client: the certificate has expired: it ended at 20"),
    ),
    (
        "intermediate-revoked",
        Shows(Certificate { by: "line, revoked", behind: &["line, revoked"], ..GOOD }),
        Refused(LISTED),
    ),
    ("two-intermediates", Shows(Certificate { by: "cell", behind: &["cell", "line"], ..GOOD }), LetIn),
    ("wrong-order", Shows(Certificate { by: "cell", behind: &["line", "cell"], ..GOOD }), LetIn),
    ("extra", Shows(Certificate { behind: &["stranger", "line", "former"], ..GOOD }), LetIn),
    ("root-sent-along", Shows(Certificate { behind: &["plant"], ..GOOD }), LetIn),
    (
        "long-chain",
        Shows(Certificate { behind: &["stranger"; 30], ..GOOD }),
        Refused("bytes, the limit is 8192"),
    ),
    (
        "signed-by-no-authority",
        Shows(Certificate { by: "clerk", behind: &["clerk"], ..GOOD }),
        Refused("client: the certificate is signed with a certificate that is no authority's (CA:TRUE)"),
    ),
    (
        "for-servers",
        Shows(Certificate { usage: Usage::Servers, ..GOOD }),
        Refused("client: the certificate is not one for clients"),
    ),
    ("for-clients", Shows(Certificate { usage: Usage::Clients, ..GOOD }), LetIn),
    ("for-both", Shows(Certificate { usage: Usage::Both, ..GOOD }), LetIn),
    ("revoked", Shows(Certificate { serial: REVOKED, ..GOOD }), Refused(LISTED)),
    ("revoked-by-old-list", Shows(Certificate { by: "second", serial: REVOKED, ..GOOD }), Refused(LISTED)),
    ("list-of-another", Shows(Certificate { by: "ended", serial: REVOKED, ..GOOD }), LetIn),
    ("no-name", Shows(Certificate { common_names: &[], ..GOOD }), Refused(NO_NAME)),
    ("two-names", Shows(Certificate { common_names: &["oven", "pump"], ..GOOD }), Refused(NO_NAME)),
    ("any-alternative-name", Shows(Certificate { names: &["else.example", "192.0.2.1"], ..GOOD }), LetIn),
    ("tls-1.2", Speaks("-tls1_2"), LetIn),
    ("tls-1.3", Speaks("-tls1_3"), LetIn),
    ("tls-1.1", Speaks("-tls1_1"), Refused("the client offers no TLS 1.2 or 1.3 with algorithms")),
    ("another-server-name", AsksFor("else.example"), LetIn),
    ("plain-text", Plain, Refused("the client does not speak TLS")),
    ("tls-to-plain", SecureToPlain, Refused("it begins as TLS does ([local] tls_listen)")),
    ("leaves", Leaves, Refused("the client went away")),
    ("silent", Silent, Refused("no handshake within 3 s")),
    ("good-at-last", Shows(GOOD), LetIn),
];

/// Of gateways whose clock is behind, and not known to be right.
pub(crate) const CASES_BEHIND: [(&str, Client, Outcome); 3] = [
    ("begins-after-the-clock", Shows(Certificate { days: (-BEHIND_DAYS / 2, 20), ..GOOD }), LetIn),
    ("begins-after-the-day", Shows(Certificate { days: (10, 20), ..GOOD }), LetIn),
    (
        "ended-long-ago",
        Shows(Certificate { days: (-1_000, -900), ..GOOD }),
        Refused("client: the certificate has expired: it ended at 20"),
    ),
];
