//! Promise 2 on the ring: every byte of the store may be wrong; open never fails for it, and only the touched frame is
//! lost, counted exactly after a clean stop.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

#[path = "common/ring_image.rs"]
mod ring_image;

use std::collections::BTreeMap;

use edge_queue::store::{Change, DoneRows, Options, Position, RingStore, State, Store};
use edge_queue::testing::{Outcome, SimDir, budget_percent};

use ring_image::{
    FILE, FILE_BYTES, Image, LANE, PAGE, SEGMENT, SEGMENTS_AT, commit, dir_with, open, options, plain, read,
    row,
};

/// Every `n`-th case of a test that runs all of them at the full budget.
fn step() -> usize {
    usize::try_from(100 / budget_percent()).unwrap()
}

#[test]
fn any_wrong_byte_costs_its_frame_and_nothing_else() {
    any_wrong_byte_costs_its_frame(&Image::new(true), step());
}

#[test]
fn any_wrong_byte_of_an_encrypted_ring_costs_its_frame_and_nothing_else() {
    any_wrong_byte_costs_its_frame(&Image::encrypted(true), 23 * step());
}

fn any_wrong_byte_costs_its_frame(image: &Image, step: usize) {
    let (mut cases, mut outcomes) = (0, BTreeMap::<_, u64>::new());
    for at in (0..FILE_BYTES).step_by(step) {
        let was = image.bytes[at];
        // A never written byte cannot be zeroed; where a zero is written 0xff and a flipped bit differ.
        for value in [was ^ 1 << (at % 8), 0, 0xff] {
            if value == was {
                continue;
            }
            let dir = image.with(at, &[value]);
            let verdict = image
                .judge(&dir, |seq| image.touches(at / PAGE, seq))
                .unwrap_or_else(|e| panic!("byte {at} from {was} to {value}: {e}"));
            // The frame with the close mark has an older copy without it.
            assert!(
                verdict.clean || verdict.tail_uncertain || verdict.reported,
                "byte {at} from {was} to {value}: {verdict:?}"
            );
            if cases % 8 == 0 {
                image.goes_on(&dir).unwrap_or_else(|e| panic!("byte {at} from {was} to {value}: {e}"));
            }
            *outcomes.entry((verdict.missing > 0, verdict.clean)).or_default() += 1;
            cases += 1;
        }
    }
    println!("executed ring.wrong_bytes: {cases} cases, (missing, clean): {outcomes:?}");
    assert!(outcomes.contains_key(&(true, true)) && outcomes.contains_key(&(false, false)), "{outcomes:?}");
}

#[test]
fn any_wrong_page_costs_its_frames_and_goes_to_bad() {
    let image = Image::new(true);
    let mut outcomes = BTreeMap::<_, u64>::new();
    for page in 0..FILE_BYTES / PAGE {
        for fill in [0x00, 0xff, 0x5a] {
            let dir = image.with(page * PAGE, &[fill; PAGE]);
            let verdict = image.judge(&dir, |seq| image.touches(page, seq));
            let verdict = verdict.unwrap_or_else(|e| panic!("page {page}: {e}"));
            image.goes_on(&dir).unwrap_or_else(|e| panic!("page {page}: {e}"));
            *outcomes.entry(verdict.missing).or_default() += 1;
        }
    }
    assert!(outcomes.len() > 3, "{outcomes:?}");
}

#[test]
fn a_file_cut_anywhere_opens_and_keeps_what_lies_before_the_cut() {
    let image = Image::new(true);
    let (mut last, mut cases) = (0, 0);
    for cut in (0..FILE_BYTES).step_by(step()) {
        let dir = image.cut(cut);
        let verdict =
            image.judge(&dir, |seq| (cut / PAGE..FILE_BYTES / PAGE).any(|page| image.touches(page, seq)));
        let verdict = verdict.unwrap_or_else(|e| panic!("cut at {cut}: {e}"));
        assert!(verdict.reported, "cut at {cut}: {verdict:?}");
        let kept = image.rows.len() as u64 - verdict.missing;
        assert!(kept >= last, "cut at {cut}: {kept} rows, {last} before");
        last = kept;
        if cases % 8 == 0 {
            image.goes_on(&dir).unwrap_or_else(|e| panic!("cut at {cut}: {e}"));
        }
        cases += 1;
    }
    assert_eq!(last, image.rows.len() as u64);
    println!("executed ring.cuts: {cases} cases");
}

const ROOMY_SEGMENT: usize = 1 << 20;

