use crate::bridge::message::Message;
use crate::bridge::packing::pack::{Packed, RawPack};
use crate::bridge::spool::{MemorySpool, Spool};
use crate::bridge::uplink::Uplink;
use crate::session::{ClientConfig, Session};
use crate::wire::{ReasonCode, Utf8};

use super::*;

fn row(n: u64) -> RowKey {
    RowKey::Lease(crate::bridge::spool::LeaseId(n))
}

fn refuse(size: &mut SizeLimit, at_ms: u64, bytes: u64) {
    size.on_refused(at_ms, Refused { bytes, at_ms, rows: vec![row(1)], is_poison: false });
}

fn close(size: &mut SizeLimit, now_ms: u64) -> bool {
    size.on_closed(now_ms, true) == Cause::Size
}

/// A limit of 3 000 bytes, learned at 0 ms.
fn learned() -> SizeLimit {
    let mut size = SizeLimit::new(1);
    refuse(&mut size, 0, 3_000);
    assert!(close(&mut size, 0));
    size
}

#[test]
fn only_a_refusal_that_the_hubs_end_of_the_connection_follows_is_a_limit() {
    let mut size = SizeLimit::new(1);
    assert!(!close(&mut size, 0), "nothing was refused");
    refuse(&mut size, 0, 3_000);
    assert_eq!(size.on_closed(0, false), Cause::Other, "it was our end");
    refuse(&mut size, 0, 3_000);
    assert!(!close(&mut size, FOLLOWS_MS + 1), "too late to be its consequence");
    refuse(&mut size, 0, 3_000);
    size.on_taken(0, 10);
    assert!(!close(&mut size, 0), "the hub went on after it");
    assert_eq!((size.limit, size.due_ms()), (None, None));
    assert_eq!(learned().limit, Some(3_000));
}

#[test]
fn a_message_smaller_than_one_that_was_taken_is_refused_for_itself() {
    let mut size = SizeLimit::new(1);
    size.on_taken(0, 3_000);
    for n in 0..OWN_FAULTS_MAX as u64 {
        refuse(&mut size, n, 3_000);
        assert_eq!(size.on_closed(n, true), Cause::Message(vec![row(1)]));
    }
    size.on_refused(9, Refused { bytes: 10, at_ms: 9, rows: vec![row(2)], is_poison: true });
    assert_eq!(size.on_closed(9, true), Cause::Message(vec![row(2)]), "that is known");
    refuse(&mut size, 10, 3_000);
    assert_eq!(size.on_closed(10, true), Cause::Size, "too many: that may be the hub");
    assert_eq!(size.limit, Some(3_000));
    assert!(size.on_taken(11, 3_000));
    refuse(&mut size, 10 + RELAPSE_MS, 3_000);
    assert_eq!(size.on_closed(10 + RELAPSE_MS, true), Cause::Message(vec![row(1)]), "long after");
}

#[test]
fn the_smallest_is_remembered_and_one_of_that_size_lifts_it() {
    let mut size = learned();
    for (bytes, limit) in [(4_000, 3_000), (2_600, 2_600), (2_600, 2_600)] {
        refuse(&mut size, 1, bytes);
        assert!(close(&mut size, 1));
        assert_eq!(size.limit, Some(limit));
    }
    assert!(size.due_ms > SMALLER_MS);
    assert!(!size.on_taken(2, 2_599), "smaller ones say nothing");
    assert!(size.on_taken(2, 2_600));
    assert_eq!(size.limit, None);
}

#[test]
fn the_probe_is_the_oldest_of_the_size_and_now_and_then_another() {
    let mut size = learned();
    let takes = |size: &SizeLimit, bytes, n| size.probes.takes(bytes, 3_000, Some(row(n)));
    assert!(takes(&size, 3_000, 1) && !takes(&size, 20_000, 0));
    refuse(&mut size, 1, 3_000);
    assert!(!takes(&size, 3_000, 1) && takes(&size, 3_000, 2) && takes(&size, 20_000, 0));
    for n in 2..=8 {
        refuse(&mut size, n, 3_000);
        assert!(takes(&size, 3_000, 1));
    }
    refuse(&mut size, 9, 3_000);
    assert!(!takes(&size, 3_000, 1));
    refuse(&mut size, 10, 3_000);
    // One that is larger alone is left.
    for parks in [true, false] {
        size.on_pass_begins(9, true, true);
        size.on_met(20_000);
        assert_eq!(size.parks(20_000, true, Some(row(9)), true), parks);
    }
    size.on_pass_begins(10, true, true);
    assert!(size.limit.is_some(), "it probed");
    size.on_pass_begins(11, true, true);
    assert!(size.limit.is_none(), "none is left");
}

