//! Encryption at rest of the ring: no byte of a row stands in the file or in `bad/`, a wrong or missing key touches nothing, and what somebody
//! else wrote or moved is damage. Power cuts and wrong bytes: `crash.rs`, `lives.rs`, `ring_damage.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

#[path = "common/ring_image.rs"]
mod ring_image;

use std::collections::BTreeSet;

use edge_queue::inspect::{InspectError, Inspection, salvage, salvage_encrypted};
use edge_queue::medium::Dir;
use edge_queue::store::{Options, RingStore, StoredRow};
use edge_queue::testing::{SimDir, budget_percent};
use edge_queue::transfer::{Item, Stream};
use edge_queue::{Key, OpenError};

use ring_image::{
    FILE, FILE_BYTES, Image, PAGE, SEGMENT, SEGMENTS_AT, commit, dir_with, key, open_encrypted, options,
    plain, read, row,
};

/// Pages of the file that begin a frame, with the frame's kind (1 snapshot, 2 records).
fn frames(bytes: &[u8]) -> Vec<(usize, u8)> {
    let pages = bytes.chunks(PAGE).enumerate().skip(2);
    pages.filter(|(_, page)| page.starts_with(b"EDGF")).map(|(n, page)| (n, page[5])).collect()
}

/// Makes the checksums of a frame of one page good, as whoever has the disk can.
fn mend(page: &mut [u8]) {
    let body = crc32c::crc32c_append(crc32c::crc32c(&page[..124]), &page[136..]);
    page[124..128].copy_from_slice(&body.to_le_bytes());
    let head = crc32c::crc32c(&page[..128]);
    page[128..132].copy_from_slice(&head.to_le_bytes());
}

fn content(dir: &SimDir) -> Vec<(String, Option<Vec<u8>>)> {
    dir.names().into_iter().map(|name| (name.clone(), dir.content(&name))).collect()
}