fn open_roomy(dir: &SimDir) -> RingStore {
    let roomy = Options { lane_bytes: [8 << 20; 4].into(), segment_bytes: ROOMY_SEGMENT as u64, ..options() };
    RingStore::open(Box::new(dir.clone()), &roomy).unwrap().0
}

/// 2 400 rows in the first segment of 1 MiB, in sixty commits, closed cleanly.
fn roomy() -> SimDir {
    let dir = SimDir::new();
    let (mut store, mut state) = (open_roomy(&dir), State::new(options().gateway, 1));
    state.epoch = 1;
    for nth in 0..60 {
        commit(&mut store, &mut state, &(nth * 40 + 1..=nth * 40 + 40).map(plain).collect::<Vec<_>>());
    }
    store.commit(&[Change::Closed], &state).unwrap();
    dir
}

#[test]
fn of_a_slot_with_pages_of_another_place_all_is_set_aside() {
    let dir = roomy();
    let bytes = dir.content(FILE).unwrap();
    let frame = bytes[SEGMENTS_AT + PAGE..].chunks(PAGE).find(|page| page.starts_with(b"EDGF")).unwrap();
    let slot = SEGMENTS_AT + 5 * ROOMY_SEGMENT;
    assert!(dir.damage(FILE, slot as u64, b"no frame"));
    assert!(dir.damage(FILE, (slot + 20 * PAGE) as u64, frame));
    drop(open_roomy(&dir));
    let names = dir.names();
    let name = names.iter().find(|name| name.starts_with("bad/") && name.ends_with("-segment5"));
    let kept = dir.content(name.unwrap_or_else(|| panic!("{names:?}"))).unwrap();
    assert!(kept.len() == ROOMY_SEGMENT && kept == bytes_of(&dir, slot));
    // The next open finds the slot again, and the copy.
    assert!(dir.damage(name.unwrap(), 0, b"the copy"));
    drop(open_roomy(&dir));
    assert!(dir.names() == names && dir.content(name.unwrap()).unwrap().starts_with(b"the copy"));
}

fn bytes_of(dir: &SimDir, slot: usize) -> Vec<u8> {
    dir.content(FILE).unwrap()[slot..slot + ROOMY_SEGMENT].to_vec()
}

#[test]
fn zeros_at_the_start_of_a_segment_cost_what_they_cover() {
    let dir = roomy();
    for pages in [16, 17, 32, 64] {
        let dir = dir.crash(Outcome::Kept, 1);
        assert!(dir.damage(FILE, SEGMENTS_AT as u64, &vec![0; pages * PAGE]));
        let (rows, lost, _) = read(&mut open_roomy(&dir));
        // Each frame has two pages, and the snapshot one.
        let most = pages / 2 * 40;
        assert!(lost > 0 && lost as usize <= most, "{pages} pages: {lost} lost");
        assert_eq!(rows.len() as u64 + lost, 2400);
    }
}

/// The control: damage that nobody could notice, and a loss too many, must be found by the tests above.
#[test]
fn a_changed_row_with_good_checksums_and_an_untouched_frames_loss_are_caught() {
    let image = Image::new(true);
    let at = (SEGMENTS_AT..FILE_BYTES).step_by(PAGE).find(|at| image.touches(at / PAGE, 115)).unwrap();
    let mut page = image.bytes[at..at + PAGE].to_vec();
    page[1000] ^= 1;
    let body = crc32c::crc32c_append(crc32c::crc32c(&page[..124]), &page[136..]);
    page[124..128].copy_from_slice(&body.to_le_bytes());
    let head = crc32c::crc32c(&page[..128]);
    page[128..132].copy_from_slice(&head.to_le_bytes());
    let caught = image.judge(&image.with(at, &page), |_| true);
    assert!(caught.as_ref().is_err_and(|e| e.contains("a wrong row")), "{caught:?}");
    let caught = image.judge(&image.with(at, &[0; PAGE]), |_| false);
    assert!(caught.as_ref().is_err_and(|e| e.contains("untouched")), "{caught:?}");
}

#[test]
fn both_copies_of_the_last_frame_damaged_after_a_kill_are_a_loss_that_is_counted() {
    let image = Image::new(false);
    let pages: Vec<usize> =
        (0..FILE_BYTES / PAGE).filter(|page| image.touches(*page, image.last_seq() - 1)).collect();
    let [one, other] = pages[..] else { panic!("the last frame lies on pages {pages:?}") };
    let dir = image.with(one * PAGE + 200, &[0x5a; 8]);
    assert!(dir.damage(FILE, (other * PAGE + 200) as u64, &[0x5a; 8]));
    let (mut store, found) = open(&dir);
    let (rows, lost, _) = read(&mut store);
    assert_eq!(
        rows.len() as u64 + lost,
        image.rows.len() as u64 - 1,
        "all but the last commit is accounted for"
    );
    assert!(lost > 0 && found.tail_uncertain, "{found:?}");
    drop(store);
    image.goes_on(&dir).unwrap();
}

