//! The exchange on the page of the protocol, word by word: the example answers so, and the bridge asks so and takes these answers.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;

use edge_bridge::net::Tls;

use crate::example::Key;
use crate::site::Site;

const PAGE: &str = include_str!("../../../docs/reference/signer.md");

/// Bytes in the lines of the page that begin with this word.
fn lines(word: &str) -> Vec<Vec<u8>> {
    let byte = |hex: &str| u8::from_str_radix(hex, 16).unwrap();
    let found = PAGE.lines().filter_map(|line| line.strip_prefix(word));
    found.map(|line| line.split_whitespace().map(byte).collect()).collect()
}

/// The private key on the page.
fn key() -> String {
    let begin = PAGE.find("-----BEGIN").unwrap();
    let end = PAGE.find("-----END PRIVATE KEY-----").unwrap();
    format!("{}-----END PRIVATE KEY-----\n", &PAGE[begin..end])
}

#[test]
fn the_example_answers_as_the_page_does() {
    let site = Site::new();
    site.sign("site7", &key());
    let signer = Key::load(&site.path("site7.key")).unwrap();
    let (requests, answers) = (lines("request:"), lines("answer:"));
    assert_eq!((requests.len(), answers.len()), (3, 3));
    for (request, answer) in requests.into_iter().zip(answers) {
        let (head, message) = request.split_first_chunk().unwrap();
        let given = signer.answer(*head, message);
        assert!(given == answer, "{head:?}: {}", String::from_utf8_lossy(&given));
    }
}

#[test]
fn the_bridge_asks_and_takes_an_answer_as_on_the_page() {
    let site = Site::new();
    site.sign("site7", &key());
    let listener = UnixListener::bind(site.path("s")).unwrap();
    let serving = std::thread::spawn(move || {
        let (mut caller, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        caller.read_to_end(&mut request).unwrap();
        assert!(request == lines("request:")[0]);
        caller.write_all(&lines("answer:")[0]).unwrap();
    });
    let tls = Tls::from_pem(site.path("ca.crt"), site.path("site7.crt"), site.remote("s")).unwrap();
    tls.check_signer().unwrap();
    serving.join().unwrap();
}
