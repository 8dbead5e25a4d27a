//! Tests of the two algorithms: whichever new files have here, a file of the other is opened, by its check value.
#![allow(clippy::unwrap_used, reason = "test code")]

use super::cipher::Algorithm;
use super::*;
use crate::store::ring::frame::Kind;
use crate::store::ring::frame::tests::sample;

const GATEWAY: u64 = 0x1d;

fn key() -> Key {
    Key::new([7; 32])
}

fn cipher(algorithm: Algorithm) -> FrameCipher {
    FrameCipher::with(algorithm, &key(), GATEWAY).unwrap()
}

fn head() -> Head {
    Head { kind: Kind::Records, encrypted: true, ..sample() }
}

fn encrypted(cipher: &FrameCipher, body: &[u8]) -> (Head, Vec<u8>) {
    let mut body = body.to_vec();
    cipher.encrypt(&head(), &mut body).unwrap();
    (head().with_body(body.len()), body)
}

#[test]
fn the_check_value_tells_algorithm_and_key() {
    for algorithm in Algorithm::ALL {
        let check = *cipher(algorithm).check();
        for len in [0, 1, 15, 16, 17, 250, 4_000, 70_000] {
            let body: Vec<u8> = (0..len).map(|n| n as u8).collect();
            let (head, mut written) = encrypted(&cipher(algorithm), &body);
            assert_eq!(written.len(), len + EXTRA);
            let found = unlock(Some(&check), GATEWAY, Some(&key())).unwrap().unwrap();
            assert!(found.decrypt(&head, &mut written) && written == body, "{algorithm:?}, {len} bytes");
        }
        assert!(matches!(unlock(Some(&check), GATEWAY, Some(&Key::new([8; 32]))), Err(OpenError::WrongKey)));
        assert!(matches!(unlock(Some(&check), GATEWAY + 1, Some(&key())), Err(OpenError::WrongKey)));
    }
}

#[test]
fn neither_opens_a_frame_of_the_other() {
    for [writer, reader] in [[0, 1], [1, 0]].map(|pair| pair.map(|n: usize| cipher(Algorithm::ALL[n]))) {
        assert_ne!(writer.check(), reader.check());
        let (head, mut written) = encrypted(&writer, b"temperature");
        assert!(!reader.decrypt(&head, &mut written));
    }
}

/// Keys and check values as docs/queue-format.md derives them, from another implementation of HMAC-SHA-256.
#[test]
fn the_check_values_are_those_of_the_format() {
    let known = [
        (Algorithm::Aes256Gcm, "72a6e7c0a502d3dd3edfc16f4ab90a3d"),
        (Algorithm::ChaCha20Poly1305, "65c90f9496b026598b66fdbb3cccf8e4"),
    ];
    for (algorithm, check) in known {
        let hex: String = cipher(algorithm).check().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, check, "{algorithm:?}");
    }
}
