use crate::run::configuration::last_configuration;
use crate::run::queue::open_queue::Waiting;

use super::*;

mod lowered_limits;

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

const LOOPS: &str = r#"
[control]
period_ms = 100
[[input]]
name = "tank/temp"
stale_after_ms = 5000
[[output]]
name = "tank/heater"
pid = { input = "tank/temp", setpoint = 60.0, form = "isa", k = 8.0, ti_s = 12.0, limits = [0, 100], dt_max_s = 1.0 }
"#;

fn parse(text: &str, dir: &Path) -> Config {
    let parsed = Config::parse(&dir.join("gateway.toml"), text, &|_| None);
    parsed.unwrap_or_else(|findings| panic!("{findings}")).0
}

fn in_force(config: Config) -> InForce {
    InForce::new(Arc::new(config), None)
}

fn decided(from: &str, to: &str, state_is_given: bool) -> Decision {
    let dir = Path::new(".");
    assert!(FILE.contains(from), "{from}");
    decide(
        &parse(FILE, dir),
        &parse(&FILE.replacen(from, to, 1), dir),
        state_is_given,
        &Waiting::in_lanes(Vec::new()),
    )
}

#[test]
fn routes_change_at_once_and_everything_else_at_a_start() {
    assert_eq!(decided("site7", "site7", false), Decision::Nothing);
    assert_eq!(decided("plant/#", "plant/+", false), Decision::Routes);
    assert_eq!(decided("hub.example", "other", false), Decision::StartAnew(vec!["[hub]"]));
    let both = "listen = \"127.0.0.1:1884\"";
    assert_eq!(decided("listen = \"127.0.0.1:1883\"", both, false), Decision::StartAnew(vec!["[local]"]));
}

#[test]
fn another_state_directory_is_refused_unless_the_command_line_names_one() {
    let other = "id = \"site7\"\nstate = \"elsewhere\"";
    let refused = decided("id = \"site7\"", other, false);
    assert!(
        matches!(&refused, Decision::Refused(why) if why.to_string().starts_with("gateway.state: ")),
        "{refused:?}"
    );
    assert_eq!(decided("id = \"site7\"", other, true), Decision::StartAnew(vec!["[gateway]"]));
}

/// The queue knows lanes by their numbers: another name in a place would have what waits there, and its limit.
#[test]
fn lanes_do_not_change_while_something_may_wait_in_them() {
    for lanes in [
        "\"urgent\", \"alarm\", \"telemetry\"",
        "\"telemetry\"",
        "\"alarm\", \"other\"",
        "\"alarm\", \"telemetry\", \"bulk\"",
    ] {
        let refused = decided(
            "[[route]]",
            &format!(
                "[queue]\nlanes = [{lanes}]\n[[route]]\nlane = \"{}\"",
                lanes.split('"').nth(1).unwrap()
            ),
            false,
        );
        assert!(
            matches!(&refused, Decision::Refused(why) if why.to_string().starts_with("queue.lanes: ")),
            "{refused:?}"
        );
    }
    let limit = decided("[[route]]", "[queue]\nmax_messages = 1000\n[[route]]", false);
    assert_eq!(limit, Decision::StartAnew(vec!["[queue]"]));
}

/// The file of the key is the same, and has another one.
#[cfg(feature = "encryption")]
#[test]
fn a_queue_goes_on_with_the_key_that_it_was_made_with() {
    let dir = tempfile::tempdir().unwrap();
    let with_key = |key: u8| {
        std::fs::write(dir.path().join("queue.key"), [key; 32]).unwrap();
        parse(&format!("{FILE}[queue]\nkey_file = \"queue.key\"\n"), dir.path())
    };
    let (first, second, plain) = (with_key(7), with_key(8), parse(FILE, dir.path()));
    let open = Waiting::in_lanes(Vec::new());
    for (running, next) in [(&first, &second), (&first, &plain), (&plain, &first)] {
        let refused = decide(running, next, true, &open);
        let Decision::Refused(why) = refused else { panic!("{refused:?}") };
        assert!(why.to_string().starts_with("queue.key_file: "), "{why}");
        assert_eq!(decide(running, next, true, &Waiting::NoQueue), Decision::StartAnew(vec!["[queue]"]));
    }
    assert_eq!(decide(&first, &with_key(7), true, &open), Decision::Nothing);
}

