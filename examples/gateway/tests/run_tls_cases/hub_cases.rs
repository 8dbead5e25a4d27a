//! Table of the hubs at the gateway's link.

use super::Outcome;
use super::materials::{Certificate, GOOD, Key, REVOKED, Usage};

/// Behaviour of a hub.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Hub {
    Shows(Certificate),
    /// It shows a good certificate, with these lines of Mosquitto besides.
    Has(&'static str),
    /// MQTT without TLS.
    Plain,
    /// One version of TLS alone, at a Mosquitto of its own.
    Speaks(&'static str),
    /// It ends the connection when the first bytes come.
    Leaves,
    Silent,
    /// It has another key than its certificate's.
    OtherKey,
}

/// Case of a hub.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) hub: Hub,
    pub(crate) outcome: Outcome,
    pub(crate) scheme: &'static str,
    pub(crate) host: &'static str,
    /// Further lines of `[hub]`.
    pub(crate) lines: &'static str,
    /// Certificate of the gateway.
    pub(crate) own: Option<Certificate>,
    /// Days that its clock is behind, and whether it counts as right.
    pub(crate) clock: (i64, bool),
}

use Hub::{Has, Leaves, OtherKey, Plain, Shows, Silent, Speaks};
use Outcome::{LetIn, Refused};

const fn case(name: &'static str, hub: Hub, outcome: Outcome) -> Case {
    Case {
        name,
        hub,
        outcome,
        scheme: "mqtts",
        host: "localhost",
        lines: "",
        own: Some(GOOD),
        clock: (0, true),
    }
}

const fn named(case: Case, lines: &'static str) -> Case {
    Case { lines, ..case }
}

const fn at(case: Case, host: &'static str) -> Case {
    Case { host, ..case }
}

const fn clocked(case: Case, clock: (i64, bool)) -> Case {
    Case { clock, ..case }
}

const fn showing(case: Case, own: Option<Certificate>) -> Case {
    Case { own, ..case }
}

const WILDCARD: Certificate = Certificate { names: &["*.plant.example"], ..GOOD };
const BY_ADDRESS: Certificate = Certificate { names: &["127.0.0.1"], ..GOOD };
/// Lines of a hub that asks for a certificate.
const ASKS: &str = "require_certificate true\ncafile {plant.crt}\n";
const ASKS_LISTS: &str = "require_certificate true\ncafile {plant.crt}\ncrlfile {plant.crl}\n";

