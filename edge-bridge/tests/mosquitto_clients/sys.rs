//! `$SYS` topics as `mosquitto_sub` shows them.

use tokio::process::Command;

use crate::{VERSIONS, client, lines, program, site};

/// Figures that Mosquitto publishes under the same names.
const FIGURES: [&str; 10] = [
    "bytes/received",
    "bytes/sent",
    "clients/connected",
    "clients/total",
    "messages/received",
    "messages/sent",
    "publish/messages/dropped",
    "retained messages/count",
    "uptime",
    "version",
];

#[tokio::test]
async fn figures_come_at_once_and_again_and_are_not_to_be_forged() {
    for version in VERSIONS {
        let mut site = site().await;
        let forged = client(
            &site.server,
            "mosquitto_pub",
            "mqttv5",
            &["-q", "1", "-t", "$SYS/broker/version", "-m", "x", "-r", "-d"],
        );
        let out = { forged }.output().await.unwrap();
        assert!(String::from_utf8_lossy(&out.stdout).contains("RC:135"), "{out:?}");
        let sub = site.sub(version, &["-C", "13", "-F", "%r %t|%p", "-t", "$SYS/broker/#", "-t", "#"]).await;
        site.server.publisher().set_link_state("hub", true).await.unwrap();
        let told = lines(sub).await;
        let first: Vec<_> = told.iter().filter_map(|line| line.strip_prefix("1 $SYS/broker/")).collect();
        let mut names: Vec<_> = first.iter().filter_map(|line| Some(line.split_once('|')?.0)).collect();
        names.sort_unstable();
        assert_eq!(names, FIGURES, "{version}");
        assert!(first.contains(&"clients/connected|1"), "{first:?}");
        let again: Vec<_> = told.iter().filter_map(|line| line.strip_prefix("0 $SYS/broker/")).collect();
        assert_eq!(again[0], "connection/hub/state|1", "{version}: at once");
        assert_eq!(again.len(), 3, "{version}: within the interval of ten seconds");
    }
}

/// The names are Mosquitto's own.
#[tokio::test]
async fn mosquitto_has_each_of_these_names() {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port().to_string();
    drop(socket);
    let dir = tempfile::tempdir().unwrap();
    let conf = dir.path().join("m.conf");
    std::fs::write(&conf, format!("listener {port} 127.0.0.1\nallow_anonymous true\nsys_interval 1\n"))
        .unwrap();
    let mut broker = program("mosquitto").arg("-c").arg(&conf).spawn().unwrap();
    for name in FIGURES {
        let mut came = false;
        for _ in 0..100 {
            let mut sub: Command = program("mosquitto_sub");
            sub.args([
                "-h",
                "127.0.0.1",
                "-p",
                &port,
                "-W",
                "10",
                "-C",
                "1",
                "-t",
                &format!("$SYS/broker/{name}"),
            ]);
            came = sub.output().await.unwrap().status.success();
            if came {
                break;
            }
        }
        assert!(came, "{name}");
    }
    broker.kill().await.unwrap();
}
