//! Hostile bytes: random, mutated and cut packets are survived.

use bytes::Bytes;

use crate::random::Rng;
use crate::wire_support::any_bytes::swallow;
use crate::wire_support::*;

#[test]
fn random_bytes_are_survived() {
    let mut rng = Rng::new(seed());
    let cases = budget(2_000_000);
    for _ in 0..cases {
        let len = rng.index(40);
        let mut bytes: Vec<u8> = (0..len).map(|_| rng.next() as u8).collect();
        // Half of them with a fixed header that fits, so that the bodies are reached.
        if len >= 2 && rng.index(2) == 0 {
            bytes[1] = (len - 2) as u8;
        }
        for version in BOTH {
            swallow(&bytes, version);
        }
    }
    println!("executed wire random bytes: {cases} cases");
}

#[test]
fn mutated_packets_are_survived() {
    let mut rng = Rng::new(seed());
    let cases = budget(2_000_000);
    let mut survivors = 0;
    for version in BOTH {
        let all: Vec<Bytes> = samples(version).iter().map(|p| encoded(p, version)).collect();
        for _ in 0..cases / 2 {
            let mut bytes = all[rng.index(all.len())].to_vec();
            for _ in 0..=rng.index(3) {
                let at = rng.index(bytes.len());
                match rng.index(5) {
                    0 => bytes[at] = rng.next() as u8,
                    1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][rng.index(5)],
                    2 => bytes.insert(at, rng.next() as u8),
                    3 if bytes.len() > 2 => drop(bytes.remove(at)),
                    _ => {
                        let other = &all[rng.index(all.len())];
                        bytes.extend_from_slice(&other[..rng.index(other.len())]);
                    }
                }
            }
            // Mostly with the length set right again.
            if rng.index(4) > 0 && (2..130).contains(&bytes.len()) {
                bytes[1] = (bytes.len() - 2) as u8;
            }
            survivors += swallow(&bytes, version);
        }
    }
    assert!(
        survivors > cases as usize / 20,
        "the mutations are so wild that nothing behind the first check is met"
    );
    println!("executed wire mutated packets: {cases} cases");
}

#[test]
fn every_truncation_and_every_bit_flip_is_survived() {
    let mut cases = 0;
    for version in BOTH {
        for packet in samples(version) {
            let bytes = encoded(&packet, version);
            for cut in 0..bytes.len() {
                assert_eq!(decoded(&bytes[..cut], version), Ok(None), "a part of a packet is not a packet");
                // With the length made to fit: an error, or another packet, but no panic.
                if cut >= 2 && bytes[1] < 0x80 {
                    let mut short = bytes[..cut].to_vec();
                    short[1] = (cut - 2) as u8;
                    swallow(&short, version);
                    cases += 1;
                }
            }
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes.to_vec();
                flipped[bit / 8] ^= 1 << (bit % 8);
                swallow(&flipped, version);
            }
            cases += bytes.len() * 9;
        }
    }
    println!("executed wire truncations and bit flips: {cases} cases");
}
