use std::path::Path;

use edge_filter::Pipeline;

use super::*;

const FILE: &str = r#"
[gateway]
id = "site7"
[local]
listen = "127.0.0.1:1883"
[hub]
url = "mqtt://hub.example:1883"
[[route]]
match = "plant/#"
to = "site7/readings"
format = "cbor"
"#;

const YARD: &str = "[[route]]\nmatch = \"yard/#\"\nto = \"site7/yard\"\nformat = \"cbor\"\n";

fn parse(text: &str) -> Config {
    let parsed = Config::parse(Path::new("settings"), text, &|_| None);
    parsed.unwrap_or_else(|findings| panic!("{findings}")).0
}

/// A gateway that starts with [`FILE`] and this filter of the program's own; its queue is open if anything is applied.
fn started(filter: Option<&str>) -> (ProgramReload, Configurations) {
    let filters = filter.map(|filter_topic| (filter_topic.to_owned(), Pipeline::builder().build()));
    let mut parts = Parts { filters: filters.into_iter().collect(), ..Parts::default() };
    let reload = ProgramReload::new(Arc::new(parse(FILE)), &mut parts);
    reload.queue.show_in_memory();
    (reload, parts.configurations.unwrap())
}

/// Answers each configuration that comes, as the gateway does.
async fn answer(mut configurations: Configurations, outcome: Result<(), String>) {
    while configurations.in_force.changed().await.is_ok() {
        let config = configurations.in_force.borrow_and_update().config.clone();
        configurations.applied.send_modify(|applied| applied.note(config, outcome.clone()));
    }
}

fn routes_of(reload: &ProgramReload) -> usize {
    reload.before().0.routes.len()
}

async fn apply(reload: &ProgramReload, text: &str) -> Result<ReloadOutcome, RunError> {
    reload.apply(parse(text), None).await
}

#[tokio::test(start_paused = true)]
async fn routes_are_in_force_once_they_are_applied_and_the_same_again_is_no_change() {
    let (reload, configurations) = started(None);
    tokio::spawn(answer(configurations, Ok(())));
    let with_yard = format!("{FILE}{YARD}");
    assert_eq!(apply(&reload, FILE).await.unwrap(), ReloadOutcome::Unchanged);
    assert_eq!(apply(&reload, &with_yard).await.unwrap(), ReloadOutcome::InForce);
    assert_eq!(apply(&reload, &with_yard).await.unwrap(), ReloadOutcome::Unchanged);
    assert_eq!(apply(&reload, FILE).await.unwrap(), ReloadOutcome::InForce);
}

#[tokio::test(start_paused = true)]
async fn routes_that_the_queue_does_not_take_wait_for_it_and_so_do_the_same_ones_again() {
    let (reload, configurations) = started(None);
    let with_yard = format!("{FILE}{YARD}");
    assert_eq!(apply(&reload, FILE).await.unwrap(), ReloadOutcome::Unchanged, "without a wait");
    for _ in 0..2 {
        let start = tokio::time::Instant::now();
        assert_eq!(apply(&reload, &with_yard).await.unwrap(), ReloadOutcome::Pending);
        assert_eq!(start.elapsed(), WITHIN);
    }
    let (applied, ()) = tokio::join!(apply(&reload, &with_yard), async {
        tokio::spawn(answer(configurations, Ok(())));
    });
    assert_eq!(applied.unwrap(), ReloadOutcome::InForce);
}

/// The queue takes nothing all the while, and nothing had changed.
#[tokio::test(start_paused = true)]
async fn what_takes_a_pending_change_back_is_unchanged_at_once() {
    let (reload, mut configurations) = started(None);
    let with_yard = format!("{FILE}{YARD}");
    // As the gateway does it while the queue takes nothing: only what is in force needs no room.
    tokio::spawn(async move {
        while configurations.in_force.changed().await.is_ok() {
            let config = configurations.in_force.borrow_and_update().config.clone();
            if config.routes.len() == 1 {
                configurations.applied.send_modify(|applied| applied.note(config, Ok(())));
            }
        }
    });
    assert_eq!(apply(&reload, &with_yard).await.unwrap(), ReloadOutcome::Pending);
    let start = tokio::time::Instant::now();
    assert_eq!(apply(&reload, FILE).await.unwrap(), ReloadOutcome::Unchanged);
    assert_eq!((start.elapsed(), routes_of(&reload)), (Duration::ZERO, 1));
    assert_eq!(apply(&reload, FILE).await.unwrap(), ReloadOutcome::Unchanged);
}

/// Its next reload finds the change accepted, and waits for it as any other.
#[tokio::test(start_paused = true)]
async fn a_reload_whose_caller_goes_away_is_applied() {
    let (reload, configurations) = started(None);
    let with_yard = format!("{FILE}{YARD}");
    assert!(timeout(WITHIN / 2, apply(&reload, &with_yard)).await.is_err());
    assert_eq!(apply(&reload, &with_yard).await.unwrap(), ReloadOutcome::Pending);
    tokio::spawn(answer(configurations, Ok(())));
    tokio::time::sleep(WITHIN).await;
    assert_eq!(apply(&reload, &with_yard).await.unwrap(), ReloadOutcome::Unchanged);
}

#[tokio::test(start_paused = true)]
async fn two_reloads_at_a_time_are_applied_one_after_the_other() {
    let (reload, configurations) = started(None);
    tokio::spawn(answer(configurations, Ok(())));
    let (with_yard, start) = (format!("{FILE}{YARD}"), tokio::time::Instant::now());
    let (first, second) = tokio::join!(apply(&reload, &with_yard), apply(&reload, FILE));
    assert_eq!((first.unwrap(), second.unwrap()), (ReloadOutcome::InForce, ReloadOutcome::InForce));
    assert!(start.elapsed() < WITHIN && routes_of(&reload) == 1);
}

