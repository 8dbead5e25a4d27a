//! A site: the bridge as a process between two real Mosquittos, and clients that count what arrives.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::mosquitto::{self, Mosquitto};

pub const LONG: Duration = Duration::from_secs(60);
/// Messages of each part of the story, each way.
pub const PART: usize = 12;

/// Its files.
pub struct Site {
    pub dir: tempfile::TempDir,
    /// `None`: the bridge is the local broker itself.
    local: Option<SocketAddr>,
    /// Further options of the command line.
    pub options: Vec<&'static str>,
    pub child: Option<Child>,
}

impl Site {
    pub fn new(local: &Mosquitto, conf: &str) -> Self {
        Self::with(Some(local.address()), conf)
    }

    /// A site without another broker.
    pub fn alone(conf: &str) -> Self {
        Self::with(None, conf)
    }

    fn with(local: Option<SocketAddr>, conf: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("bridge.conf"), conf).unwrap();
        Self { dir, local, options: Vec::new(), child: None }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs the bridge until it is at its local broker.
    pub fn run(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(self.file("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_mqtt-bridge"));
        command.stderr(log);
        self.start(command);
    }

    /// Runs it until it is at its local broker; then no file of its grows any more.
    pub fn run_with_small_files(&mut self) {
        let mut command = Command::new("sh");
        // Without the signal a write that is too long is an error.
        command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_mqtt-bridge")]);
        // The log is this process's file.
        command.stderr(Stdio::piped());
        self.start(command);
        let mut said = self.child.as_mut().unwrap().stderr.take().unwrap();
        let mut log = std::fs::File::create(self.file("log")).unwrap();
        std::thread::spawn(move || std::io::copy(&mut said, &mut log));
        let id = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("prlimit").args(["--fsize=0", "--pid", &id]).status().unwrap().success());
    }

    fn start(&mut self, mut command: Command) {
        let ready = self.file("ready");
        let _ = std::fs::remove_file(&ready);
        command.arg("--mosquitto-conf").arg(self.file("bridge.conf")).arg("--state").arg(self.file("state"));
        command.arg("--ready").arg(&ready);
        match self.local {
            Some(local) => command.arg("--local").arg(local.to_string()),
            // Readers come back within a second.
            None => command.args(["--clients-return-within", "4"]),
        };
        command.args(&self.options);
        self.child = Some(command.spawn().unwrap());
        self.until("ready", || ready.exists());
    }

    pub fn until(&self, what: &str, is_so: impl FnMut() -> bool) {
        let log = || std::fs::read_to_string(self.file("log")).unwrap_or_default();
        assert!(within(LONG, is_so), "not within {LONG:?}: {what}\n{}", log());
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub fn signal(&self, signal: &str) {
        let id = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// Resident memory of the bridge at its highest (VmHWM).
    pub fn peak_bytes(&self) -> usize {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.child.as_ref().unwrap().id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
    }

    pub fn stop(mut self) -> ExitStatus {
        self.signal("-TERM");
        self.child.take().unwrap().wait().unwrap()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub fn within(time: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + time;
    loop {
        if is_so() {
            return true;
        }
        if Instant::now() > until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A client with a session that counts what it gets: `TOPIC PAYLOAD RETAIN`.
pub struct Reader {
    child: Child,
    lines: Arc<Mutex<BTreeMap<String, usize>>>,
}

impl Reader {
    pub fn start(broker: &Mosquitto, filter: &str) -> Self {
        Self::start_as("reader", broker, filter)
    }

    pub fn start_as(id: &str, broker: &Mosquitto, filter: &str) -> Self {
        let port = broker.address().port().to_string();
        let client = |more: &[&str]| {
            let mut command = mosquitto::command("mosquitto_sub");
            command
                .args(["-h", "127.0.0.1", "-p", &port, "-c", "-i", id, "-q", "1", "-t", filter])
                .args(more);
            command
        };
        assert!(client(&["-E"]).status().unwrap().success());
        let mut child =
            client(&["-F", "%t %p %r"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = Arc::<Mutex<BTreeMap<String, usize>>>::default();
        let (text, into) = (BufReader::new(child.stdout.take().unwrap()), lines.clone());
        std::thread::spawn(move || {
            for line in text.lines().map_while(Result::ok) {
                *into.lock().unwrap().entry(line).or_default() += 1;
            }
        });
        Self { child, lines }
    }

    pub fn signal(&self, signal: &str) {
        assert!(
            Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap().success()
        );
    }

    pub fn has(&self, line: &str) -> usize {
        self.lines.lock().unwrap().get(line).copied().unwrap_or(0)
    }

    pub fn missing(&self, expected: &[String]) -> Vec<String> {
        expected.iter().filter(|line| self.has(line) == 0).cloned().collect()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Publishes a part at QoS 1; what the other side is to have of it.
pub fn publish(broker: &Mosquitto, topic: &str, there: &str, part: usize) -> Vec<String> {
    let numbers = part * PART..(part + 1) * PART;
    numbers
        .map(|n| {
            broker.publish(&["-q", "1", "-t", &format!("{topic}/{n}"), "-m", &format!("m{n}")]);
            format!("{there}/{n} m{n} 0")
        })
        .collect()
}

/// Both directions stand: until then the brokers drop what they are given.
pub fn until_it_carries(
    site: &Site,
    (local, at_local): (&Mosquitto, &Reader),
    (hub, at_hub): (&Mosquitto, &Reader),
) {
    site.until("both ways", || {
        local.publish(&["-q", "1", "-t", "line/probe", "-m", "x"]);
        hub.publish(&["-q", "1", "-t", "site7/cmd/probe", "-m", "x"]);
        std::thread::sleep(Duration::from_millis(100));
        at_hub.has("site7/line/probe x 0") > 0 && at_local.has("cmd/probe x 0") > 0
    });
}

/// Returns whether the hub's log says that the site has acknowledged its message of this topic.
pub fn is_acknowledged(log: &str, topic: &str) -> bool {
    let sent =
        |line: &&str| line.contains("Sending PUBLISH to site7") && line.contains(&format!("'{topic}'"));
    let id = |line: &str| Some(line.split_once(", m")?.1.split_once(',')?.0.to_owned());
    let acknowledged = |id: String| log.contains(&format!("Received PUBACK from site7 (Mid: {id},"));
    log.lines().find(sent).and_then(id).is_some_and(acknowledged)
}

pub fn conf(hub: &str, version: &str, more: &str) -> String {
    format!(
        "connection up\naddress {hub}\nbridge_protocol_version {version}\nremote_clientid site7\nrestart_timeout 1\n\
         topic line/# out 1 \"\" site7/\ntopic # in 1 cmd/ site7/cmd/\n{more}\n"
    )
}

pub fn host(url: &str) -> &str {
    url.strip_prefix("mqtt://").unwrap()
}
