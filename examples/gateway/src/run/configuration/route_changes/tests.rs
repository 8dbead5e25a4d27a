use std::cell::Cell;
use std::path::Path;
use std::time::Duration;

use tokio::sync::Notify;

use super::*;

/// A configuration with this many routes.
fn config(routes: usize) -> InForce {
    let mut text = "[gateway]\nid = \"site7\"\n[local]\nlisten = \"127.0.0.1:1883\"\n[hub]\nurl = \"mqtt://hub.example\"\n".to_owned();
    for route in 0..routes {
        text +=
            &format!("[[route]]\nmatch = \"plant/{route}/#\"\nto = \"site7/{route}\"\nformat = \"cbor\"\n");
    }
    let parsed = Config::parse(Path::new("settings"), &text, &|_| None);
    let (config, _) = parsed.unwrap_or_else(|findings| panic!("{findings}"));
    InForce::new(Arc::new(config), None)
}

/// Waits, but not for ever: a rule that is broken fails the test.
async fn bounded<T>(wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), wait).await.expect("it does not wait for ever")
}

#[tokio::test]
async fn what_comes_while_the_queue_takes_nothing_replaces_what_waits() {
    let (sender, mut in_force) = watch::channel(config(1));
    let (room, waiting) = (Notify::new(), Notify::new());
    let reserve = || async {
        waiting.notify_one();
        room.notified().await;
        Some(())
    };
    let change = async {
        for routes in [2, 3] {
            waiting.notified().await;
            sender.send_replace(config(routes));
            room.notify_one();
        }
        waiting.notified().await;
        room.notify_one();
    };
    let both = async { tokio::join!(newest(&mut in_force, reserve, |_| true), change) };
    let (found, ()) = bounded(both).await;
    assert_eq!((found.0.config.routes.len(), found.1), (3, Room::Reserved(())));
}

/// It needs no room, so it is in force although the queue takes nothing.
#[tokio::test]
async fn what_takes_a_change_back_waits_no_longer_than_the_change() {
    let (sender, mut in_force) = watch::channel(config(2));
    let asked = Cell::new(0);
    let reserve = || async {
        asked.set(asked.get() + 1);
        sender.send_replace(config(1));
        Some(())
    };
    let told = |next: &InForce| next.config.routes.len() != 1;
    let (found, room) = bounded(newest(&mut in_force, reserve, told)).await;
    assert_eq!((found.config.routes.len(), room, asked.get()), (1, Room::NotNeeded, 1));
}

/// A reload to the routes in force does not wait for a queue that takes nothing.
#[tokio::test]
async fn what_takes_a_change_back_is_told_while_the_queue_takes_nothing() {
    let (sender, mut in_force) = watch::channel(config(2));
    let waiting = Notify::new();
    let reserve = || async {
        waiting.notify_one();
        std::future::pending::<Option<()>>().await
    };
    let change = async {
        waiting.notified().await;
        sender.send_replace(config(3));
        waiting.notified().await;
        sender.send_replace(config(1));
    };
    let told = |next: &InForce| next.config.routes.len() != 1;
    let both = async { tokio::join!(newest(&mut in_force, reserve, told), change) };
    let ((found, room), ()) = bounded(both).await;
    assert_eq!((found.config.routes.len(), room), (1, Room::NotNeeded));
    assert!(!in_force.has_changed().unwrap(), "it was seen");
}

#[tokio::test]
async fn a_closed_queue_ends_the_wait() {
    let (sender, mut in_force) = watch::channel(config(2));
    drop(sender);
    let (_, room) = bounded(newest(&mut in_force, || async { None::<()> }, |_| true)).await;
    assert_eq!(room, Room::Closed);
}

/// Its routes are not in force yet, and the figures of routes are shown by their places.
#[tokio::test]
async fn the_status_shows_what_is_in_force_while_a_change_waits_for_room() {
    let (before, state) = (config(1), Path::new("state"));
    let facts = CurrentFacts::new(before.facts(state));
    let (sender, mut in_force) = watch::channel(before.clone());
    sender.send_replace(InForce { unkept: Some("disk full".to_owned()), ..config(2) });
    let shown = || (facts.get().config.clone(), facts.get().routes.len(), facts.get().is_unkept());
    let old = before.config.digest.clone();
    let reserve = || async {
        assert_eq!(shown(), (old.clone(), 1, true));
        // One with the same routes takes it back, and is in force at once.
        sender.send_replace(before.clone());
        Some(())
    };
    let told = |next: &InForce| tell(&facts, state, &before.config, next);
    let (_, room) = bounded(newest(&mut in_force, reserve, told)).await;
    assert_eq!((room, shown()), (Room::NotNeeded, (old.clone(), 1, false)));
}