#[test]
fn loops_are_not_stopped_for_a_changed_table_and_routes_beside_them_change() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("control.toml"), LOOPS).unwrap();
    let text = format!("{FILE}[control]\nrules = \"control.toml\"\n");
    let running = parse(&text, dir.path());
    let next = |from: &str, to: &str| parse(&text.replacen(from, to, 1), dir.path());
    assert_eq!(
        decide(&running, &next("plant/#", "plant/+"), true, &Waiting::in_lanes(Vec::new())),
        Decision::Routes
    );
    let refused = decide(&running, &next("hub.example", "other"), true, &Waiting::in_lanes(Vec::new()));
    assert!(
        matches!(&refused, Decision::Refused(why) if why.to_string().starts_with("[hub] ")),
        "{refused:?}"
    );
    let refused = decide(
        &running,
        &next("[control]\nrules = \"control.toml\"\n", ""),
        true,
        &Waiting::in_lanes(Vec::new()),
    );
    assert!(
        matches!(&refused, Decision::Refused(why) if why.to_string().starts_with("[control] ")),
        "{refused:?}"
    );
    std::fs::write(dir.path().join("control.toml"), LOOPS.replace("60.0", "61.0")).unwrap();
    let refused = decide(&running, &next("site7", "site7"), true, &Waiting::in_lanes(Vec::new()));
    assert!(
        matches!(&refused, Decision::Refused(why) if why.to_string().starts_with("[control] ")),
        "{refused:?}"
    );
    // Loops that begin stop none.
    assert_eq!(
        decide(&parse(FILE, dir.path()), &running, true, &Waiting::in_lanes(Vec::new())),
        Decision::StartAnew(vec!["[control]"])
    );
}

/// A check that takes long, or waits for a disk that hangs: its files are held here.
#[tokio::test]
async fn a_stop_does_not_wait_for_a_check() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("gateway.toml");
    std::fs::write(&file, FILE).unwrap();
    let mut reload = Reload::new(&file, in_force(parse(FILE, dir.path())), false);
    let mut signals = Signals::listen().unwrap();
    let (files, held_files) = (reload.files.clone(), reload.files.clone());
    let (is_held, held) = std::sync::mpsc::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let holder = std::thread::spawn(move || {
        let _files = held_files.lock();
        is_held.send(()).unwrap();
        released.recv().unwrap_err();
    });
    held.recv().unwrap();
    reload.requests.ask();
    let before = Arc::strong_count(&files);
    let stop = async {
        // The thread of the check has them, too.
        while Arc::strong_count(&files) == before {
            tokio::task::yield_now().await;
        }
        let signal = rustix::process::Signal::TERM;
        rustix::process::kill_process(rustix::process::getpid(), signal).unwrap();
    };
    let both = async { tokio::join!(reload.next(&mut signals, dir.path()), stop) };
    let ended = tokio::time::timeout(Duration::from_secs(60), both).await;
    drop(release);
    holder.join().unwrap();
    assert!(matches!(ended, Ok((Ending::Stop, ()))), "{ended:?}");
}

/// It names other rules, which are not those in force: it is refused once, and not at each look.
#[tokio::test]
async fn a_refused_configuration_is_read_once_until_its_files_change_again() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("gateway.toml");
    std::fs::write(dir.path().join("rules.toml"), "").unwrap();
    std::fs::write(&file, FILE).unwrap();
    let mut reload = Reload::new(&file, in_force(parse(FILE, dir.path())), false);
    assert!(!reload.have_files_changed().await);
    let other = FILE.replacen("id = \"site7\"", "id = \"site7\"\nstate = \"elsewhere\"", 1);
    std::fs::write(&file, format!("{other}filter = \"rules.toml\"\n")).unwrap();
    assert!(!reload.have_files_changed().await, "its writer may not be done");
    assert!(reload.have_files_changed().await);
    assert!(reload.reload(true).await.is_none());
    let refusal = reload.in_force.borrow().refused.clone().expect("it is refused");
    assert!(refusal.why().starts_with(&format!("{}:4: gateway.state: ", file.display())), "{refusal:?}");
    // There is no mistake to mend.
    assert!(refusal.action().contains("restart the gateway"), "{refusal:?}");
    assert!(!refusal.action().contains("Mend the file"), "{refusal:?}");
    for _ in 0..3 {
        assert!(!reload.have_files_changed().await, "it was read");
    }
    std::fs::write(dir.path().join("rules.toml"), "# another\n").unwrap();
    assert!(!reload.have_files_changed().await);
    assert!(reload.have_files_changed().await);
}

