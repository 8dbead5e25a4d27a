use super::*;
use crate::store::ring::find_frames::tests::placed;

#[test]
fn a_missing_frame_is_an_exact_gap_and_missing_changes_are_none() {
    let frames = [placed(1, 1, 1, 0), placed(1, 4, 4, 7)];
    let start = Counters { next: 1, rows: 0, weight: 0, highest: 0 };
    let end = Counters { next: 9, rows: 4, weight: 4, highest: 4 };
    let items = items(&start, &frames, Some(end));
    assert_eq!(items.len(), 3);
    match items[1] {
        Item::Gap(gap) => {
            assert_eq!((gap.frames, gap.seqs, gap.pages), ((2, 3), (2, 3), (1, 7)));
            assert_eq!((gap.rows, gap.weight, gap.rows_before, gap.weight_before), (2, 2, 1, 1));
        }
        Item::Frame(_) => panic!("a frame"),
    }
}

#[test]
fn a_gap_is_never_without_a_number() {
    let at = Counters { next: 1, rows: 0, weight: 0, highest: 5 };
    let next = Counters { next: 2, rows: 1, weight: 1, highest: 5 };
    match gap(&at, &next, (0, 1)) {
        Some(Item::Gap(gap)) => assert_eq!(gap.seqs, (6, 6)),
        other => panic!("{other:?}"),
    }
}
