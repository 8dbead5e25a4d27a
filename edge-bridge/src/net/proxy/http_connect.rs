//! HTTP CONNECT (RFC 9110 §9.3.6): the request for a tunnel, and the parser of the answer's head, without a socket.

#![deny(clippy::indexing_slicing)]

/// Most bytes of an answer's head, including interim answers (1xx).
pub(super) const HEAD_MAX: usize = 8 * 1024;

/// Begin of every answer, HTTP/1.0 or HTTP/1.1.
const VERSION: &[u8] = b"HTTP/1.";

/// Returns the request for a tunnel to `authority`, which is `HOST:PORT`.
pub(super) fn request(authority: &str, authorization: Option<&str>) -> String {
    let login = authorization.map_or_else(String::new, |login| format!("Proxy-Authorization: {login}\r\n"));
    format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{login}\r\n")
}

/// Head of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: u16,
    /// Set if the proxy offers logins, and Basic is not among them.
    pub(super) refuses_basic: bool,
}

/// Error of an answer without a valid head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeadError {
    NotHttp,
    TooLong,
}

/// Parser of an answer's head, which may come in pieces.
#[derive(Debug, Default)]
pub(super) struct HeadReader {
    bytes: Vec<u8>,
    line_start: usize,
    /// Number of bytes of interim answers (1xx) that were skipped.
    passed: usize,
}

impl HeadReader {
    /// Parses further bytes. Returns how many of them belong to the head, and the head if it ends with them; bytes behind it belong to the
    /// tunnel.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<(usize, Option<Head>), HeadError> {
        for (index, byte) in bytes.iter().enumerate() {
            if VERSION.get(self.bytes.len()).is_some_and(|expected| expected != byte) {
                return Err(HeadError::NotHttp);
            }
            if self.passed + self.bytes.len() >= HEAD_MAX {
                return Err(HeadError::TooLong);
            }
            self.bytes.push(*byte);
            if *byte != b'\n' {
                continue;
            }
            let line = self.bytes.get(self.line_start..).unwrap_or_default();
            let is_end = matches!(line, b"\n" | b"\r\n");
            self.line_start = self.bytes.len();
            if !is_end {
                continue;
            }
            let head = head(&self.bytes).ok_or(HeadError::NotHttp)?;
            // An interim answer: another one follows. 101 would be another protocol, which nobody asked for.
            if matches!(head.status, 100 | 102..200) {
                self.passed += self.bytes.len();
                self.bytes.clear();
                self.line_start = 0;
                continue;
            }
            return Ok((index + 1, Some(head)));
        }
        Ok((bytes.len(), None))
    }
}

fn head(bytes: &[u8]) -> Option<Head> {
    let mut lines = bytes.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let status = status(lines.next()?)?;
    let offers: Vec<bool> = lines.filter_map(offers_basic).collect();
    Some(Head { status, refuses_basic: !offers.is_empty() && !offers.contains(&true) })
}

/// Returns the status of a line such as `HTTP/1.1 200 Connection established`, in which the reason phrase may be missing.
fn status(line: &[u8]) -> Option<u16> {
    let mut words = line.split(|byte| *byte == b' ');
    let minor = words.next()?.strip_prefix(VERSION)?;
    let digits = words.next()?;
    let is_digits = |text: &[u8], length| text.len() == length && text.iter().all(u8::is_ascii_digit);
    if !is_digits(minor, 1) || !is_digits(digits, 3) {
        return None;
    }
    let status = digits.iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0'));
    (100..600).contains(&status).then_some(status)
}

