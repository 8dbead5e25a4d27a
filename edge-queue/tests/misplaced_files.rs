//! Promise 2 when whole files or pages are where they do not belong: missing, left over, another queue's, swapped, or from
//! an old copy.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

#[path = "common/queue_image.rs"]
mod queue_image;
#[path = "common/ring_image.rs"]
mod ring_image;

use edge_queue::medium::Dir;
use edge_queue::store::{Change, DoneRows, RingStore, State, Store};
use edge_queue::testing::SimDir;
use edge_queue::{Config, OpenError, Queue, Row, Seq, StoreKind};

use queue_image::{Kept, QueueImage, Survived};
use ring_image::{FILE, FILE_BYTES, Image, LANE, PAGE, SEGMENT, SEGMENTS_AT, commit, open, plain, read};

const KINDS: [StoreKind; 2] = [StoreKind::Ring, StoreKind::Redb];

fn put(dir: &SimDir, name: &str, content: &[u8]) {
    let mut file = dir.create(name).unwrap();
    file.write_at(0, content).unwrap();
    file.sync().unwrap();
    dir.sync().unwrap();
}

fn survives(image: &QueueImage, dir: &SimDir) -> Survived {
    image.survives(dir).unwrap_or_else(|e| panic!("{:?}: {e}", image.kind))
}

#[test]
fn missing_and_left_over_files_are_made_again_or_ignored() {
    for image in KINDS.map(QueueImage::new) {
        let half_made = format!("{}.new", image.file);
        // There may be files beside the store's own that nobody needs: the lock, the ballast, `bad/`.
        for name in image.copy().names() {
            let dir = image.copy();
            dir.remove(&name).unwrap();
            let kept = if name == image.file { Kept::Nothing } else { Kept::All };
            // Without its file the queue is a new one, and says nothing of rows it cannot know.
            if kept == Kept::All {
                assert_eq!(survives(&image, &dir).kept, kept, "without {name}");
            } else {
                let queue = queue_image::open(&dir, image.kind).unwrap();
                assert!(queue_image::drain(&queue).unwrap().is_empty());
            }
        }
        for garbage in
            [&b""[..], b"half a page of it", &image.bytes[..image.bytes.len() / 2], &[0xff; 3 * PAGE]]
        {
            let dir = image.copy();
            put(&dir, &half_made, garbage);
            put(&dir, "bad/something", garbage);
            assert_eq!(survives(&image, &dir).kept, Kept::All, "{half_made} of {} bytes", garbage.len());
        }
    }
}

#[test]
fn a_file_of_the_other_store_is_set_aside() {
    let [ring, redb] = KINDS.map(QueueImage::new);
    for (image, other) in [(&ring, &redb), (&redb, &ring)] {
        let dir = image.copy();
        put(&dir, image.file, &other.bytes);
        let survived = survives(image, &dir);
        assert_eq!((survived.kept, survived.file_set_aside, survived.told), (Kept::Nothing, true, true));
    }
}

#[test]
fn another_queues_file_is_that_queue() {
    for image in KINDS.map(QueueImage::new) {
        let other = QueueImage::new(image.kind);
        let dir = image.copy();
        put(&dir, image.file, &other.bytes);
        let (before, after) =
            (queue_image::open(&image.copy(), image.kind), queue_image::open(&dir, image.kind));
        assert_ne!(before.unwrap().gateway_id(), after.unwrap().gateway_id());
        assert_eq!(survives(&image, &dir).kept, Kept::All);
    }
}

#[test]
fn swapped_superblocks_cost_nothing() {
    let image = Image::new(true);
    let dir = image.with(0, &image.bytes[PAGE..2 * PAGE]);
    assert!(dir.damage(FILE, PAGE as u64, &image.bytes[..PAGE]));
    assert_eq!(image.judge(&dir, |_| false).unwrap().missing, 0);
    image.goes_on(&dir).unwrap();
}

#[test]
fn swapped_segments_are_lost_set_aside_and_reported() {
    let image = Image::new(true);
    let segment = |n: usize| &image.bytes[SEGMENTS_AT + n * SEGMENT..][..SEGMENT];
    for (one, other) in [(0, 1), (0, 4), (1, 2)] {
        let dir = image.with(SEGMENTS_AT + one * SEGMENT, segment(other));
        assert!(dir.damage(FILE, (SEGMENTS_AT + other * SEGMENT) as u64, segment(one)));
        let in_either = |seq| {
            [one, other].iter().any(|n| {
                let first = (SEGMENTS_AT + n * SEGMENT) / PAGE;
                (first..first + SEGMENT / PAGE).any(|page| image.touches(page, seq))
            })
        };
        let (mut store, found) = open(&dir);
        let (rows, lost, _) = read(&mut store);
        let missing = image.rows.iter().filter(|row| !rows.contains(row));
        assert!(missing.clone().all(|row| in_either(row.seq)), "{one} and {other}");
        let missing = missing.count() as u64;
        assert!(
            missing > 0 && found.damage.iter().any(|what| what.contains("pages of another place")),
            "{found:?}"
        );
        // Only what lay in the last segment leaves nothing behind that would count it.
        assert!(lost == missing || !found.clean, "{one} and {other}: {lost} of {missing}, {found:?}");
        drop(store);
        let copied = [one, other].iter().any(|n| dir.names().contains(&format!("bad/ring-segment{n}")));
        assert!(copied, "{:?}", dir.names());
        image.goes_on(&dir).unwrap();
    }
}