/// A Secret that is mounted after the ConfigMap that names it: nobody touches gateway.toml again.
#[tokio::test(start_paused = true)]
async fn a_file_that_was_missing_is_found_within_a_minute() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("gateway.toml");
    std::fs::write(&file, FILE).unwrap();
    let config = Config::load(&file).unwrap().0;
    let mut reload = Reload::new(&file, in_force(config), false);
    let named = FILE.replacen("[hub]", "password_file = \"users\"\n[hub]", 1);
    std::fs::write(&file, named).unwrap();
    let refused = |reload: &Reload| reload.in_force.borrow().refused.clone();
    assert!(reload.reload(true).await.is_none());
    let why = refused(&reload).unwrap();
    assert!(why.why().contains("users") && why.action().contains("Mend the file"), "{why:?}");
    assert!(!reload.may_be_mended());
    tokio::time::advance(MISTAKES_AGAIN).await;
    assert!(reload.may_be_mended());
    assert!(reload.reload(false).await.is_none());
    assert!(!reload.may_be_mended(), "once a minute");
    std::fs::write(dir.path().join("users"), "").unwrap();
    tokio::time::advance(MISTAKES_AGAIN).await;
    assert!(reload.may_be_mended());
    assert!(reload.reload(false).await.is_some(), "it starts anew with it");
    assert!(!reload.may_be_mended());
}

/// A password file that somebody overwrote and put back, in a gateway that reads its files at a signal alone.
#[tokio::test(start_paused = true)]
async fn a_refusal_is_withdrawn_within_a_minute_of_the_mend_and_nothing_else_is_applied() {
    let dir = tempfile::tempdir().unwrap();
    let (file, users) = (dir.path().join("gateway.toml"), dir.path().join("users"));
    let text = FILE.replacen("[hub]", "password_file = \"users\"\n[hub]", 1);
    std::fs::write(&users, "").unwrap();
    std::fs::write(&file, &text).unwrap();
    let mut reload = Reload::new(&file, in_force(Config::load(&file).unwrap().0), false);
    let is_refused = |reload: &Reload| reload.in_force.borrow().refused.is_some();
    std::fs::write(&users, "garbage").unwrap();
    assert!(reload.reload(true).await.is_none() && is_refused(&reload));
    std::fs::write(&users, "").unwrap();
    reload.withdraw_mended().await;
    assert!(is_refused(&reload), "once a minute");
    // Another change in the file waits for its signal.
    std::fs::write(&file, text.replacen("plant/#", "plant/+", 1)).unwrap();
    tokio::time::advance(MISTAKES_AGAIN).await;
    reload.withdraw_mended().await;
    assert_eq!(reload.running().routes[0].filter_topic, "plant/#");
    let why = |reload: &Reload| reload.in_force.borrow().refused.clone().unwrap();
    let told = why(&reload);
    assert!(told.text().contains("no mistake any more") && told.action().contains("Reload"), "{told:?}");
    std::fs::write(&users, "garbage").unwrap();
    tokio::time::advance(MISTAKES_AGAIN).await;
    reload.withdraw_mended().await;
    assert!(why(&reload).action().contains("Mend the file"), "{:?}", why(&reload));
    std::fs::write(&users, "").unwrap();
    std::fs::write(&file, &text).unwrap();
    tokio::time::advance(MISTAKES_AGAIN).await;
    reload.withdraw_mended().await;
    assert!(!is_refused(&reload) && !reload.may_be_mended());
}

/// Nothing of it is in the stamps of gateway.toml.
#[tokio::test]
async fn an_included_file_that_comes_or_goes_is_a_change() {
    let dir = tempfile::tempdir().unwrap();
    let (file, folder) = (dir.path().join("gateway.toml"), dir.path().join("d"));
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(&file, format!("include = [\"d/*.toml\"]\n{FILE}")).unwrap();
    let mut reload = Reload::new(&file, in_force(Config::load(&file).unwrap().0), false);
    let mut is_read_once = async || {
        assert!(!reload.have_files_changed().await, "its writer may not be done");
        assert!(reload.have_files_changed().await);
        assert!(reload.reload(true).await.is_none());
        for _ in 0..3 {
            assert!(!reload.have_files_changed().await, "it was read");
        }
        let refused = reload.in_force.borrow().refused.clone();
        (reload.running().routes.len(), refused.map(|refusal| refusal.why().to_owned()).unwrap_or_default())
    };
    // Raw messages would change the order of their lane.
    let route = "[[route]]\nmatch = \"b/#\"\nto = \"b\"\nformat = \"cbor\"\n";
    std::fs::write(folder.join("1.toml"), route).unwrap();
    assert_eq!(is_read_once().await, (2, String::new()));
    std::fs::write(folder.join("2.toml"), format!("{route}qos = 7\n")).unwrap();
    let (routes, refused) = is_read_once().await;
    assert!(routes == 2 && refused.contains("d/2.toml:5: route[3].qos: "), "{refused}");
    std::fs::write(folder.join("2.toml"), route.replace("b/#", "c/#")).unwrap();
    assert_eq!(is_read_once().await, (3, String::new()));
    std::fs::remove_file(folder.join("1.toml")).unwrap();
    assert_eq!(is_read_once().await, (2, String::new()));
    std::fs::write(folder.join("notes.txt"), "no part of it").unwrap();
    assert!(!reload.have_files_changed().await);
    assert!(!reload.have_files_changed().await);
}

