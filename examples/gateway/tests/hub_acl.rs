#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! The access list that docs/guide/certificates.md gives a Mosquitto: all that a gateway says there arrives at the reader.

mod support;

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use support::authority::Authority;
use support::gateway::Gateway;
use support::mosquitto::Mosquitto;
use support::publisher::Publisher;
use support::{free_port, wait_until};

/// The access list of the page: the block of code that begins with a user.
fn list_of_the_page() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide/certificates.md");
    let page = fs::read_to_string(page).unwrap();
    let mut lists = page.split("```").filter(|block| block.starts_with("\nuser site7\n"));
    let list = lists.next().expect("no access list on the page").to_owned();
    assert_eq!(lists.next(), None, "more than one");
    list
}

/// `mosquitto_sub` with the certificate `reader`, which writes a line for each message.
struct Reader {
    child: Child,
    lines: std::path::PathBuf,
}

impl Reader {
    fn start(dir: &Path, port: u16) -> Self {
        let lines = dir.join("reader.txt");
        let file = |name: &str| dir.join(name);
        let child = Command::new("mosquitto_sub")
            .args(["-h", "localhost", "-p", &port.to_string(), "-q", "1", "-t", "#", "-F", "%t %r %x"])
            .arg("--cafile")
            .arg(file("plant.crt"))
            .arg("--cert")
            .arg(file("reader.crt"))
            .arg("--key")
            .arg(file("reader.key"))
            .stdin(Stdio::null())
            .stdout(File::create(&lines).unwrap())
            .spawn()
            .expect("mosquitto_sub is not installed: apt-get install mosquitto-clients");
        Self { child, lines }
    }

    fn has(&self, topic: &str) -> bool {
        fs::read_to_string(&self.lines).unwrap().lines().any(|line| line.starts_with(topic))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn what_the_list_of_the_page_allows_is_all_that_a_gateway_says() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let plant = Authority::new(dir, "plant");
    for name in ["hub", "site7", "reader"] {
        plant.sign(dir, name, Some(name));
    }
    fs::write(dir.join("hub.acl"), list_of_the_page()).unwrap();
    let (port, file) = (free_port().port(), |name: &str| dir.join(name).display().to_string());
    let tls =
        format!("cafile {}\ncertfile {}\nkeyfile {}", file("plant.crt"), file("hub.crt"), file("hub.key"));
    let lines = format!(
        "user root\nlistener {port} 127.0.0.1\n{tls}\nrequire_certificate true\nuse_identity_as_username true\nacl_file {}",
        file("hub.acl")
    );
    let _hub = Mosquitto::start(dir, &lines);
    let reader = Reader::start(dir, port);
    let listen = free_port();
    let config = format!(
        "[gateway]\nid = \"site7\"\n[local]\nlisten = \"{listen}\"\n[hub]\nurl = \"mqtts://localhost:{port}\"\nca = \"plant.crt\"\n\
         cert = \"site7.crt\"\nkey = \"site7.key\"\n[status]\nto_hub = true\n\
         [[route]]\nmatch = \"plant/#\"\nto = \"site7/readings\"\nformat = \"compact\"\nbatch_age = \"100ms\"\n\
         [[route]]\nmatch = \"raw/#\"\nto = \"site7/\"\n"
    );
    let mut gateway = Gateway::new(dir, &config);
    gateway.start();
    let mut sensor = Publisher::new(listen, "sensor", 50);
    sensor.publish("raw/a", "x");
    sensor.publish("plant/bad", "no reading");
    sensor.publish("plant/a", "{\"ts\":1000,\"value\":1.5}");
    sensor.settle(0, 20);
    for topic in [
        "site7/raw/a 0 78",
        "dead-letter/plant/bad 0 ",
        "site7/readings 0 ",
        "site7/readings/table/site7/",
        "edge/status/site7 0 7b",
        "edge/alive/site7 0 31",
    ] {
        wait_until(topic, 30, || reader.has(topic));
    }
    // A table is told to refer to only once the hub has shown it to the gateway.
    wait_until("the gateway sees its table", 30, || gateway.log().contains("the hub has the session table"));
    wait_until("nothing waits", 30, || gateway.metric("edge_queue_messages") == Some(0.0));
    assert_eq!(gateway.metric("edge_refused_topics"), Some(0.0));
    assert!(!gateway.log().contains("topic refused"), "{}", gateway.log());
    gateway.kill_9();
    wait_until("its will", 30, || reader.has("edge/alive/site7 0 30"));
}