/// Returns whether a line such as `Proxy-Authenticate: Negotiate, Basic realm="plant"` offers Basic; `None` for other lines.
fn offers_basic(line: &[u8]) -> Option<bool> {
    let (name, value) = std::str::from_utf8(line).ok()?.split_once(':')?;
    let is_basic = |challenge: &str| {
        challenge.split_whitespace().next().is_some_and(|scheme| scheme.eq_ignore_ascii_case("basic"))
    };
    name.eq_ignore_ascii_case("proxy-authenticate").then(|| value.split(',').any(is_basic))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRANTED: Head = Head { status: 200, refuses_basic: false };

    fn whole(answer: &[u8]) -> Result<(usize, Option<Head>), HeadError> {
        HeadReader::default().read(answer)
    }

    #[test]
    fn the_request_names_the_host_as_it_is_and_the_login() {
        assert_eq!(request("hub:8883", None), "CONNECT hub:8883 HTTP/1.1\r\nHost: hub:8883\r\n\r\n");
        assert_eq!(
            request("[::1]:1", Some("Basic eDp5")),
            "CONNECT [::1]:1 HTTP/1.1\r\nHost: [::1]:1\r\nProxy-Authorization: Basic eDp5\r\n\r\n"
        );
    }

    #[test]
    fn heads_are_read_in_whatever_pieces_and_end_where_the_tunnel_begins() {
        for head in [
            "HTTP/1.1 200 Connection established\r\n\r\n",
            "HTTP/1.0 200\r\nVia: 1.1 proxy\r\n\r\n",
            "HTTP/1.1 200 OK\n\n",
            "HTTP/1.1 100 Continue\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n",
        ] {
            let answer = format!("{head}tunnel\n\n");
            assert_eq!(whole(answer.as_bytes()), Ok((head.len(), Some(GRANTED))), "{head}");
            for cut in 0..head.len() {
                let mut reader = HeadReader::default();
                let (first, second) = answer.as_bytes().split_at(cut);
                assert_eq!(reader.read(first), Ok((cut, None)), "{head}");
                assert_eq!(reader.read(second), Ok((head.len() - cut, Some(GRANTED))), "{head}");
            }
        }
    }

    #[test]
    fn what_is_no_answer_is_found_with_its_first_wrong_byte() {
        for (answer, wrong) in [("SSH-2.0-OpenSSH", 1), ("HTTP/2 200\r\n\r\n", 6), ("\u{20}\u{2}\0\0", 1)] {
            let (good, bad) = answer.as_bytes().split_at(wrong - 1);
            let mut reader = HeadReader::default();
            assert_eq!(reader.read(good), Ok((good.len(), None)), "{answer}");
            assert_eq!(reader.read(bad), Err(HeadError::NotHttp), "{answer}");
        }
        for answer in [
            "HTTP/1.1 20\r\n\r\n",
            "HTTP/1.1  200 OK\r\n\r\n",
            "HTTP/1.x 200\r\n\r\n",
            "HTTP/1.1 999\r\n\r\n",
            "HTTP/1.1\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
        ] {
            assert_eq!(whole(answer.as_bytes()), Err(HeadError::NotHttp), "{answer}");
        }
    }

    #[test]
    fn a_head_has_its_limit_interim_answers_included() {
        let head = |length: usize| {
            let frame = "HTTP/1.1 200 OK\r\nX: \r\n\r\n".len();
            format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(length - frame))
        };
        assert_eq!(whole(head(HEAD_MAX).as_bytes()), Ok((HEAD_MAX, Some(GRANTED))));
        assert_eq!(whole(head(HEAD_MAX + 1).as_bytes()), Err(HeadError::TooLong));
        let interim = "HTTP/1.1 100 Continue\r\n\r\n";
        assert_eq!(whole(interim.repeat(HEAD_MAX).as_bytes()), Err(HeadError::TooLong));
        let mut reader = HeadReader::default();
        assert_eq!(reader.read(interim.repeat(3).as_bytes()), Ok((3 * interim.len(), None)));
    }

    #[test]
    fn a_login_other_than_basic_is_told_from_it() {
        for (lines, refuses_basic) in [
            ("Proxy-Authenticate: Basic realm=\"plant\"\r\n", false),
            ("proxy-authenticate:basic\r\n", false),
            ("Proxy-Authenticate: NTLM\r\nProxy-Authenticate: Negotiate, BASIC realm=\"x\"\r\n", false),
            ("Proxy-Authenticate: Negotiate\r\nX: Basic\r\n", true),
            ("WWW-Authenticate: Negotiate\r\n", false),
            ("\u{e4}: Basic\r\n", false),
            ("", false),
        ] {
            let answer = format!("HTTP/1.1 407 No\r\n{lines}\r\n");
            let head = Head { status: 407, refuses_basic };
            assert_eq!(whole(answer.as_bytes()), Ok((answer.len(), Some(head))), "{lines}");
        }
    }
}