#[test]
fn the_size_of_batches_is_found_in_few_steps() {
    for (hub, taken) in [(2_500, 70), (2_500, 0), (100_000, 70), (100_000, 0)] {
        let mut size = SizeLimit::new(1);
        size.on_taken(0, taken);
        refuse(&mut size, 0, 130_000);
        assert!(close(&mut size, 0));
        let (mut closes, mut steps) = (0, 0);
        while size.batch_max() != Some(size.taken) {
            let bytes = size.batch_max().unwrap();
            if bytes > hub {
                refuse(&mut size, 1, bytes);
                assert!(close(&mut size, 1));
                closes += 1;
            } else {
                size.on_taken(1, bytes);
            }
            steps += 1;
        }
        assert!(size.taken <= hub && size.taken > hub - hub / 8, "{} of {hub}", size.taken);
        assert!((1..=6).contains(&closes) && steps <= 10, "{closes} closes in {steps} steps");
    }
}

#[test]
fn new_ones_go_behind_parked_ones_until_a_pass_has_left_none() {
    let mut size = learned();
    assert!(size.parks(3_000, false, None, false) && size.parks(3_000, true, None, false));
    assert!(!size.parks(3_000, true, None, true) && !size.parks(2_999, false, None, false));
    size.on_taken(0, 3_000);
    assert!(size.parks(3_000, true, None, true), "the pass has passed older ones");
    assert!(size.on_pass_over());
    size.on_pass_begins(0, false, false);
    assert!(!size.parks(3_000, true, None, false) && size.parks(3_000, false, None, false));
    assert!(size.on_pass_over(), "a row was on its way to the parked ones");
    size.on_pass_begins(0, true, false);
    assert!(size.parks(3_000, false, None, false));
    assert!(size.on_pass_over());
    size.on_pass_begins(0, true, false);
    assert!(!size.on_pass_over());
    assert!(!size.parks(3_000, false, None, false));

    refuse(&mut size, 0, 3_001);
    assert!(close(&mut size, 0));
    size.limit = Some(3_000);
    size.on_taken(0, 3_000);
    let mut passes = 0;
    while size.parks(3_000, false, None, false) {
        size.on_pass_begins(0, true, false);
        size.parks(3_000, false, None, false);
        passes += u8::from(size.on_pass_over());
    }
    assert_eq!(passes, PASSES_MAX, "new ones without end do not wait for ever");
}

#[test]
fn probes_become_rare_and_a_relapse_goes_on_where_it_was() {
    let mut size = learned();
    let probe = |size: &mut SizeLimit| {
        let now_ms = size.due_ms;
        refuse(size, now_ms, 3_000);
        close(size, now_ms);
        size.due_ms - now_ms
    };
    assert!((1..=1_000).contains(&size.due_ms));
    let delays: Vec<u64> = (0..12).map(|_| probe(&mut size)).collect();
    assert!(delays.iter().all(|ms| *ms <= 600_000) && delays[11] >= 300_000, "{delays:?}");
    let now_ms = size.due_ms;
    for (after_ms, is_rare) in [(1_000, true), (RELAPSE_MS, false)] {
        assert!(size.on_taken(now_ms, 3_000));
        refuse(&mut size, now_ms + after_ms, 3_001);
        assert!(close(&mut size, now_ms + after_ms));
        size.limit = Some(3_000);
        assert_eq!(size.due_ms - now_ms - after_ms > 1_000, is_rare);
    }
    size.retry_now(7);
    assert_eq!(size.due_ms(), Some(7));
}

#[test]
fn the_latest_failed_probes_are_remembered() {
    let mut size = learned();
    let fail = |size: &mut SizeLimit, n| size.probes.fail(Some(row(n)));
    (0..FAILED_MAX as u64).for_each(|n| fail(&mut size, n));
    fail(&mut size, 0);
    assert_eq!((size.probes.failed.len(), size.probes.failed.front()), (FAILED_MAX, Some(&row(0))));
    fail(&mut size, FAILED_MAX as u64);
    assert_eq!((size.probes.failed.len(), size.probes.failed.front()), (FAILED_MAX, Some(&row(1))));
}

#[test]
fn probes_are_of_about_the_limits_size() {
    let size = learned();
    for (bytes, takes) in [(3_000, true), (3_750, true), (3_751, false)] {
        assert_eq!(size.probes.takes(bytes, 3_000, Some(row(1))), takes, "{bytes}");
    }
}

#[test]
fn people_are_told_the_smaller_of_what_was_announced_and_what_was_found() {
    let (found, announced) =
        (HubLimit::Found { refused: 3_000, taken: 70 }, |bytes| HubLimit::Announced { bytes });
    let mut size = SizeLimit::new(1);
    size.on_connected(u32::MAX);
    assert_eq!(size.of_hub(), None);
    size.on_connected(5_000);
    assert_eq!(size.of_hub(), Some(announced(5_000)));
    size.on_connected(u32::MAX - 1);
    assert_eq!(size.of_hub(), Some(announced(u32::MAX - 1)));
    let mut size = learned();
    size.taken = 70;
    for (packet_max, told) in [
        (u32::MAX, found),
        (3_001, found),
        (3_000, announced(3_000)),
        (2_999, announced(2_999)),
        (u32::MAX, found),
    ] {
        size.on_connected(packet_max);
        assert_eq!(size.of_hub(), Some(told), "{packet_max}");
    }
}

