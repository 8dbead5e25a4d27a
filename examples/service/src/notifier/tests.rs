use std::cell::Cell;

use super::*;

/// A supervisor's socket, and the environment that it gives.
fn supervisor(path: &str, usec: &str) -> impl Fn(&str) -> Option<String> {
    let pairs = [("NOTIFY_SOCKET", path.to_owned()), ("WATCHDOG_USEC", usec.to_owned())];
    move |name| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
}

fn received(socket: &UnixDatagram) -> Vec<String> {
    socket.set_nonblocking(true).unwrap();
    let mut buffer = [0; 4_096];
    std::iter::from_fn(|| {
        let size = socket.recv(&mut buffer).ok()?;
        Some(String::from_utf8(buffer[..size].to_vec()).unwrap())
    })
    .collect()
}

#[test]
fn datagrams_arrive_at_a_path_and_at_an_abstract_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let name = format!("edge-service-test-{}", std::process::id());
    let sockets = [
        (UnixDatagram::bind(&path).unwrap(), path.to_str().unwrap().to_owned()),
        (
            UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap(),
            format!("@{name}"),
        ),
    ];
    for (socket, address) in sockets {
        let notifier = Notifier::new(supervisor(&address, ""), 7).unwrap();
        notifier.extend_start();
        notifier.ready().unwrap();
        notifier.status("storing:\nREADY=0");
        notifier.status("storing:\nREADY=0");
        notifier.stopping();
        let expected = ["EXTEND_TIMEOUT_USEC=30000000", "READY=1", "STATUS=storing: READY=0", "STOPPING=1"];
        assert_eq!(received(&socket), expected, "{address}");
    }
}

#[test]
fn a_status_that_nobody_took_is_told_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let notifier = Notifier::new(supervisor(path.to_str().unwrap(), ""), 7).unwrap();
    notifier.status("storing");
    let socket = UnixDatagram::bind(&path).unwrap();
    notifier.status("storing");
    notifier.status("storing");
    assert_eq!(received(&socket), ["STATUS=storing"]);
}

#[test]
fn without_an_address_nobody_is_told_and_a_wrong_one_is_an_error() {
    for nobody in ["", "\0"] {
        let env = move |name: &str| (name == "NOTIFY_SOCKET" && nobody.is_empty()).then(String::new);
        Notifier::new(env, 7).unwrap().ready().unwrap();
    }
    for wrong in ["notify", "vsock:2:1234", "/a\0b"] {
        Notifier::new(supervisor(wrong, ""), 7).unwrap_err();
    }
    let gone = Notifier::new(supervisor("/nobody/is/here", ""), 7).unwrap();
    gone.ready().unwrap_err();
    gone.stopping();
}

#[test]
fn the_watchdog_of_another_process_is_not_ours() {
    let time = |usec, of| watchdog(usec, of, 7);
    assert_eq!(time(Some("2000000"), None), Some(Duration::from_secs(2)));
    assert_eq!(time(Some("2000000"), Some("7")), Some(Duration::from_secs(2)));
    for (usec, of) in [(Some("2000000"), Some("8")), (Some("0"), None), (Some("two"), None), (None, None)] {
        assert_eq!(time(usec, of), None, "{usec:?} {of:?}");
    }
}

/// A ping that came without progress, or none with it, would be seen in the counts.
#[tokio::test(start_paused = true)]
async fn pings_come_twice_in_the_time_of_the_watchdog_and_only_with_progress() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let notifier = Notifier::new(supervisor(path.to_str().unwrap(), "10000000"), 7).unwrap();
    let is_alive = Cell::new(true);
    let mut pings = Box::pin(notifier.keep_alive(|| std::future::ready(is_alive.get())));
    let mut after = async |seconds| {
        let _over = tokio::time::timeout(Duration::from_secs(seconds), &mut pings).await;
        received(&socket).len()
    };
    assert_eq!(after(19).await, 4, "at 0, 5, 10 and 15");
    is_alive.set(false);
    assert_eq!(after(62).await, 0);
    is_alive.set(true);
    assert_eq!(after(1).await, 1, "it is looked again soon");
}

/// A start of 65 s is extended at its begin and every ten seconds, and work of 12 s feeds a watchdog of ten.
#[tokio::test(start_paused = true)]
async fn a_long_start_is_extended_and_long_work_feeds_the_watchdog() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let notifier = Notifier::new(supervisor(path.to_str().unwrap(), "10000000"), 7).unwrap();
    notifier.while_starting(sleep(Duration::from_secs(65))).await;
    assert_eq!(received(&socket), ["EXTEND_TIMEOUT_USEC=30000000"; 7]);
    assert_eq!(notifier.while_waiting(async { 7 }).await, 7);
    notifier.while_waiting(sleep(Duration::from_secs(12))).await;
    assert_eq!(received(&socket), ["WATCHDOG=1"; 3]);
    Notifier::default().while_waiting(sleep(Duration::from_secs(12))).await;
}
