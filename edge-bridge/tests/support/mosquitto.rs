//! Mosquitto as a process of its own, found by name in PATH and /usr/sbin, on a loopback port that was free.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Free now; whoever it is for binds it in a moment. Below the ports that the system gives to listeners and clients that ask for any, of which
/// one might else take it while a broker is down.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..1_000 {
        let next = std::process::id().wrapping_mul(7_919).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = 10_000 + (next % 20_000) as u16;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free");
}

/// PATH as it is, and where Debian puts daemons.
fn path() -> std::ffi::OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/sbin");
    path
}

/// A command of the mosquitto packages.
pub fn command(name: &str) -> Command {
    let mut command = Command::new(name);
    command.env("PATH", path());
    command
}

fn missing(name: &str, error: &std::io::Error) -> ! {
    panic!(
        "{name} did not start ({error}): these tests speak to a real broker; install it with \
         `apt-get install -y mosquitto mosquitto-clients`"
    )
}

/// Its version, in its own words.
pub fn version() -> String {
    let output = command("mosquitto").arg("-h").output().unwrap_or_else(|e| missing("mosquitto", &e));
    String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or("unknown version").to_owned()
}

/// A broker that can be killed and started again.
pub struct Mosquitto {
    dir: tempfile::TempDir,
    port: u16,
    child: Option<Child>,
    /// Variables of its environment, besides this process's.
    env: Vec<(&'static str, PathBuf)>,
}

impl Mosquitto {
    /// Starts one with `extra` lines of configuration after the listener's.
    pub fn start(extra: &str) -> Self {
        Self::start_with(extra, Vec::new())
    }

    /// As [`start`](Self::start), with variables of its environment.
    pub fn start_with(extra: &str, env: Vec<(&'static str, PathBuf)>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let mut conf = String::new();
        writeln!(conf, "listener {port} 127.0.0.1\nallow_anonymous true\npersistence false").unwrap();
        writeln!(
            conf,
            "user root\nmax_queued_messages 0\nlog_dest file {}",
            dir.path().join("log").display()
        )
        .unwrap();
        writeln!(conf, "{extra}").unwrap();
        std::fs::write(dir.path().join("mosquitto.conf"), conf).unwrap();
        let mut broker = Self { dir, port, child: None, env };
        println!("hub: {}", version());
        broker.run();
        broker
    }

    /// Clients' commands for a broker on `port` of loopback that is another program.
    pub fn elsewhere(port: u16) -> Self {
        Self { dir: tempfile::tempdir().unwrap(), port, child: None, env: Vec::new() }
    }

    /// Runs it, after a [`kill`](Self::kill), and waits until it listens.
    pub fn run(&mut self) {
        assert!(self.child.is_none());
        let child = command("mosquitto")
            .arg("-c")
            .arg(self.dir.path().join("mosquitto.conf"))
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| missing("mosquitto", &e));
        self.child = Some(child);
        let until = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(self.address()).is_err() {
            assert!(Instant::now() < until, "mosquitto does not listen:\n{}", self.log());
            assert!(
                self.child.as_mut().unwrap().try_wait().unwrap().is_none(),
                "mosquitto ended:\n{}",
                self.log()
            );
            std::thread::yield_now();
        }
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    pub fn url(&self) -> String {
        format!("mqtt://{}", self.address())
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// `mosquitto_pub` with these arguments; waits for its end.
    pub fn publish(&self, args: &[&str]) {
        let status =
            self.client("mosquitto_pub", args).status().unwrap_or_else(|e| missing("mosquitto_pub", &e));
        assert!(status.success(), "mosquitto_pub {args:?}");
    }

    /// `mosquitto_sub` with these arguments, running.
    pub fn subscribe(&self, args: &[&str]) -> Subscriber {
        let mut command = self.client("mosquitto_sub", args);
        let child = command.stdout(Stdio::piped()).spawn().unwrap_or_else(|e| missing("mosquitto_sub", &e));
        Subscriber { child }
    }

    fn client(&self, name: &str, args: &[&str]) -> Command {
        let mut command = command(name);
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string()]).args(args);
        command
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A running `mosquitto_sub`.
pub struct Subscriber {
    child: Child,
}

impl Subscriber {
    /// Its lines, when it ends by itself (`-C`, `-W`).
    pub fn lines(mut self) -> Vec<String> {
        let mut text = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// Its different lines as soon as they are enough, or when it ends by itself.
    pub fn lines_until(mut self, are_enough: impl Fn(&BTreeSet<String>) -> bool) -> BTreeSet<String> {
        let mut seen = BTreeSet::new();
        for line in BufReader::new(self.child.stdout.take().unwrap()).lines() {
            seen.insert(line.unwrap());
            if are_enough(&seen) {
                break;
            }
        }
        seen
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A path under the target directory's temporary place, as text.
pub fn text(path: PathBuf) -> String {
    path.into_os_string().into_string().unwrap()
}
