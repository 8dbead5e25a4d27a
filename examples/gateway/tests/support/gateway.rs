//! The gateway as a child process.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::wall_clock::WallClock;
use super::{free_port, wait_until};

pub const BINARY: &str = env!("CARGO_BIN_EXE_edge-gateway");

pub struct Gateway {
    pub dir: PathBuf,
    pub metrics: SocketAddr,
    /// The machine's, if there is none.
    pub wall_clock: Option<WallClock>,
    /// Options of `ulimit`, if it is not to have this process's limits.
    pub ulimit: Option<&'static str>,
    /// Variables of its environment, besides this process's.
    pub env: Vec<(&'static str, String)>,
    /// Directory of the queue.
    pub state: PathBuf,
    child: Option<Child>,
}

impl Gateway {
    /// A running one between sensors, which find it at the address, and a hub. `rest`: the tables besides.
    pub fn started(dir: &Path, hub: SocketAddr, rest: &str) -> (Self, SocketAddr) {
        let listen = free_port();
        let config = format!(
            "[gateway]\nid = \"g\"\n[local]\nlisten = \"{listen}\"\n[hub]\nurl = \"mqtt://{hub}\"\n{rest}"
        );
        let mut gateway = Self::new(dir, &config);
        gateway.start();
        (gateway, listen)
    }

    /// Writes `gateway.toml`, with metrics at a free address. Starts nothing.
    pub fn new(dir: &Path, config: &str) -> Self {
        let metrics = free_port();
        let config = format!("{config}\n[metrics]\nlisten = \"{metrics}\"\ntotals_within = \"1s\"\n");
        fs::write(dir.join("gateway.toml"), config).unwrap();
        let (dir, state) = (dir.to_owned(), dir.join("state"));
        Self { dir, metrics, wall_clock: None, ulimit: None, env: Vec::new(), state, child: None }
    }

    pub fn command(&self) -> Command {
        let mut command = match self.ulimit {
            None => Command::new(BINARY),
            Some(options) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("ulimit {options}; exec \"$0\" \"$@\""), BINARY]);
                shell
            }
        };
        command.arg("run").arg(self.dir.join("gateway.toml")).arg("--state").arg(&self.state);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        if let Some(clock) = &self.wall_clock {
            clock.give_to(&mut command);
        }
        command
    }

    pub fn start_unready(&mut self) {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.log_path()).unwrap();
        self.child = Some(self.command().stdin(Stdio::null()).stderr(log).spawn().unwrap());
    }

    /// Starts it and waits until it is ready.
    pub fn start(&mut self) {
        self.start_within(40);
    }

    pub fn start_within(&mut self, seconds: u64) {
        self.start_unready();
        wait_until("the gateway is ready", seconds, || {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "it ended: {}", self.log());
            self.get("/readyz").is_some_and(|(status, _)| status == 200)
        });
    }

    /// Returns the exit code of a process that has ended by itself; `None` while it runs.
    pub fn exit_code(&mut self) -> Option<i32> {
        self.child.as_mut().and_then(|child| child.try_wait().unwrap()).and_then(|status| status.code())
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Most resident memory of the running process, in KiB.
    pub fn resident_kib_max(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Signal 9, proved by the exit status.
    pub fn kill_9(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9));
    }

    /// Sends a signal, such as "HUP".
    pub fn signal(&self, name: &str) {
        let sent =
            Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Result of `do_it` while the process stands still: of a hub that returns, nobody is served before a reader is subscribed.
    pub fn paused<T>(&self, do_it: impl FnOnce() -> T) -> T {
        self.signal("STOP");
        let result = do_it();
        self.signal("CONT");
        result
    }

    /// SIGTERM; how it ended and how long it took.
    pub fn terminate(&mut self) -> (ExitStatus, Duration) {
        let mut child = self.child.take().unwrap();
        let start = Instant::now();
        let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let mut status = None;
        wait_until("the gateway stops", 20, || {
            status = child.try_wait().unwrap();
            status.is_some()
        });
        (status.unwrap(), start.elapsed())
    }

    /// Status and body.
    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        get(self.metrics, path)
    }

    /// The value of one series.
    pub fn metric(&self, series: &str) -> Option<f64> {
        let (_, page) = self.get("/metrics")?;
        page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.dir.join("gateway.log")
    }
}

/// Status and body of a page.
pub fn get(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- gateway.log\n{}", self.log());
        }
    }
}
