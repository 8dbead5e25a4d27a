use super::*;
use crate::store::ring::frame::tests::sample;
use crate::store::ring::test_sectors::Sectors;

pub(crate) fn placed(epoch: u32, base: u64, counter: u64, page: u32) -> Placed {
    let rows = (counter - base + 1) as u32;
    let head = Head {
        epoch,
        base,
        counter,
        rows,
        weight: u64::from(rows),
        first_seq: base,
        last_seq: counter,
        rows_before: base - 1,
        weight_before: base - 1,
        ..sample()
    };
    Placed { head, page }
}

fn counters(frames: &[Placed]) -> Vec<(u64, u64)> {
    frames.iter().map(|p| (p.head.base, p.head.counter)).collect()
}

#[test]
fn a_grown_frame_replaces_the_smaller_ones() {
    let mut frames = vec![placed(1, 1, 2, 0), placed(1, 1, 3, 1), placed(1, 4, 4, 2)];
    choose(&mut frames, None);
    assert_eq!(counters(&frames), [(1, 3), (4, 4)]);
}

#[test]
fn a_later_run_and_the_next_segment_replace_a_torn_tail() {
    let mut frames = vec![placed(1, 1, 1, 0), placed(2, 2, 2, 1), placed(1, 2, 2, 9), placed(1, 3, 3, 10)];
    choose(&mut frames, None);
    assert_eq!(counters(&frames), [(1, 1), (2, 2)]);
    assert_eq!(frames[1].page, 1);
    let mut frames = vec![placed(1, 1, 1, 0), placed(1, 2, 2, 1), placed(1, 3, 3, 2)];
    choose(&mut frames, Some(Counters { next: 2, rows: 1, weight: 1, highest: 1 }));
    assert_eq!(counters(&frames), [(1, 1)]);
}

#[test]
fn no_frame_is_counted_twice_and_none_may_claim_rows_of_the_one_behind_it() {
    // Of changes alone: each stands for one number and holds no row.
    let changes = |counter, page| {
        let mut placed = placed(1, counter, counter, page);
        (placed.head.rows, placed.head.first_seq, placed.head.last_seq) = (0, 8, 7);
        placed
    };
    let mut frames = vec![changes(1, 0), changes(2, 1), changes(2, 5)];
    choose(&mut frames, None);
    assert_eq!(counters(&frames), [(1, 1), (2, 2)]);
    assert_eq!(frames[1].page, 5);
    let mut frames = vec![placed(1, 1, 1, 0), placed(1, 2, 2, 1)];
    frames[0].head.last_seq = 2;
    choose(&mut frames, None);
    assert_eq!(counters(&frames), [(2, 2)]);
}

const GEOMETRY: Geometry = Geometry { segment_bytes: 16 * PAGE as u32, lanes: 2, segments: [4, 4, 0, 0] };

/// Slot 3 with these frames, each on its page; `torn`: pages whose last byte is wrong.
fn slot(frames: &[(u32, Head, usize)], torn: &[u32]) -> Sectors {
    let mut file = Sectors::new(2 + 8 * 16, 0);
    for (page, head, len) in frames {
        let mut bytes = Vec::new();
        head.seal(&vec![7; *len], &mut bytes);
        let at = usize::try_from(GEOMETRY.offset(3, *page)).unwrap();
        file.bytes[at..at + bytes.len()].copy_from_slice(&bytes);
        if torn.contains(page) {
            file.bytes[at + bytes.len() - 1] ^= 1;
        }
    }
    file
}

/// Pages of the frames found by a reader, who looks at the bodies of single pages alone, and by an open, who looks at all.
fn found(file: &Sectors, segment: &Segment) -> [Vec<u32>; 2] {
    let pages = Pages::new(file, &GEOMETRY);
    let look = Look { pages: &pages, geometry: &GEOMETRY, gateway: sample().gateway };
    [false, true].map(|verify| look.frames(segment, None, verify).good.iter().map(|p| p.page).collect())
}

fn at(counter: u64) -> Head {
    Head { base: counter, counter, first_seq: counter, last_seq: counter, rows: 1, ..sample() }
}

#[test]
fn a_torn_copy_of_a_frame_never_hides_the_whole_one() {
    let segment = Segment::of(&at(1));
    // A frame that grew: the newer copy is torn. A frame of two pages that an open copied: the copy is torn.
    let grown = Head { counter: 2, last_seq: 2, rows: 2, ..at(1) };
    let file = slot(&[(1, at(1), 3960), (2, grown, 3960)], &[2]);
    assert_eq!(found(&file, &segment), [[1], [1]]);
    let file = slot(&[(1, at(1), 5000), (4, at(1), 5000)], &[4]);
    assert_eq!(found(&file, &segment), [[1], [1]]);
    // One that is there once is left to the reader, who says what it held.
    let file = slot(&[(1, at(1), 5000), (4, at(2), 5000)], &[4]);
    assert_eq!(found(&file, &segment), [vec![1, 4], vec![1]]);
}

#[test]
fn a_frame_of_another_ring_slot_life_or_earlier_run_is_none_of_this_segment() {
    let segment = Segment { start: Counters { next: 5, ..Counters::default() }, ..Segment::of(&at(5)) };
    let one = |head: Head| found(&slot(&[(1, head, 100)], &[]), &segment)[0].len();
    let mine = at(5);
    assert_eq!(one(mine), 1);
    assert_eq!(one(Head { epoch: mine.epoch + 1, ..mine }), 1);
    for (what, head) in [
        ("ring", Head { gateway: mine.gateway ^ 1, ..mine }),
        ("slot", Head { slot: 4, ..mine }),
        ("life", Head { generation: mine.generation - 1, ..mine }),
        ("run", Head { epoch: mine.epoch - 1, ..mine }),
        ("place", at(4)),
    ] {
        assert_eq!(one(head), 0, "of another {what}");
    }
    let beyond = slot(&[(15, mine, 100)], &[]);
    assert_eq!(found(&beyond, &segment)[0].len(), 1);
    let beyond = slot(&[(15, mine, 5000)], &[]);
    assert_eq!(found(&beyond, &segment)[0].len(), 0, "it would end in the next slot");
}

/// Finding in slot 3 of lane 1.
fn segment_of(file: &Sectors) -> Slot {
    let pages = Pages::new(file, &GEOMETRY);
    Look { pages: &pages, geometry: &GEOMETRY, gateway: sample().gateway }.segment(3, 1)
}

#[test]
fn a_segment_without_its_first_page_begins_with_the_lowest_frame_of_its_newest_life() {
    // A frame that took a page which became free lies before older ones; behind them are some of an earlier life.
    let earlier = Head { generation: sample().generation - 1, ..at(1) };
    let frames = [
        (1, Head { synced: 98, commit: 100, ..at(7) }, 100),
        (2, Head { synced: 95, commit: 96, ..at(5) }, 100),
        (3, Head { synced: 96, commit: 97, ..at(6) }, 100),
        (9, earlier, 100),
    ];
    match segment_of(&slot(&frames, &[])) {
        Slot::Headless(segment) => {
            assert_eq!((segment.generation, segment.start.next), (sample().generation, 5));
            assert_eq!((segment.commit, segment.synced), (96, 98));
        }
        other => panic!("{other:?}"),
    }
    // Page 0 is the snapshot's: rows that lie there were written to a wrong place.
    assert!(
        matches!(segment_of(&slot(&[(0, at(9), 100), (1, at(5), 100)], &[])), Slot::Headless(s) if s.start.next == 5)
    );
}