#[test]
fn without_superblocks_the_ring_is_found_again_and_with_nothing_left_it_starts_anew() {
    let image = Image::new(true);
    let dir = image.with(0, &[0x33; SEGMENTS_AT]);
    let (mut store, recovered) = open(&dir);
    assert_eq!(recovered.state.gateway, options().gateway);
    assert!(recovered.state.epoch > 2);
    assert_eq!(read(&mut store).0, image.rows);

    let dir = dir_with(FILE, &vec![0x33; FILE_BYTES]);
    let (mut store, recovered) = open(&dir);
    assert!(dir.names().contains(&"bad/queue.ring.1".to_owned()), "{:?}", dir.names());
    assert!(!recovered.clean && recovered.damage.len() == 1, "{recovered:?}");
    assert!(read(&mut store).0.is_empty());
}

#[test]
fn a_frame_inside_a_payload_and_frames_of_an_earlier_life_are_never_taken_for_rows() {
    let image = Image::new(true);
    let (first, count) = (image.rows[0].seq, image.last_seq());
    // The attacker knows everything: the payload is whole valid frames of this very store, at every alignment.
    let frames = &image.bytes[SEGMENTS_AT..SEGMENTS_AT + PAGE + PAGE / 2];
    let dir = image.copy();
    let (mut store, recovered) = open(&dir);
    let mut state = recovered.state;
    let mut expected = count;
    for shift in [0, 1, 136, PAGE - 136, 4000] {
        for piece in frames[shift..].chunks(7900) {
            expected += 1;
            commit(&mut store, &mut state, &[row(expected, piece.to_vec())]);
        }
    }
    drop(store);
    let mut broken = dir.content(FILE).unwrap();
    let (mut store, _) = open(&dir_with(FILE, &broken));
    assert_eq!(read(&mut store).0.len() as u64, expected + 1 - first);
    // With every first page of the new frames broken, what is left are payload pages: none may pass for a frame.
    for page in broken[SEGMENTS_AT..].chunks_mut(PAGE) {
        if page.starts_with(b"EDGF") && u64::from_le_bytes(page[72..80].try_into().unwrap()) > count {
            page[..64].fill(0);
        }
    }
    let (mut store, _) = open(&dir_with(FILE, &broken));
    assert_eq!(read(&mut store).0, image.rows);

    // Pages of the old image planted behind the log's end: the same slot, the same life, but replaced since.
    let mut ghosts = dir.content(FILE).unwrap();
    ghosts[SEGMENTS_AT + SEGMENT - PAGE..SEGMENTS_AT + SEGMENT]
        .copy_from_slice(&image.bytes[SEGMENTS_AT + PAGE..][..PAGE]);
    let (mut store, _) = open(&dir_with(FILE, &ghosts));
    let rows = read(&mut store).0;
    assert!(rows.windows(2).all(|w| w[0].seq < w[1].seq));
    assert!(rows.iter().filter(|r| r.seq <= count).all(|r| *r == plain(r.seq)));
}

#[test]
fn consumers_survive_the_loss_of_any_page() {
    let (dir, mut state) = (SimDir::new(), State::new(0, 1));
    let (mut store, recovered) = open(&dir);
    state.clone_from(&recovered.state);
    let mut next = 1;
    // Several laps, so that every slot held an earlier life.
    for round in 0..1200 {
        let rows: Vec<_> = (next..next + 5).map(plain).collect();
        next += 5;
        commit(&mut store, &mut state, &rows);
        if round % 3 == 0 {
            let position = Position::from_floor(next - 3);
            let change = Change::Position { consumer: "hub".into(), lane: LANE, position };
            state.apply(&change);
            state.lane[0].floor = next - 3;
            let lane = Change::Lane { lane: LANE, state: state.lane[0] };
            store.commit(&[change, lane], &state).unwrap();
            store.advance(LANE, &DoneRows::below(next - 3)).unwrap();
        }
    }
    store.commit(&[Change::Closed], &state).unwrap();
    let image = dir.content(FILE).unwrap();
    for page in 2..image.len() / PAGE {
        let mut bad = image.clone();
        bad[page * PAGE..(page + 1) * PAGE].fill(0xaa);
        let (_, recovered) = open(&dir_with(FILE, &bad));
        assert_eq!(recovered.state.consumers.len(), 1, "page {page}: {:?}", recovered.damage);
    }
}
