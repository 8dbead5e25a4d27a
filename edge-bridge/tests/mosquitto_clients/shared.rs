//! Shared subscriptions of both versions: one member gets each message, and a killed one leaves its messages to the other.

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::{PATIENCE, VERSIONS, lines, site};

async fn signal(child: &Child, name: &str) {
    let pid = child.id().expect("it runs").to_string();
    assert!(Command::new("kill").args([name, &pid]).status().await.unwrap().success());
}

#[tokio::test]
async fn members_share_messages_and_a_killed_one_leaves_its_own() {
    for version in VERSIONS {
        for other in VERSIONS {
            let mut site = site().await;
            let group = ["-q", "1", "-t", "$share/g/plant/#"];
            let mut doomed = site.sub(version, &group).await;
            let stays = site.sub(other, &[&group[..], &["-C", "15"]].concat()).await;
            let plain = site.sub(other, &["-q", "1", "-t", "plant/#", "-C", "20"]).await;
            let messages: Vec<_> = (0..20).map(|n| format!("{n:02}")).collect();
            for message in &messages[..10] {
                site.pub_ok(version, &["-q", "1", "-t", "plant/1", "-m", message]).await;
            }
            // What it prints it has acknowledged; of what comes now it reads nothing.
            let mut got = Vec::new();
            let mut printed = BufReader::new(doomed.stdout.take().unwrap()).lines();
            while got.len() < 5 {
                got.extend(timeout(PATIENCE, printed.next_line()).await.expect("in turns").unwrap());
            }
            signal(&doomed, "-STOP").await;
            for message in &messages[10..] {
                site.pub_ok(version, &["-q", "1", "-t", "plant/1", "-m", message]).await;
            }
            doomed.start_kill().unwrap();
            assert_eq!(printed.next_line().await.unwrap(), None, "{version} {other}");
            got.extend(lines(stays).await);
            got.sort();
            assert_eq!(got, messages, "{version} {other}");
            assert_eq!(lines(plain).await, messages, "a subscription of one's own gets all");
        }
    }
}
