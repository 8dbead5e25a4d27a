use super::*;
use crate::findings::Findings;
use crate::{conf, section};

/// The plans of a file `b.conf` in the directory.
pub(super) fn plans_of(dir: &Path, text: &str) -> Vec<Plan> {
    let file = dir.join("b.conf");
    std::fs::write(&file, text).unwrap();
    let mut findings = Findings::default();
    let lines = conf::read(&file, &|_| None, &mut findings);
    let conf = section::parse(&lines, &mut findings);
    assert_eq!(findings, Findings::default());
    plans(&conf, Some("127.0.0.1:1883"), &dir.join("state"), "gw")
}

const LEAST: &str = "connection up\naddress h\ntopic # out\n";

#[test]
fn a_name_of_a_connection_stays_in_the_state_directory() {
    for (name, dir) in [("up-1_a", "up-1_a"), ("../x", "..%2Fx"), ("..", ".."), ("a b", "a%20b")] {
        assert_eq!(dir_name(name), dir);
        assert_eq!(Path::new(&dir_names(name)[0]).components().count(), 1);
    }
}

#[test]
fn an_error_of_the_queue_is_told_at_its_line() {
    let dir = tempfile::tempdir().unwrap();
    for (line, part) in [
        (
            "max_queued_bytes 1000000000000000000",
            "max_queued_bytes: 1000000000000000000 is not what a queue can have: at least 33 bytes",
        ),
        ("max_queued_bytes 20", "max_queued_bytes: 20 is not what a queue can have: at least 33 bytes"),
        ("max_queued_messages 18446744073709551615", "max_queued_messages: "),
    ] {
        let plans = plans_of(dir.path(), &format!("{LEAST}{line}\n"));
        let (place, error) = plans[0].queue_error().unwrap();
        assert!(place.line == 4 && error.starts_with(part), "{place}: {error}");
    }
    assert_eq!(plans_of(dir.path(), LEAST)[0].queue_error(), None);
}

#[test]
fn the_greatest_message_is_said_and_fits() {
    let dir = tempfile::tempdir().unwrap();
    for (line, most) in [
        ("", MESSAGE_BYTES_MAX as u64),
        ("max_queued_bytes 300000", 300_000 - edge_queue::ROW_OVERHEAD_BYTES),
    ] {
        let plan = &plans_of(dir.path(), &format!("{LEAST}{line}\n"))[0];
        assert!(plan.to_string().contains(&format!("messages of at most {most} bytes;")), "{plan}");
        let queue = edge_queue::Queue::open(dir.path().join(format!("q{most}")), plan.queue()).unwrap();
        let row = |bytes: u64| edge_queue::Row::new(vec![0; usize::try_from(bytes).unwrap()]);
        assert!(queue.push(row(most)).is_ok());
        assert!(matches!(queue.push(row(most + 1)), Err(edge_queue::PushError::TooLarge { .. })));
    }
    in_queue().validate().unwrap();
}

#[test]
fn renewed_keys_are_another_plan_and_a_copy_of_them_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let files = ["ca", "cert", "key"].map(|name| dir.path().join(name));
    files.iter().for_each(|file| std::fs::write(file, "old").unwrap());
    let [ca, cert, key] = files.each_ref().map(|file| file.display());
    let text = format!("{LEAST}bridge_cafile {ca}\nbridge_certfile {cert}\nbridge_keyfile {key}\n");
    for file in &files {
        let before = plans_of(dir.path(), &text);
        std::fs::write(file, "old").unwrap();
        assert_eq!(plans_of(dir.path(), &text), before);
        std::fs::write(file, "new").unwrap();
        assert_ne!(plans_of(dir.path(), &text), before, "{}", file.display());
    }
}

#[test]
fn an_error_of_a_key_is_told_at_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca");
    std::fs::write(&ca, "no certificate").unwrap();
    let ca = ca.display();
    for (keys, line, part) in [
        ("bridge_cafile nowhere.pem".to_owned(), 4, "bridge_cafile: nowhere.pem: No such file"),
        (format!("bridge_cafile {ca}"), 4, "certificate"),
        (
            format!("bridge_cafile {ca}\nbridge_certfile {ca}\nbridge_keyfile nowhere.key"),
            6,
            "bridge_keyfile: nowhere.key: No such file",
        ),
    ] {
        let (place, error) = plans_of(dir.path(), &format!("{LEAST}{keys}\n"))[0].check().unwrap_err();
        assert!(place.line == line && error.contains(part), "{place}: {error}");
    }
}

/// A SIGHUP must not end a bridge that works for a file that cannot run.
#[test]
fn the_check_finds_what_the_start_would_refuse() {
    let dir = tempfile::tempdir().unwrap();
    let long = "x".repeat(70_000);
    for (text, part) in [
        ("connection up\naddress a/b\n".to_owned(), ""),
        (format!("connection up\naddress h\nremote_username u\nremote_password {long}\n"), "password"),
        ("connection up\naddress h\nlocal_username a\0b\n".to_owned(), "at the local broker: the user name"),
        ("connection a+b\naddress h\n".to_owned(), "the topic of the will"),
        ("connection up\naddress h\nnotification_topic a/#\n".to_owned(), "the topic of the will"),
    ] {
        let plans = plans_of(dir.path(), &format!("{text}topic # out\n"));
        let error = plans[0].check().unwrap_err();
        assert!(error.0.line == 1 && error.1.contains(part), "{error:?}");
    }
    assert_eq!(plans_of(dir.path(), LEAST)[0].check(), Ok(()));
    // With the broker in this program no client has the state's topic in its will, unless the hub has it, too.
    for (topic, part) in [("site/#", "notification_topic \"site/#\""), ("site", "")] {
        let text = format!("{LEAST}notifications_local_only true\nnotification_topic {topic}\n");
        let plan = Plan { local: None, ..plans_of(dir.path(), &text).remove(0) };
        let error = plan.check().err().map(|(_, error)| error);
        assert_eq!(error.is_some(), !part.is_empty(), "{error:?}");
        assert!(error.unwrap_or_default().contains(part));
    }
}
