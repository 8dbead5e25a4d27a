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

/// `mosquitto_sub` with the certificate of this user, which writes a line for each message.
struct Reader {
    child: Child,
    lines: std::path::PathBuf,
}

impl Reader {
    fn start(dir: &Path, port: u16, user: &str) -> Self {
        let lines = dir.join(format!("{user}.txt"));
        let child = Command::new("mosquitto_sub")
            .args(["-h", "localhost", "-p", &port.to_string(), "-q", "1", "-t", "#", "-F", "%t %r %x"])
            .args(identity(dir, user))
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

/// Arguments of Mosquitto's clients for the certificate of this user.
fn identity(dir: &Path, user: &str) -> Vec<String> {
    let file = |name: String| dir.join(name).display().to_string();
    let [ca, cert, key] = ["plant.crt".to_owned(), format!("{user}.crt"), format!("{user}.key")].map(file);
    ["--cafile".to_owned(), ca, "--cert".to_owned(), cert, "--key".to_owned(), key].to_vec()
}

/// Sends a command that no local client takes, and waits until the operator has its answer on this topic.
fn is_answered(dir: &Path, port: u16, operator: &Reader, options: &[&str], topic: &str) {
    let sent = Command::new("mosquitto_pub")
        .args([
            "-h",
            "localhost",
            "-p",
            &port.to_string(),
            "-V",
            "5",
            "-q",
            "1",
            "-t",
            "site7/cmd/valve",
            "-m",
            "open",
        ])
        .args(["-D", "publish", "message-expiry-interval", "2"])
        .args(options)
        .args(identity(dir, "operator"))
        .status()
        .unwrap();
    assert!(sent.success());
    wait_until(topic, 30, || operator.has(topic));
}

#[test]
fn what_the_list_of_the_page_allows_is_all_that_a_gateway_says() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let plant = Authority::new(dir, "plant");
    for name in ["hub", "site7", "reader", "operator"] {
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
    let [reader, operator] = ["reader", "operator"].map(|user| Reader::start(dir, port, user));
    let listen = free_port();
    let config = format!(
        "[gateway]\nid = \"site7\"\n[local]\nlisten = \"{listen}\"\n[hub]\nurl = \"mqtts://localhost:{port}\"\nca = \"plant.crt\"\n\
         cert = \"site7.crt\"\nkey = \"site7.key\"\n[status]\nto_hub = true\n\
         [[command]]\nmatch = \"site7/cmd/#\"\nto = \"cmd/#\"\n\
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
    is_answered(dir, port, &operator, &[], "edge/answers/site7 0 7b");
    let named = ["-D", "publish", "response-topic", "hmi/answers"];
    is_answered(dir, port, &operator, &named, "hmi/answers 0 7b");
    wait_until("nothing waits", 30, || gateway.metric("edge_queue_messages") == Some(0.0));
    assert_eq!(gateway.metric("edge_refused_topics"), Some(0.0));
    assert!(!gateway.log().contains("topic refused"), "{}", gateway.log());
    gateway.kill_9();
    wait_until("its will", 30, || reader.has("edge/alive/site7 0 30"));
}