pub(crate) static CASES: [Case; 56] = [
    case("right", Shows(GOOD), LetIn),
    case(
        "host-name",
        Shows(Certificate { names: &["else.example"], ..GOOD }),
        Refused(
            "is not for \"localhost\", which is dialled ([hub] url, tls_server_name): it has \"else.example\"",
        ),
    ),
    case(
        "no-names",
        Shows(Certificate { names: &[], common_names: &["localhost"], ..GOOD }),
        Refused("it has no name: its common name \"localhost\" does not count"),
    ),
    at(case("address", Shows(BY_ADDRESS), LetIn), "127.0.0.1"),
    at(
        case("address-not-named", Shows(GOOD), Refused("is not for \"127.0.0.1\", which is dialled")),
        "127.0.0.1",
    ),
    named(
        case("overridden-name", Shows(Certificate { names: &["hub.example"], ..GOOD }), LetIn),
        "tls_server_name = \"hub.example\"",
    ),
    named(
        case(
            "overridden-name-not-named",
            Shows(GOOD),
            Refused("is not for \"hub.example\", which is dialled"),
        ),
        "tls_server_name = \"hub.example\"",
    ),
    named(case("wildcard", Shows(WILDCARD), LetIn), "tls_server_name = \"hub.plant.example\""),
    named(
        case(
            "wildcard-two-labels",
            Shows(WILDCARD),
            Refused("is not for \"a.hub.plant.example\", which is dialled"),
        ),
        "tls_server_name = \"a.hub.plant.example\"",
    ),
    named(
        case("wildcard-no-label", Shows(WILDCARD), Refused("is not for \"plant.example\", which is dialled")),
        "tls_server_name = \"plant.example\"",
    ),
    named(
        case(
            "wildcard-part",
            Shows(Certificate { names: &["h*.plant.example"], ..GOOD }),
            Refused("is not for \"hub.plant.example\", which is dialled"),
        ),
        "tls_server_name = \"hub.plant.example\"",
    ),
    case("rsa-2048", Shows(Certificate { key: Key::Rsa(2048), ..GOOD }), LetIn),
    case(
        "rsa-1024",
        Shows(Certificate { key: Key::Rsa(1024), ..GOOD }),
        Refused(
            "is not that of the key that signed the handshake, or that is an RSA key of less than 2048 bits",
        ),
    ),
    case("p-384", Shows(Certificate { key: Key::P384, ..GOOD }), LetIn),
    case(
        "p-521",
        Shows(Certificate { key: Key::P521, ..GOOD }),
        Refused("received fatal alert: HandshakeFailure"),
    ),
    case("ed25519", Shows(Certificate { key: Key::Ed25519, ..GOOD }), LetIn),
    case(
        "sha-1",
        Shows(Certificate { key: Key::Sha1, ..GOOD }),
        Refused("the hub's certificate is signed by an algorithm that is not taken, such as SHA-1"),
    ),
    case(
        "version-1",
        Shows(Certificate { key: Key::Version1, ..GOOD }),
        Refused("the hub's certificate is of X.509 version 1, which is not taken"),
    ),
    case("other-key", OtherKey, Refused("is not that of the key that signed the handshake")),
    case(
        "expired",
        Shows(Certificate { days: (-20, -10), ..GOOD }),
        Refused("the hub's certificate has expired ([hub] url, tls_server_name): it ended at 20"),
    ),
    case(
        "not-yet",
        Shows(Certificate { days: (10, 20), ..GOOD }),
        Refused("Z ([hub] url, tls_server_name), and it is 20"),
    ),
    clocked(
        case(
            "not-yet-by-a-wrong-clock",
            Shows(Certificate { days: (-100, 20), ..GOOD }),
            Refused("by this machine's clock (one of "),
        ),
        (200, true),
    ),
    clocked(
        case("not-yet-by-a-clock-behind", Shows(Certificate { days: (-100, 20), ..GOOD }), LetIn),
        (200, false),
    ),
    clocked(
        case(
            "expired-by-a-clock-behind",
            Shows(Certificate { days: (-1_000, -900), ..GOOD }),
            Refused("at least, although this machine's clock, which is not known to be right, says 20"),
        ),
        (200, false),
    ),
    case(
        "self-signed",
        Shows(Certificate { by: "itself", ..GOOD }),
        Refused("/trusted.crt ([hub] ca) (one of \"localhost\", issued by \"peer\")"),
    ),
    case(
        "self-signed-authority",
        Shows(Certificate { by: "itself, an authority", ..GOOD }),
        Refused("the hub's certificate is made for an authority (CA:TRUE)"),
    ),
    case(
        "unknown-issuer",
        Shows(Certificate { by: "stranger", ..GOOD }),
        Refused("/trusted.crt ([hub] ca) (one of \"localhost\", issued by \"stranger\")"),
    ),
    case(
        "unknown-issuer-with-root",
        Shows(Certificate { by: "stranger", behind: &["stranger"], ..GOOD }),
        Refused("/trusted.crt ([hub] ca) (one of \"localhost\", issued by \"stranger\")"),
    ),
    case(
        "former-issuer",
        Shows(Certificate { by: "former", ..GOOD }),
        Refused("is signed by another key than its authority has in "),
    ),
    case(
        "authority-p-521",
        Shows(Certificate { by: "on P-521", ..GOOD }),
        Refused("is signed with an authority's key that is not taken, such as one on P-521"),
    ),
    case(
        "authority-rsa-1024",
        Shows(Certificate { by: "of RSA-1024", ..GOOD }),
        Refused("/trusted.crt ([hub] ca), or that is an RSA key of less than 2048 bits"),
    ),
    case("other-trusted", Shows(Certificate { by: "second", ..GOOD }), LetIn),
    case("root-ended", Shows(Certificate { by: "ended", ..GOOD }), LetIn),
    case(
        "intermediate-missing",
        Shows(Certificate { by: "line", ..GOOD }),
        Refused("/trusted.crt ([hub] ca) (one of \"localhost\", issued by \"line\")"),
    ),
    case("intermediate", Shows(Certificate { by: "line", behind: &["line"], ..GOOD }), LetIn),
    case(
        "intermediate-ended",
        Shows(Certificate { by: "line, ended", behind: &["line, ended"], ..GOOD }),
        Refused("the hub's certificate has expired ([hub] url, tls_server_name): it ended at 20"),
    ),
    case(
        "intermediate-revoked",
        Shows(Certificate { by: "line, revoked", behind: &["line, revoked"], ..GOOD }),
        Refused("/lists.crl (or an authority behind it)"),
    ),
    case("two-intermediates", Shows(Certificate { by: "cell", behind: &["cell", "line"], ..GOOD }), LetIn),
    case("wrong-order", Shows(Certificate { by: "cell", behind: &["line", "cell"], ..GOOD }), LetIn),
    case("extra", Shows(Certificate { behind: &["stranger", "line", "former"], ..GOOD }), LetIn),
    case("root-sent-along", Shows(Certificate { behind: &["plant"], ..GOOD }), LetIn),
    case(
        "signed-by-no-authority",
        Shows(Certificate { by: "clerk", behind: &["clerk"], ..GOOD }),
        Refused("is signed with a certificate that is no authority's (CA:TRUE)"),
    ),
    case(
        "for-clients",
        Shows(Certificate { usage: Usage::Clients, ..GOOD }),
        Refused("is not one for servers, by its extended key usage"),
    ),
    case("for-servers", Shows(Certificate { usage: Usage::Servers, ..GOOD }), LetIn),
    case("revoked", Shows(Certificate { serial: REVOKED, ..GOOD }), Refused("is revoked by /")),
    case(
        "revoked-by-old-list",
        Shows(Certificate { by: "second", serial: REVOKED, ..GOOD }),
        Refused("is revoked by /"),
    ),
    case("list-of-another", Shows(Certificate { by: "ended", serial: REVOKED, ..GOOD }), LetIn),
    case("tls-1.2", Speaks("TLSv1.2"), LetIn),
    case("tls-1.3", Speaks("TLSv1.3"), LetIn),
    case("tls-1.1", Speaks("TLSv1.1"), Refused("received fatal alert: ProtocolVersion")),
    case(
        "plain-text",
        Plain,
        Refused("ended the connection in the handshake: does it speak TLS at this port?"),
    ),
    Case { scheme: "mqtt", ..case("tls-to-plain", Shows(GOOD), Refused("the network connection ended")) },
    case("leaves", Leaves, Refused("ended the connection in the handshake")),
    case("silent", Silent, Refused(" within 10s")),
    case("asks", Has(ASKS), LetIn),
    showing(
        case(
            "asks-and-gets-none",
            Has(ASKS),
            Refused("CertificateRequired: the hub asks for a certificate, and none is set ([hub] cert)"),
        ),
        None,
    ),
];