/// A page of an earlier state of the same file passes every check of its own: what it held meanwhile is a gap, and at the
/// very end a commit that never came.
#[test]
fn a_page_from_an_old_copy_costs_what_it_held_since() {
    let old = Image::new(true);
    let dir = old.copy();
    let (mut store, recovered) = open(&dir);
    let mut state = recovered.state;
    let mut next = old.last_seq() + 1;
    for size in [1, 2, 14, 1, 40, 14, 1] {
        commit(&mut store, &mut state, &(next..next + size).map(plain).collect::<Vec<_>>());
        next += size;
    }
    store.commit(&[Change::Closed], &state).unwrap();
    drop(store);
    let new = dir.content(FILE).unwrap();
    let mut stale = 0;
    for page in 0..FILE_BYTES / PAGE {
        let at = page * PAGE..(page + 1) * PAGE;
        if old.bytes[at.clone()] == new[at.clone()] {
            continue;
        }
        stale += 1;
        let hurt = ring_image::dir_with(FILE, &new);
        assert!(hurt.damage(FILE, at.start as u64, &old.bytes[at]));
        let (mut store, found) = open(&hurt);
        let (rows, lost, _) = read(&mut store);
        assert!(rows.iter().all(|row| *row == plain(row.seq)), "page {page}");
        let missing = next - old.rows[0].seq - rows.len() as u64;
        assert!(missing <= 40, "page {page}: {missing}");
        assert!(!found.clean || lost == missing, "page {page}: {lost} of {missing} counted");
        give_up(&mut store, found.state, old.last_seq());
        drop(store);
        old.goes_on(&hurt).unwrap_or_else(|e| panic!("page {page}: {e}"));
    }
    assert!(stale > 8, "{stale}");
}

/// So that a ring whose last segment cannot be continued has room for more.
fn give_up(store: &mut RingStore, mut state: State, floor: Seq) {
    let mut lane = state.lane[0];
    lane.floor = floor;
    let change = Change::Lane { lane: LANE, state: lane };
    state.apply(&change);
    store.commit(&[change], &state).unwrap();
    store.advance(LANE, &DoneRows::below(floor)).unwrap();
}

/// Nothing in an old copy says that it is old: its rows come again under their old numbers. The epoch goes on from it.
#[test]
fn an_old_copy_of_the_whole_file_is_that_state_again() {
    for image in KINDS.map(QueueImage::new) {
        let dir = image.copy();
        let queue = queue_image::open(&dir, image.kind).unwrap();
        assert!(!queue_image::drain(&queue).unwrap().is_empty());
        queue.close().unwrap();
        put(&dir, image.file, &image.bytes);
        let survived = survives(&image, &dir);
        assert_eq!((survived.kept, survived.again, survived.told), (Kept::All, 0, false));
    }
}

/// A number that a good checksum covers and that makes no sense is not followed: no endless scan, no gigabytes.
#[test]
fn a_superblock_that_claims_petabytes_is_cut_to_the_file() {
    let image = Image::new(true);
    let dir = image.copy();
    for at in [0, PAGE] {
        let mut sector = image.bytes[at..at + 512].to_vec();
        sector[40..44].copy_from_slice(&(u32::MAX / 8).to_le_bytes());
        let crc = crc32c::crc32c(&sector[..508]);
        sector[508..].copy_from_slice(&crc.to_le_bytes());
        assert!(dir.damage(FILE, at as u64, &sector));
    }
    assert_eq!(image.judge(&dir, |_| false).unwrap().missing, 0);
    assert_eq!(dir.content(FILE).unwrap().len(), FILE_BYTES);
    image.goes_on(&dir).unwrap();
}

#[test]
fn a_second_opener_is_told_so_whatever_the_files_are() {
    let image = QueueImage::new(StoreKind::Ring);
    let dir = image.with(0, &[0xff; 2 * PAGE]);
    let _first = queue_image::open(&dir, image.kind).unwrap();
    let second = queue_image::open(&dir, image.kind).map(drop);
    assert_eq!(second, Err(format!("open failed: {}", OpenError::Busy)));
}

#[test]
fn a_link_to_a_queue_elsewhere_is_refused_by_name_and_leaves_it_as_it_is() {
    for kind in KINDS {
        let (elsewhere, here) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let config = || Config::default().max_bytes(1 << 20).store(kind);
        let queue = Queue::open(elsewhere.path(), config()).unwrap();
        assert!(queue.push(Row::new("kept")).is_ok());
        queue.close().unwrap();
        let file = if kind == StoreKind::Ring { "queue.ring" } else { "queue.redb" };
        std::os::unix::fs::symlink(elsewhere.path().join(file), here.path().join(file)).unwrap();
        let before = std::fs::read(elsewhere.path().join(file)).unwrap();
        let error = Queue::open(here.path(), config()).err().unwrap();
        let said = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
        assert!(said.contains(&format!("{file} is a symbolic link")), "{said}");
        assert!(std::fs::read(elsewhere.path().join(file)).unwrap() == before, "{kind:?}");
    }
}
