//! Limits of the queue that a reload lowers below what waits.

use super::*;

/// They were put in force, and most of what waited was given up with the next message.
#[test]
fn limits_below_what_waits_are_refused_with_lane_and_figures() {
    let dir = Path::new(".");
    let file = |queue: &str| parse(&format!("{FILE}[queue]\n{queue}\n"), dir);
    let memory = edge_queue::Config::default().store(edge_queue::StoreKind::Memory);
    let queue = edge_queue::Queue::open("", memory).unwrap();
    for _ in 0..2_000 {
        drop(queue.push(edge_queue::Row::new(vec![0; 1_000])).unwrap());
    }
    let lanes = queue.stats().lanes;
    // Two thousand parked ones have one lane, the first.
    let mut parked = lanes.last().cloned();
    parked.iter_mut().for_each(|lane| lane.lane = edge_queue::Lane(0));
    let waiting = Waiting::in_lanes(lanes);
    let parked = Waiting::Known { lanes: Vec::new(), parked };
    let running = file("max_bytes = \"4MiB\"");
    let decided = |next: &str, waiting: &Waiting| decide(&running, &file(next), false, waiting);
    let start_anew = Decision::StartAnew(vec!["[queue]"]);
    for (next, refused) in [
        (
            "max_bytes = \"1MiB\"",
            "queue.max_bytes: 2000 messages (2.0 MiB) in lane telemetry are more than the changed limit holds, 1.0 MiB",
        ),
        (
            "max_messages = 1999\nmax_bytes = \"4MiB\"",
            "queue.max_messages: 2000 messages (2.0 MiB) in lane telemetry are more than the changed limit holds, 1999 messages",
        ),
    ] {
        let key = refused.split(": ").next().unwrap();
        let more_waits = |decision| match decision {
            Decision::MoreWaits { key, why } => (key, why),
            other => panic!("{other:?}"),
        };
        assert_eq!(more_waits(decided(next, &waiting)), (key, refused.to_owned()));
        let refused = refused.replace("in lane telemetry", "among the parked ones");
        assert_eq!(more_waits(decided(next, &parked)), (key, refused));
        assert_eq!(decided(next, &Waiting::NoQueue), start_anew, "a start looks");
        assert!(
            more_waits(decided(next, &Waiting::Unknown("no answer"))).1.ends_with("is not known: no answer")
        );
    }
    for next in ["max_bytes = \"3MiB\"", "max_messages = 2000\nmax_bytes = \"4MiB\"", "max_bytes = \"8MiB\""]
    {
        assert_eq!(decided(next, &waiting), start_anew, "{next}");
        assert_eq!(decided(next, &parked), start_anew, "{next}");
    }
    // What is beyond a limit already keeps no other change back.
    let (running, next) = (file("max_bytes = \"1MiB\""), file("max_bytes = \"1MiB\"\nack_within = \"2s\""));
    assert_eq!(decide(&running, &next, false, &waiting), start_anew);
}