#[test]
fn only_a_probe_of_the_size_that_is_refused_makes_the_next_one_rarer() {
    let mut size = learned();
    let due_ms = size.due_ms;
    refuse(&mut size, 50_000, 2_999);
    size.on_refused(50_000, Refused { bytes: 3_000, at_ms: 50_000, rows: vec![row(2)], is_poison: true });
    assert_eq!((size.due_ms, size.probes.fails), (due_ms, 0));
    refuse(&mut size, 50_000, 3_000);
    assert!(size.due_ms > 50_000 && size.probes.fails == 1);
    let due_ms = size.due_ms;
    assert!(close(&mut size, 53_000));
    assert_eq!(size.due_ms, due_ms, "the end of the connection is its consequence");
    refuse(&mut size, 60_000, 2_000);
    assert!(close(&mut size, 60_000));
    assert_eq!(size.due_ms, 60_000 + SMALLER_MS);
}

#[test]
fn a_refusal_is_forgotten_after_ten_minutes() {
    let mut size = SizeLimit::new(1);
    let full = |size: &mut SizeLimit| (0..OWN_FAULTS_MAX as u64).for_each(|n| assert!(size.has_patience(n)));
    full(&mut size);
    assert!(!size.has_patience(RELAPSE_MS - 1));
    assert!(size.has_patience(RELAPSE_MS));
}

#[test]
fn passes_that_cannot_be_read_to_their_end_do_not_hold_new_messages_back_for_ever() {
    let mut size = learned();
    size.on_taken(0, 3_000);
    for n in 1..=PASSES_MAX {
        assert!(size.parks(3_000, false, None, false), "before pass {n}");
        size.on_pass_begins(0, true, false);
        size.on_pass_broken_off();
    }
    assert!(!size.parks(3_000, false, None, false));
}

#[test]
fn batches_are_as_large_as_the_largest_that_was_taken_when_the_limit_is_close() {
    let mut size = learned();
    for (taken, max) in [(2_813, 2_813), (2_812, 2_904), (0, 1_024)] {
        size.taken = taken;
        assert_eq!(size.batch_max(), Some(max));
    }
    size.limit = Some(160_000);
    assert_eq!(size.batch_max(), Some(40_000), "a quarter, as long as none was taken");
}

fn uplink() -> Uplink<RawPack> {
    let mut uplink = Uplink::new(RawPack::default(), 1_000_000, 1);
    uplink.size_limit = learned();
    uplink
}

#[test]
fn a_new_message_of_the_size_asks_for_a_probe_that_is_due() {
    let spool = MemorySpool::new(1, 1);
    let message = |bytes: usize, swept| {
        let mut packed = Packed::of_rows(Utf8::from_static("t"), Vec::new());
        packed.publish.payload = vec![0; bytes].into();
        Message::new(packed, 1, swept)
    };
    let due_ms = uplink().size_limit.due_ms;
    for (now_ms, bytes, swept, parks, wants) in [
        (due_ms - 1, 3_000, false, true, false),
        (due_ms, 3_000, false, true, true),
        (due_ms, 2_999, false, false, false),
        (due_ms - 1, 3_000, true, true, false),
        (due_ms, 3_000, true, false, false),
    ] {
        let mut uplink = uplink();
        assert_eq!(uplink.is_too_large(now_ms, &message(bytes, swept), &spool), parks);
        let wanted = uplink.sweep.next_deadline() == Some(now_ms);
        assert_eq!(wanted, wants, "{bytes} bytes at {now_ms}, parked before: {swept}");
    }
    let mut uplink = uplink();
    uplink.size_limit.probes.has_probe = true;
    for (bytes, parks) in [(20_000, true), (3_000, false)] {
        // Something parked is known not to have been tried.
        let spool = parked_spool();
        assert_eq!(uplink.is_too_large(due_ms, &message(bytes, true), &spool), parks);
        assert_eq!(uplink.sweep.next_deadline(), None, "the sweep goes on already");
    }
}

/// One with a parked row.
fn parked_spool() -> MemorySpool {
    let mut spool = MemorySpool::new(1, 10);
    spool.push(0, crate::row::Row::new(Utf8::from_static("t"), bytes::Bytes::new())).unwrap();
    for row in spool.lease(0, 1, 10) {
        spool.park(row.id, ReasonCode::PACKET_TOO_LARGE);
    }
    spool
}

#[test]
fn a_pack_may_make_packets_that_fit_both_limits() {
    let session = Session::client(0, 1, ClientConfig::new(Utf8::from_static("site7")), None);
    let mut uplink = uplink();
    uplink.size_limit.taken = 2_999;
    assert_eq!(uplink.packet_max(&session), 2_999);
    uplink.size_limit.limit = None;
    assert_eq!(uplink.packet_max(&session), usize::try_from(u32::MAX).unwrap(), "none is known");
}