/// Certificates of the gateway at a hub that asks for one.
pub(crate) const CASES_OF_OWN: [Case; 6] = [
    showing(
        case("own-of-another", Has(ASKS), Refused("UnknownCA: the hub refuses the certificate in ")),
        Some(Certificate { by: "stranger", ..GOOD }),
    ),
    showing(
        case("own-with-intermediate", Has(ASKS), LetIn),
        Some(Certificate { by: "line", behind: &["line"], ..GOOD }),
    ),
    showing(
        case(
            "own-without-intermediate",
            Has(ASKS),
            Refused("UnknownCA: the hub refuses the certificate in "),
        ),
        Some(Certificate { by: "line", ..GOOD }),
    ),
    showing(
        case("own-expired", Has(ASKS), Refused("CertificateExpired: the hub refuses the certificate in ")),
        Some(Certificate { days: (-20, -10), ..GOOD }),
    ),
    showing(
        case(
            "own-for-servers",
            Has(ASKS),
            Refused("UnsupportedCertificate: the hub refuses the certificate in "),
        ),
        Some(Certificate { usage: Usage::Servers, ..GOOD }),
    ),
    showing(
        case(
            "own-revoked",
            Has(ASKS_LISTS),
            Refused("CertificateRevoked: the hub refuses the certificate in "),
        ),
        Some(Certificate { serial: REVOKED, ..GOOD }),
    ),
];
