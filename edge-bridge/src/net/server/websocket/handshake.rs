//! Opening handshake (RFC 6455 §4.2): checks a request's head and makes the answer.

use std::fmt;

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use super::Origins;
use crate::base64;
use crate::escape::Escaped;

/// Most bytes of a request's head.
pub(super) const HEAD_MAX: usize = 8 * 1024;
/// Most fields of a head.
const FIELDS_MAX: usize = 64;
/// GUID that the accept key is computed with (RFC 6455 §1.3).
const SALT: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Name of MQTT's subprotocol, of every version (MQTT 5 §6).
const SUBPROTOCOL: &str = "mqtt";
/// Name of the one of MQTT 3.1, which clients of that version offer alone.
const SUBPROTOCOL_3_1: &str = "mqttv3.1";

/// Reason why a client's WebSocket is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The head is not a request of HTTP/1.1, or more bytes came than the head.
    Malformed,
    /// The request does not ask for an upgrade to WebSocket.
    NoUpgrade,
    /// Head has too many bytes or fields.
    TooLarge,
    /// The request has another version of the WebSocket protocol.
    Version,
    /// The client does not offer the subprotocol `mqtt`.
    Subprotocol,
    /// The page is from an origin that is not allowed; contains the origin.
    Origin(String),
}

impl Refusal {
    /// Returns the HTTP answer to the refusal.
    pub(super) fn response(&self) -> String {
        let status = match self {
            Self::Malformed | Self::Subprotocol => "400 Bad Request",
            Self::NoUpgrade | Self::Version => {
                "426 Upgrade Required\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13"
            }
            Self::TooLarge => "431 Request Header Fields Too Large",
            Self::Origin(_) => "403 Forbidden",
        };
        format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("no request of HTTP/1.1 for a WebSocket"),
            Self::NoUpgrade => f.write_str("the request asks for no WebSocket"),
            Self::TooLarge => {
                write!(f, "the request has more than {HEAD_MAX} bytes or {FIELDS_MAX} header fields")
            }
            Self::Version => f.write_str("the version of WebSocket is not 13"),
            Self::Subprotocol => f.write_str("the client does not offer the subprotocol mqtt"),
            Self::Origin(origin) => write!(f, "not among ws_origins: \"{}\"", Escaped(origin)),
        }
    }
}

/// Returns the HTTP answer to a request's head. The head includes its empty line. `accept_mqtt_3_1`: the subprotocol of MQTT 3.1 is taken too.
pub(super) fn answer(head: &[u8], origins: &Origins, accept_mqtt_3_1: bool) -> Result<String, Refusal> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(head) {
        // A client waits for the answer before it goes on.
        Ok(httparse::Status::Complete(n)) if n == head.len() => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Refusal::TooLarge),
        _ => return Err(Refusal::Malformed),
    }
    if (request.method, request.version) != (Some("GET"), Some(1)) {
        return Err(Refusal::Malformed);
    }
    let fields = Fields(request.headers);
    // With a body a proxy before us could see the frames as the next request.
    if fields.values("Content-Length").chain(fields.values("Transfer-Encoding")).next().is_some() {
        return Err(Refusal::Malformed);
    }
    if !fields.has_token("Upgrade", "websocket") || !fields.has_token("Connection", "upgrade") {
        return Err(Refusal::NoUpgrade);
    }
    if fields.one("Sec-WebSocket-Version")? != Some("13") {
        return Err(Refusal::Version);
    }
    let host = fields.one("Host")?.ok_or(Refusal::Malformed)?;
    let key = fields.one("Sec-WebSocket-Key")?.filter(|key| is_key(key)).ok_or(Refusal::Malformed)?;
    let origin = fields.one("Origin")?;
    if !origins.allow(origin, host) {
        let shown = origin.unwrap_or_default().chars().take(100).collect();
        return Err(Refusal::Origin(shown));
    }
    let is_offered = |name: &&str| fields.tokens("Sec-WebSocket-Protocol").any(|offered| offered == *name);
    let older = accept_mqtt_3_1.then_some(SUBPROTOCOL_3_1);
    let protocol = [SUBPROTOCOL].into_iter().chain(older).find(is_offered).ok_or(Refusal::Subprotocol)?;
    let accept = base64::encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, [key, SALT].concat().as_bytes()).as_ref());
    Ok(format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: {protocol}\r\n\r\n"
    ))
}

/// Returns whether the key is base64 of 16 bytes.
fn is_key(key: &str) -> bool {
    let is_digit = |c: char| c.is_ascii_alphanumeric() || c == '+' || c == '/';
    key.len() == 24 && key.strip_suffix("==").is_some_and(|digits| digits.chars().all(is_digit))
}