#[tokio::test]
async fn other_tables_are_named_and_nothing_is_applied() {
    let (reload, configurations) = started(None);
    tokio::spawn(answer(configurations, Ok(())));
    let hub_and_queue =
        FILE.replace("hub.example", "other").replace("[[route]]", "[queue]\nmax_age = \"3h\"\n[[route]]");
    for (text, named) in [
        (hub_and_queue + YARD, "[hub], [queue]: "),
        (FILE.replace("1883\"\n[hub]", "1884\"\n[hub]"), "[local]: "),
        (FILE.replace("[local]", "state = \"elsewhere\"\n[local]"), "[gateway]: "),
        (FILE.replace("\"cbor\"", "\"raw\""), "[queue]: "),
        (FILE.replace("[[route]]", "[queue]\nlanes = [\"one\"]\n[[route]]"), "queue.lanes: "),
    ] {
        let refused = apply(&reload, &text).await.unwrap_err();
        assert!(
            matches!(&refused, RunError::NeedsRestart(why) if why.starts_with(named)),
            "{named}: {refused:?}"
        );
        assert_eq!(apply(&reload, FILE).await.unwrap(), ReloadOutcome::Unchanged, "{named}");
    }
}

/// A program that restarts for it, as the error said, gave up what waits.
#[tokio::test]
async fn limits_below_what_waits_are_no_reason_for_a_restart() {
    let (reload, _configurations) = started(None);
    let queue = reload.queue.show_in_memory();
    for _ in 0..2_000 {
        drop(queue.push(edge_queue::Row::new(vec![0; 1_000])).await.unwrap());
    }
    let limited =
        |limit: &str| FILE.replace("[[route]]", &format!("[queue]\nmax_bytes = \"{limit}\"\n[[route]]"));
    let refused = apply(&reload, &limited("1MiB")).await.unwrap_err();
    assert!(matches!(&refused, RunError::Failed(why) if why.starts_with("queue.max_bytes: ")), "{refused:?}");
    let refused = apply(&reload, &limited("8MiB")).await.unwrap_err();
    assert!(matches!(&refused, RunError::NeedsRestart(why) if why.starts_with("[queue]: ")), "{refused:?}");
}

#[tokio::test]
async fn own_parts_stay_with_their_routes_and_are_taken_at_a_start_only() {
    let (reload, configurations) = started(Some("plant/#"));
    tokio::spawn(answer(configurations, Ok(())));
    for text in [
        FILE.replace("site7/readings", "elsewhere"),
        FILE.replace("\"cbor\"", "\"cbor\"\nbatch_age = \"3s\""),
        FILE.replace("plant/#", "plant/+"),
        FILE.split_once("[[route]]").unwrap().0.to_owned() + YARD,
    ] {
        let refused = apply(&reload, &text).await.unwrap_err();
        let said = "route \"plant/#\": its filter is the program's own";
        assert!(matches!(&refused, RunError::NeedsRestart(why) if why.starts_with(said)), "{refused:?}");
    }
    let own =
        Parts { filters: vec![("plant/#".to_owned(), Pipeline::builder().build())], ..Parts::default() };
    let refused = reload.apply(parse(FILE), own.first_own()).await.unwrap_err();
    assert!(
        matches!(&refused, RunError::NeedsRestart(why) if why.starts_with("filter of \"plant/#\": ")),
        "{refused:?}"
    );
    // Others change beside it, and its place among them.
    let first = FILE.replace("[[route]]", &format!("{YARD}[[route]]"));
    assert_eq!(apply(&reload, &first).await.unwrap(), ReloadOutcome::InForce);
    assert_eq!(apply(&reload, FILE).await.unwrap(), ReloadOutcome::InForce);
}

/// Nothing in a checked configuration is known to be refused by the routes; were there something, it would be taken back.
#[tokio::test]
async fn routes_that_cannot_be_applied_are_taken_back() {
    let (reload, configurations) = started(None);
    tokio::spawn(answer(configurations, Err("planted".to_owned())));
    let refused = apply(&reload, &format!("{FILE}{YARD}")).await.unwrap_err();
    assert!(matches!(&refused, RunError::Failed(why) if why == "planted"), "{refused:?}");
    assert_eq!(routes_of(&reload), 1);
}

/// The next reload with the same settings tries them again, and its failure goes back to what is in force.
#[tokio::test(start_paused = true)]
async fn a_failure_whose_caller_had_gone_is_no_unchanged() {
    let (reload, configurations) = started(None);
    let with_yard = format!("{FILE}{YARD}");
    assert!(timeout(WITHIN / 2, apply(&reload, &with_yard)).await.is_err());
    tokio::spawn(answer(configurations, Err("planted".to_owned())));
    tokio::time::sleep(WITHIN).await;
    let refused = apply(&reload, &with_yard).await.unwrap_err();
    assert!(matches!(&refused, RunError::Failed(why) if why == "planted"), "{refused:?}");
    assert_eq!(routes_of(&reload), 1);
}

#[tokio::test]
async fn a_gateway_that_has_ended_takes_no_settings() {
    let (reload, configurations) = started(None);
    let with_yard = format!("{FILE}{YARD}");
    let (during, ()) = tokio::join!(apply(&reload, &with_yard), async {
        drop(configurations);
    });
    let later = apply(&reload, FILE).await;
    for refused in [during, later] {
        assert!(matches!(&refused, Err(RunError::Failed(why)) if why.contains("has ended")), "{refused:?}");
    }
}