fn reopen(dir: &SimDir, options: &Options, key: &Key) -> Result<RingStore, OpenError> {
    RingStore::open_encrypted(Box::new(dir.clone()), options, key).map(|(store, _)| store)
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

#[test]
fn no_byte_of_a_row_stands_in_the_file_or_in_what_is_set_aside() {
    let secret = |seq: u64| {
        let payload = format!("temperature of line {seq} is secret ").repeat(if seq.is_multiple_of(9) {
            300
        } else {
            3
        });
        StoredRow { key: "secret/key".into(), meta: "secret meta".into(), ..row(seq, payload.into_bytes()) }
    };
    let written = |open: &dyn Fn(&SimDir) -> RingStore| {
        let dir = SimDir::new();
        let mut store = open(&dir);
        let mut state = edge_queue::store::State::new(options().gateway, 1);
        state.epoch = 1;
        for commits in [1..=1, 2..=2, 3..=9, 10..=30] {
            commit(&mut store, &mut state, &commits.map(secret).collect::<Vec<_>>());
        }
        dir
    };
    let leaks = |dir: &SimDir| {
        let told =
            dir.names().into_iter().filter(|name| dir.content(name).is_some_and(|b| contains(&b, b"secret")));
        told.collect::<Vec<_>>()
    };
    let open_plain = |dir: &SimDir| ring_image::open(dir).0;
    assert_eq!(leaks(&written(&open_plain)), [FILE], "the search finds them in a file that is not encrypted");
    let dir = written(&|dir| open_encrypted(dir).0);
    assert_eq!(leaks(&dir), [""; 0]);
    let (mut store, found) = open_encrypted(&dir);
    assert!(read(&mut store).0 == (1..=30).map(secret).collect::<Vec<_>>() && found.damage.is_empty());
    drop(store);
    // The newest frames are damaged, then all of them, and copied to `bad/`.
    for (page, _) in frames(&dir.content(FILE).unwrap()).into_iter().filter(|(_, kind)| *kind == 2) {
        assert!(dir.damage(FILE, (page * PAGE + 1000) as u64, &[0x5a; 4]));
    }
    let (mut store, _) = open_encrypted(&dir);
    assert!(read(&mut store).1 > 0);
    assert!(dir.names().iter().any(|name| name.starts_with("bad/")), "{:?}", dir.names());
    assert_eq!(leaks(&dir), [""; 0]);
}

#[test]
fn each_header_says_version_2_which_a_reader_of_version_1_refuses() {
    let (plain, encrypted) = (Image::new(true), Image::encrypted(true));
    for (image, version) in [(&plain, 1), (&encrypted, 2)] {
        for at in [0, PAGE] {
            assert_eq!(u16::from_le_bytes([image.bytes[at + 8], image.bytes[at + 9]]), version);
        }
        let pages = frames(&image.bytes);
        assert!(
            pages.len() > 20 && pages.iter().all(|(n, _)| u16::from(image.bytes[n * PAGE + 4]) == version)
        );
    }
    assert!(encrypted.rows == plain.rows);
}

#[test]
fn a_wrong_or_missing_key_and_one_too_many_leave_everything_as_it_is() {
    let (other, unlocked) = (Key::new([1; 32]), |dir: &SimDir| reopen(dir, &options(), &key()).map(drop));
    let large = Options { lane_bytes: [256 * 1024; 4].into(), ..options() };
    let open = |dir: &SimDir, options: &Options, key: Option<&Key>| match key {
        None => RingStore::open(Box::new(dir.clone()), options).map(drop),
        Some(key) => reopen(dir, options, key).map(drop),
    };
    for closed in [true, false] {
        let (encrypted, plain) = (Image::encrypted(closed), Image::new(closed));
        let lost = [&[][..], &[0], &[PAGE], &[0, PAGE]];
        for (damaged, options) in lost.into_iter().flat_map(|lost| [(lost, options()), (lost, large)]) {
            let hurt = |image: &Image| {
                let dir = image.copy();
                dir.create("queue.ring.new").unwrap().write_at(0, b"left behind").unwrap();
                damaged.iter().for_each(|at| assert!(dir.damage(FILE, *at as u64, &[0x33; 600])));
                dir
            };
            let refused = |image: &Image, key: Option<&Key>| {
                let dir = hurt(image);
                let before = content(&dir);
                let error = open(&dir, &options, key).unwrap_err();
                assert!(content(&dir) == before, "{closed} {damaged:?}: {error}");
                error
            };
            assert!(matches!(refused(&encrypted, None), OpenError::KeyMissing));
            assert!(matches!(refused(&encrypted, Some(&other)), OpenError::WrongKey));
            let error = refused(&plain, Some(&other));
            assert!(matches!(error, OpenError::NotEncrypted));
            assert!(error.to_string().contains("`edge-queue export` and `import`"));
            unlocked(&hurt(&encrypted)).unwrap();
        }
    }
}

#[test]
fn without_superblocks_an_encrypted_ring_is_found_again_by_its_key() {
    let image = Image::encrypted(true);
    let dir = image.with(0, &[0x33; SEGMENTS_AT]);
    let (mut store, found) = open_encrypted(&dir);
    assert!(read(&mut store).0 == image.rows && found.state.gateway == options().gateway);
    drop(store);
    assert!(matches!(
        RingStore::open(Box::new(dir.clone()), &options()).map(drop),
        Err(OpenError::KeyMissing)
    ));
    assert!(reopen(&dir, &options(), &key()).is_ok());
}

/// The first frame of rows that a page holds alone, and the rows in it.
fn first_single(image: &Image, from: usize) -> usize {
    let single = |n: &usize| image.bytes[n * PAGE + 8] == 1 && image.bytes[n * PAGE + 80] > 1;
    let records = frames(&image.bytes).into_iter().filter(|(_, kind)| *kind == 2).map(|(n, _)| n);
    records.filter(|n| *n >= from).find(single).unwrap()
}

#[test]
fn a_changed_moved_or_invented_frame_with_good_checksums_is_damage() {
    let image = Image::encrypted(true);
    let page = first_single(&image, 2 + SEGMENT / PAGE);
    let whole = image.bytes[page * PAGE..][..PAGE].to_vec();
    type Change = fn(&mut [u8]);
    let changes: [(&str, Change); 7] = [
        ("ciphertext", |page| page[200] ^= 1),
        ("number of rows", |page| page[80] -= 1),
        ("first row", |page| page[64] += 1),
        ("close mark", |page| page[7] ^= 1),
        ("flag of no meaning", |page| page[7] ^= 0x40),
        ("synced commit", |page| page[112] ^= 1),
        ("version", |page| page[4] = 1),
    ];
    for (what, change) in changes {
        let mut bad = whole.clone();
        change(&mut bad);
        mend(&mut bad);
        let dir = image.with(page * PAGE, &bad);
        let verdict =
            image.judge(&dir, |seq| image.touches(page, seq)).unwrap_or_else(|e| panic!("{what}: {e}"));
        // The flag is in no field that a reader knows: the frame opens, since nothing that counts was changed.
        assert_eq!(verdict.missing > 0, what != "flag of no meaning", "{what}: {verdict:?}");
        image.goes_on(&dir).unwrap_or_else(|e| panic!("{what}: {e}"));
    }
    // To a fresh page of another slot, by a header that says so: the body does not open there.
    let (slot, count) = (4, image.rows.len());
    let mut moved = whole.clone();
    moved[12..16].copy_from_slice(&(slot as u32).to_le_bytes());
    mend(&mut moved);
    let dir = image.with(SEGMENTS_AT + slot * SEGMENT, &moved);
    let (mut store, _) = open_encrypted(&dir);
    assert_eq!(read(&mut store).0.len(), count);
}

#[test]
fn what_does_not_open_with_the_key_is_told_from_what_is_damaged() {
    let image = Image::encrypted(true);
    let (mut unopened, mut damaged) = (0, 0);
    let records =
        frames(&image.bytes).into_iter().filter(|(n, kind)| *kind == 2 && image.bytes[n * PAGE + 8] == 1);
    for (n, _) in records {
        let mut page = image.bytes[n * PAGE..][..PAGE].to_vec();
        page[140] ^= 1;
        let told = |page: &[u8]| open_encrypted(&image.with(n * PAGE, page)).1.damage.join("\n");
        let of_damage = told(&page);
        mend(&mut page);
        let of_change = told(&page);
        assert!(
            !of_damage.contains("does not open") && !of_change.contains("is damaged"),
            "{of_damage}; {of_change}"
        );
        damaged += usize::from(of_damage.contains("is damaged"));
        unopened += usize::from(of_change.contains("does not open with this key"));
    }
    assert!(damaged > 3 && damaged == unopened, "{damaged} damaged, {unopened} that do not open");
}

#[test]
fn no_two_writes_of_a_frame_have_one_nonce() {
    let (dir, mut nonces, mut written) = (SimDir::new(), BTreeSet::new(), 0);
    let mut seen = vec![0; FILE_BYTES];
    for life in 0..3 {
        let (mut store, found) = open_encrypted(&dir);
        let (mut state, first) = (found.state, found.highest_seq[0] + 1);
        for seq in first..first + 12 + life {
            commit(&mut store, &mut state, &[row(seq, vec![seq as u8; 40])]);
            let now = dir.content(FILE).unwrap();
            for (n, kind) in frames(&now) {
                let page = &now[n * PAGE..][..PAGE];
                if kind == 2 && page != &seen[n * PAGE..][..PAGE] {
                    let len = u32::from_le_bytes(page[84..88].try_into().unwrap()) as usize;
                    nonces.insert(page[136 + len - 12..136 + len].to_vec());
                    written += 1;
                }
            }
            seen = now;
        }
    }
    // An open after a kill copies the last frame as it is.
    assert!(written >= 36 && nonces.len() + 2 >= written, "{} nonces of {written} writes", nonces.len());
    let (mut store, _) = open_encrypted(&dir);
    assert_eq!(read(&mut store).0.len(), 39);
}

#[test]
fn an_encrypted_ring_with_other_limits_keeps_its_rows_and_its_key() {
    let image = Image::encrypted(false);
    let larger = Options { lane_bytes: [256 * 1024; 4].into(), ..options() };
    let dir = image.copy();
    let mut store = reopen(&dir, &larger, &key()).unwrap();
    // Without the two in between that are acknowledged.
    let wanted: Vec<_> = image.rows.iter().filter(|row| !(12..=13).contains(&row.seq)).cloned().collect();
    assert!(read(&mut store).0 == wanted);
    drop(store);
    let bytes = dir.content(FILE).unwrap();
    assert!(bytes.len() > FILE_BYTES && frames(&bytes).iter().all(|(n, _)| bytes[n * PAGE + 4] == 2));
    assert!(matches!(reopen(&dir, &larger, &Key::new([2; 32])).map(drop), Err(OpenError::WrongKey)));
    assert!(read(&mut reopen(&dir, &larger, &key()).unwrap()).0 == wanted);
}

/// Rows of every size up to the largest, in commits of every number, fill their lane and come back.
#[test]
fn rows_of_every_size_find_the_room_that_is_promised() {
    let options = Options { lane_bytes: [512 * 1024; 4].into(), ..options() };
    for len in
        (0..8_100).step_by(usize::try_from(9_000 / budget_percent()).unwrap().clamp(37, 911)).chain([8_190])
    {
        let dir = SimDir::new();
        let (mut store, found) = RingStore::open_encrypted(Box::new(dir.clone()), &options, &key()).unwrap();
        let (mut state, mut next) = (found.state, 1);
        for count in [1, 2, 5, 9, 1, 1, 14, 3] {
            let rows: Vec<_> = (next..next + count).map(|seq| row(seq, vec![seq as u8; len])).collect();
            next += count;
            commit(&mut store, &mut state, &rows);
        }
        drop(store);
        let rows = read(&mut reopen(&dir, &options, &key()).unwrap()).0;
        assert!(rows == (1..next).map(|seq| row(seq, vec![seq as u8; len])).collect::<Vec<_>>(), "{len}");
    }
}

fn stream_rows(bytes: &[u8]) -> usize {
    let (mut stream, mut rows) = (Stream::new(bytes), 0);
    while let Some(item) = stream.next_item().unwrap() {
        rows += usize::from(matches!(item, Item::Row(_)));
    }
    rows
}

#[test]
fn an_inspection_and_a_salvage_need_the_key_and_write_plain_streams() {
    let image = Image::encrypted(true);
    let boxed = |dir: &SimDir| Box::new(dir.clone());
    let mut found = Inspection::open_encrypted(boxed(&image.copy()), &key()).unwrap();
    assert!(found.is_whole() && found.format() == 2);
    let mut stream = Vec::new();
    found.export(&mut stream).unwrap();
    assert_eq!(stream_rows(&stream), image.rows.len() - 2, "two are acknowledged");
    assert!(contains(&stream, &[plain(99).payload[0]; 100]), "a stream is not encrypted");
    let refused = |result: Result<(), InspectError>| match result {
        Err(InspectError::Open(error)) => error,
        other => panic!("{other:?}"),
    };
    // Superblocks and every snapshot gone: each page is searched.
    let wrecked = |image: &Image| {
        let dir = image.with(0, &[0x33; SEGMENTS_AT]);
        let snapshots = frames(&image.bytes).into_iter().filter(|(_, kind)| *kind == 1);
        snapshots.for_each(|(n, _)| assert!(dir.damage(FILE, (n * PAGE) as u64, &[0x33; PAGE])));
        dir
    };
    for (dir, searched) in [(image.copy(), false), (wrecked(&image), true)] {
        let mut stream = Vec::new();
        let salvaged = salvage_encrypted(boxed(&dir), &key(), &mut stream).unwrap();
        assert_eq!(salvaged.searched, searched);
        assert!(stream_rows(&stream) >= image.rows.len() - 2);
        let (other, mut nothing) = (Key::new([3; 32]), Vec::new());
        let wrong = salvage_encrypted(boxed(&dir), &other, &mut nothing).map(drop);
        assert!(matches!(refused(wrong), OpenError::WrongKey));
        assert!(matches!(refused(salvage(boxed(&dir), &mut nothing).map(drop)), OpenError::KeyMissing));
        assert!(nothing.is_empty());
    }
    let unencrypted = Image::new(true);
    for dir in [unencrypted.copy(), wrecked(&unencrypted)] {
        let refusal = refused(salvage_encrypted(boxed(&dir), &key(), &mut Vec::new()).map(drop));
        assert!(matches!(refusal, OpenError::NotEncrypted));
    }
    let refusal = refused(Inspection::open_in(boxed(&image.copy())).map(drop));
    assert!(matches!(refusal, OpenError::KeyMissing));
}

/// Nothing of it can be used: it is set aside whole, and the new one is encrypted.
#[test]
fn a_file_of_nothing_is_set_aside_and_an_encrypted_one_made() {
    let dir = dir_with(FILE, &vec![0x33; FILE_BYTES]);
    drop(open_encrypted(&dir));
    assert!(dir.names().contains(&"bad/queue.ring.1".to_owned()));
    assert!(matches!(
        RingStore::open(Box::new(dir.clone()), &options()).map(drop),
        Err(OpenError::KeyMissing)
    ));
}