/// Header fields of a request.
struct Fields<'a>(&'a [httparse::Header<'a>]);

impl<'a> Fields<'a> {
    fn values(&self, name: &str) -> impl Iterator<Item = Option<&'a str>> {
        self.0
            .iter()
            .filter(move |field| field.name.eq_ignore_ascii_case(name))
            .map(|field| std::str::from_utf8(field.value).ok().map(str::trim))
    }

    /// Returns the value of a field that may occur once; `None` if it is missing.
    fn one(&self, name: &str) -> Result<Option<&'a str>, Refusal> {
        let mut values = self.values(name);
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(Some(value)), None) => Ok(Some(value)),
            _ => Err(Refusal::Malformed),
        }
    }

    fn tokens(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.values(name).flatten().flat_map(|value| value.split(',')).map(str::trim)
    }

    fn has_token(&self, name: &str, token: &str) -> bool {
        self.tokens(name).any(|found| found.eq_ignore_ascii_case(token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &str = "GET /mqtt HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://server.example.com\r\nSec-WebSocket-Protocol: chat, mqtt\r\n\
        Sec-WebSocket-Version: 13\r\n\r\n";

    #[test]
    fn the_request_of_the_standard_gets_its_answer() {
        let answer = answer(REQUEST.as_bytes(), &Origins::default(), false).unwrap();
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        assert!(answer.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{answer}");
        assert!(answer.ends_with("\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"), "{answer}");
    }

    /// As mqtt.js does for version 3.
    #[test]
    fn the_subprotocol_of_mqtt_3_1_is_taken_where_that_version_is() {
        let request = REQUEST.replace("chat, mqtt", "mqttv3.1");
        let answered = |request: &str, accept_mqtt_3_1| {
            let answer = answer(request.as_bytes(), &Origins::default(), accept_mqtt_3_1)?;
            Ok(answer.rsplit(": ").next().map(|name| name.trim().to_owned()).unwrap_or_default())
        };
        assert_eq!(answered(&request, true), Ok("mqttv3.1".to_owned()));
        assert_eq!(answered(&request, false), Err(Refusal::Subprotocol));
        let both = request.replace("mqttv3.1", "mqttv3.1, mqtt");
        assert_eq!(answered(&both, true), Ok("mqtt".to_owned()));
    }

    #[test]
    fn what_is_not_in_order_is_refused_with_its_reason() {
        let many = "X: y\r\n".repeat(FIELDS_MAX);
        for (old, new, refusal) in [
            ("GET", "POST", Refusal::Malformed),
            ("HTTP/1.1", "HTTP/1.0", Refusal::Malformed),
            ("Host: server.example.com\r\n", "", Refusal::Malformed),
            ("Host: ", "Host: other\r\nHost: ", Refusal::Malformed),
            ("Host: ", "Content-Length: 10\r\nHost: ", Refusal::Malformed),
            ("Host: ", "Transfer-Encoding: chunked\r\nHost: ", Refusal::Malformed),
            ("Upgrade: websocket\r\n", "", Refusal::NoUpgrade),
            ("keep-alive, Upgrade", "keep-alive", Refusal::NoUpgrade),
            ("Version: 13", "Version: 8", Refusal::Version),
            ("Sec-WebSocket-Version: 13\r\n", "", Refusal::Version),
            ("chat, mqtt", "chat, mqttx", Refusal::Subprotocol),
            ("Sec-WebSocket-Protocol: chat, mqtt\r\n", "", Refusal::Subprotocol),
            ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j", Refusal::Malformed),
            ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZ!==", Refusal::Malformed),
            (
                "http://server.example.com",
                "http://evil.example",
                Refusal::Origin("http://evil.example".to_owned()),
            ),
            ("Origin: ", "Origin: http://evil.example\r\nOrigin: ", Refusal::Malformed),
            ("\r\n\r\n", "\r\n\r\nmore", Refusal::Malformed),
            ("Host: ", &format!("{many}Host: "), Refusal::TooLarge),
        ] {
            let request = REQUEST.replacen(old, new, 1);
            assert_ne!(request, REQUEST);
            let refused = answer(request.as_bytes(), &Origins::default(), false);
            assert_eq!(refused, Err(refusal), "{old:?} -> {new:?}");
        }
    }
    /// In a log line no word of it can be read as another field.
    #[test]
    fn an_origin_stands_between_quotes() {
        let shown = Refusal::Origin("http://a address=\"1\" x=\u{9b}".to_owned()).to_string();
        assert_eq!(shown, "not among ws_origins: \"http://a address=\\\"1\\\" x=\\u{9b}\"");
    }
}