/// A fresh site has nothing to go back to, and its operator tries one file after the other.
#[tokio::test(start_paused = true)]
async fn refused_files_do_not_put_off_that_the_configuration_in_force_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (file, state) = (dir.path().join("gateway.toml"), dir.path());
    std::fs::write(&file, FILE).unwrap();
    let mut reload = Reload::new(&file, in_force(Config::load(&file).unwrap().0), false);
    reload.begin_run().show_in_memory();
    let start = Instant::now();
    let texts = ["[gateway", FILE, "# a remark\n", "[gateway]\n"];
    for text in texts {
        tokio::time::advance(Duration::from_secs(2)).await;
        std::fs::write(&file, if text.starts_with('#') { format!("{text}{FILE}") } else { text.to_owned() })
            .unwrap();
        assert!(reload.reload(true).await.is_none());
    }
    reload.proof.due().await;
    assert_eq!(start.elapsed(), Duration::from_secs(10));
    reload.proof.look(reload.running(), state).await;
    let kept = || last_configuration::kept(state, &file).unwrap().unwrap().0;
    assert!(kept().sources.main().text.starts_with("# a remark"), "the newest text of what is in force");

    // Another configuration has to prove itself from its start, and a remark in it is kept, too.
    let yard = FILE.replace("plant/#", "yard/#");
    std::fs::write(&file, &yard).unwrap();
    assert!(reload.reload(true).await.is_none());
    tokio::time::advance(Duration::from_secs(9)).await;
    std::fs::write(&file, FILE.replace("plant/#", "third/#")).unwrap();
    assert!(reload.reload(true).await.is_none());
    let changed = Instant::now();
    reload.proof.due().await;
    assert_eq!(changed.elapsed(), Duration::from_secs(10));
    reload.proof.look(reload.running(), state).await;
    assert_eq!(kept().routes[0].filter_topic, "third/#");
    std::fs::write(&file, FILE.replace("plant/#", "third/#") + "# later\n").unwrap();
    assert!(reload.reload(true).await.is_none());
    reload.proof.due().await;
    reload.proof.look(reload.running(), state).await;
    assert!(kept().sources.main().text.ends_with("# later\n"));
}

/// A mended disk needs no restart, and no long wait.
#[tokio::test(start_paused = true)]
async fn a_configuration_that_the_disk_does_not_take_is_told_and_kept_once_it_does() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("gateway.toml");
    std::fs::write(&file, FILE).unwrap();
    let mut reload = Reload::new(&file, in_force(Config::load(&file).unwrap().0), false);
    reload.begin_run().show_in_memory();
    let state = dir.path().join("state");
    std::fs::write(&state, "no directory").unwrap();
    let look = async |reload: &mut Reload| {
        let start = Instant::now();
        reload.proof.due().await;
        reload.proof.look(reload.running(), &state).await;
        reload.tell_unkept();
        (reload.in_force.borrow().unkept.is_some(), start.elapsed())
    };
    let soon = Duration::from_secs(10);
    assert_eq!(look(&mut reload).await, (true, soon));
    // Another start of all parts makes it no better.
    let running = reload.running();
    reload.begin_run().show_in_memory();
    reload.replace(running, None);
    assert!(reload.in_force.borrow().unkept.is_some());
    assert_eq!(look(&mut reload).await, (true, soon));
    std::fs::remove_file(&state).unwrap();
    std::fs::create_dir(&state).unwrap();
    assert_eq!(look(&mut reload).await, (false, soon));
    assert!(last_configuration::kept(&state, &file).unwrap().is_some());
}
