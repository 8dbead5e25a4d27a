//! Opens damaged rings. Built with `panic = "abort"`: a panic anywhere, caught or not, ends the process.
//!
//! `abort-child STEP` tries every STEP-th byte; `abort-child panic` panics behind `catch_unwind`, as the negative control.
#![forbid(unsafe_code)]

#[path = "../../common/ring_image.rs"]
mod ring_image;

use ring_image::{FILE_BYTES, Image, PAGE};

fn main() {
    let argument = std::env::args().nth(1).unwrap_or_default();
    if argument == "panic" {
        let _caught = std::panic::catch_unwind(|| panic!("on purpose"));
        println!("survived a panic");
        return;
    }
    let step: usize = argument.parse().expect("a number of bytes");
    let image = Image::new(true);
    let mut cases = 0;
    for at in (0..FILE_BYTES).step_by(step) {
        for bytes in [&[image.bytes[at] ^ 1 << (at % 8)][..], &[0xff], &[0; PAGE][..(FILE_BYTES - at).min(PAGE)]] {
            let dir = image.with(at, bytes);
            let pages = at / PAGE..=((at + bytes.len() - 1) / PAGE);
            let verdict = image.judge(&dir, |seq| pages.clone().any(|page| image.touches(page, seq)));
            verdict.and_then(|_| image.goes_on(&dir)).unwrap_or_else(|e| panic!("byte {at}: {e}"));
            cases += 1;
        }
        image.judge(&image.cut(at), |_| true).unwrap_or_else(|e| panic!("cut at {at}: {e}"));
        cases += 1;
    }
    println!("{cases} cases");
}
