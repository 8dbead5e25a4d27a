#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! `edge-gateway run` with its configuration, certificates, users and rights in volumes that are exchanged as the kubelet does it. Promise 1.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use support::authority::Authority;
use support::gateway::{BINARY, Gateway};
use support::mosquitto::{Mosquitto, Subscriber, command};
use support::publisher::Publisher;
use support::{free_port, wait_until};

type Files = Vec<(&'static str, Vec<u8>)>;

/// Volume as the kubelet mounts a Secret or a ConfigMap: each file is a link through `..data`, which is a link to the folder of now.
struct Volume {
    at: PathBuf,
    versions: u32,
}

impl Volume {
    fn new(at: PathBuf, files: &Files, mode: u32) -> Self {
        fs::create_dir_all(&at).unwrap();
        open_to_all(&at);
        let mut volume = Self { at, versions: 0 };
        volume.exchange(files, mode);
        volume
    }

    /// Writes another version beside the one of now. Returns its folder's name.
    fn prepare(&mut self, files: &Files, mode: u32) -> String {
        self.versions += 1;
        let name = format!("..2026_11_30_12_00_00.{}", self.versions);
        fs::create_dir(self.at.join(&name)).unwrap();
        open_to_all(&self.at.join(&name));
        for (file, bytes) in files {
            let path = self.at.join(&name).join(file);
            fs::write(&path, bytes).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        let link = self.at.join("..data_tmp");
        let _ = fs::remove_file(&link);
        symlink(&name, link).unwrap();
        name
    }

    /// Puts another version in the place of the one of now, in one step, and removes that.
    fn exchange(&mut self, files: &Files, mode: u32) {
        let former = fs::read_link(self.at.join("..data")).ok();
        self.prepare(files, mode);
        fs::rename(self.at.join("..data_tmp"), self.at.join("..data")).unwrap();
        for (file, _) in files {
            // There from the first time on.
            let _ = symlink(Path::new("..data").join(file), self.at.join(file));
        }
        if let Some(former) = former {
            fs::remove_dir_all(self.at.join(former)).unwrap();
        }
    }
}

/// Lets all look into a folder, as the kubelet does, whatever the umask.
fn open_to_all(dir: &Path) {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Files of a certificate of this name with its key.
fn pair(authority: &Authority, dir: &Path, name: &str) -> Files {
    authority.sign(dir, "new", Some(name));
    [("tls.crt", "new.crt"), ("tls.key", "new.key"), ("ca.crt", "plant.crt")]
        .map(|(file, from)| (file, fs::read(dir.join(from)).unwrap()))
        .into()
}

/// A password file with this password of one user, and rights.
fn access(dir: &Path, password: &str) -> Files {
    let file = dir.join("users");
    let _ = fs::remove_file(&file);
    let mut passwd = Command::new(BINARY);
    passwd.arg("passwd").arg(&file).arg("oven").stdin(Stdio::piped()).stderr(Stdio::null());
    let mut passwd = passwd.spawn().unwrap();
    passwd.stdin.take().unwrap().write_all(format!("{password}\n").as_bytes()).unwrap();
    assert!(passwd.wait().unwrap().success());
    let rights = format!("topic write load/#\nuser oven\ntopic write {password}/#\n");
    vec![("users", fs::read(file).unwrap()), ("rights", rights.into_bytes())]
}

/// A gateway between its volumes and a hub that tells the names in certificates.
struct Site {
    dir: tempfile::TempDir,
    plant: Authority,
    hub: Mosquitto,
    listen: SocketAddr,
    secure: SocketAddr,
    gateway: Gateway,
    /// Text of the configuration, without its routes.
    config: String,
    /// Volumes of the configuration, the link's certificate, the listener's, and users with rights.
    volumes: [Volume; 4],
}

impl Site {
    fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let dir = temporary.path();
        let plant = Authority::new(dir, "plant");
        plant.sign(dir, "hub", Some("hub"));
        let (at_hub, listen, secure) = (free_port(), free_port(), free_port());
        let file = |name: &str| dir.join(name).display().to_string();
        let lines = format!(
            "user root\nlistener {} 127.0.0.1\ncafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true\n\
             use_identity_as_username true",
            at_hub.port(),
            file("plant.crt"),
            file("hub.crt"),
            file("hub.key"),
        );
        let hub = Mosquitto::start(dir, &lines);
        let config = format!(
            "[gateway]\nid = \"g\"\nreload = \"on_change\"\n[local]\nlisten = \"{listen}\"\ntls_listen = \"{secure}\"\n\
             cert = \"../listener/tls.crt\"\nkey = \"../listener/tls.key\"\npassword_file = \"../access/users\"\nacl_file = \"../access/rights\"\n\
             allow_anonymous = true\n[hub]\nurl = \"mqtts://localhost:{}\"\nca = \"../hub/ca.crt\"\ncert = \"../hub/tls.crt\"\nkey = \"../hub/tls.key\"\n",
            at_hub.port()
        );
        let at = dir.join("config");
        fs::create_dir(&at).unwrap();
        let mut gateway = Gateway::new(&at, &config);
        gateway.state = dir.join("state");
        let config = fs::read_to_string(at.join("gateway.toml")).unwrap();
        fs::remove_file(at.join("gateway.toml")).unwrap();
        let volumes = [
            Volume::new(at, &routes(&config, 0), 0o444),
            Volume::new(dir.join("hub"), &pair(&plant, dir, "life-0"), 0o440),
            Volume::new(dir.join("listener"), &pair(&plant, dir, "listener-0"), 0o400),
            Volume::new(dir.join("access"), &access(dir, "secret-0"), 0o600),
        ];
        gateway.start();
        Self { dir: temporary, plant, hub, listen, secure, gateway, config, volumes }
    }

    fn versions(&self, n: u32) -> [Files; 4] {
        let dir = self.dir.path();
        [
            routes(&self.config, n),
            pair(&self.plant, dir, &format!("life-{n}")),
            pair(&self.plant, dir, &format!("listener-{n}")),
            access(dir, &format!("secret-{n}")),
        ]
    }

    /// Exchanges all volumes.
    fn exchange(&mut self, n: u32) {
        let modes = [0o444, 0o440, 0o400, 0o600];
        let versions = self.versions(n);
        for ((volume, files), mode) in self.volumes.iter_mut().zip(&versions).zip(modes) {
            volume.exchange(files, mode);
        }
    }

    /// Returns whether the hub has seen the link's certificate of this version.
    fn is_at_hub(&self, n: u32) -> bool {
        fs::read_to_string(self.hub.log_path()).unwrap().contains(&format!("u'life-{n}'"))
    }

    /// Returns whether clients see the listener's certificate of this version.
    fn is_shown(&self, n: u32) -> bool {
        let line = format!(
            "openssl s_client -connect {} -servername localhost < /dev/null 2> /dev/null | openssl x509 -noout -subject",
            self.secure
        );
        let output = Command::new("sh").args(["-c", &line]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim_end().ends_with(&format!("listener-{n}"))
    }

    /// Returns whether the user's password and right are those of this version.
    fn lets_in(&self, n: u32) -> bool {
        let mut sensor = command("mosquitto_pub");
        sensor.args(["-h", "localhost", "-p", &self.secure.port().to_string(), "-q", "1", "-V", "5"]);
        sensor.args(["-u", "oven", "-P", &format!("secret-{n}"), "-t", &format!("secret-{n}/a"), "-m", "x"]);
        sensor.arg("--cafile").arg(self.dir.path().join("plant.crt"));
        let output = sensor.output().unwrap();
        output.status.success() && output.stderr.is_empty()
    }

    /// Waits until this version of all volumes is in force, a minute at most.
    #[track_caller]
    fn follows(&self, n: u32, at_hub: &Subscriber) {
        let start = Instant::now();
        let left = || 60_u64.saturating_sub(start.elapsed().as_secs());
        wait_until("users and rights", left(), || self.lets_in(n));
        assert!(!self.lets_in(n - 1), "the former password");
        wait_until("the listener's certificate", left(), || self.is_shown(n));
        let to = format!("up/{n}/load/");
        wait_until("the routes", left(), || at_hub.arrived().iter().any(|one| one.topic.starts_with(&to)));
        wait_until("the link's certificate", left(), || self.is_at_hub(n));
        println!("version {n} was in force after {:.1} s", start.elapsed().as_secs_f64());
    }
}

/// The configuration, whose routes go elsewhere in each version, with rules beside it.
fn routes(config: &str, n: u32) -> Files {
    let text = format!(
        "{config}[[route]]\nmatch = \"json/#\"\nto = \"batches\"\nformat = \"json\"\nfilter = \"rules.toml\"\n\
         [[route]]\nmatch = \"#\"\nto = \"up/{n}/\"\n"
    );
    let rules = format!("[[rule]]\nmatch = \"#\"\nstages = [ {{ deadband = {{ absolute = {n}.5 }} }} ]\n");
    vec![("gateway.toml", text.into_bytes()), ("rules.toml", rules.into_bytes())]
}

/// Nothing comes into force that the kubelet has not exchanged, and no certificate without its key.
fn nothing_changes_before_its_time(site: &mut Site) {
    let versions = site.versions(77);
    let folders: Vec<_> =
        site.volumes.iter_mut().zip(&versions).map(|(volume, files)| volume.prepare(files, 0o400)).collect();
    // The listener looks several times meanwhile; the link, whose first look is twenty seconds after its connection, at once.
    site.gateway.signal("HUP");
    std::thread::sleep(Duration::from_secs(8));
    assert!(site.lets_in(0) && site.is_shown(0) && !site.lets_in(77) && !site.is_at_hub(77));
    for (volume, folder) in site.volumes.iter().zip(folders) {
        fs::remove_dir_all(volume.at.join(folder)).unwrap();
    }
    let (cert, key) = (site.versions(78), site.versions(79));
    for n in [1, 2] {
        let mut files = cert[n].clone();
        files[1] = key[n][1].clone();
        site.volumes[n].exchange(&files, 0o400);
    }
    for told in ["TLS files of the link cannot be read again", "TLS files of the listener stay as they were"]
    {
        wait_until(told, 60, || site.gateway.log().contains(told));
    }
    assert!(site.lets_in(0) && site.is_shown(0) && !site.is_at_hub(78));
}

#[test]
fn volumes_that_are_exchanged_are_followed_within_a_minute_under_load_without_a_loss() {
    let mut site = Site::new();
    let pid = site.gateway.pid();
    let at_hub = Subscriber::start(site.hub.address, "#");
    wait_until("the hub has seen the first", 20, || site.is_at_hub(0));
    let is_over = AtomicBool::new(false);
    let listen = site.listen;
    let acked = std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let (mut sensor, mut n) = (Publisher::new(listen, "sensor", 20), 0);
            while !is_over.load(Ordering::Relaxed) {
                sensor.publish("load/a", &format!("n{n}"));
                n += 1;
                sensor.poll();
            }
            sensor.settle(0, 30);
            sensor.acked
        });
        nothing_changes_before_its_time(&mut site);
        for n in 1..=2 {
            site.exchange(n);
            site.follows(n, &at_hub);
        }
        // One behind the other, as by a controller that changes its mind: the last one counts.
        (3..=7).for_each(|n| site.exchange(n));
        site.follows(7, &at_hub);
        is_over.store(true, Ordering::Relaxed);
        load.join().unwrap()
    });
    wait_until("all that was acknowledged arrives", 60, || {
        let arrived: BTreeSet<_> = at_hub.arrived().into_iter().map(|one| one.payload).collect();
        acked.iter().all(|payload| arrived.contains(payload))
    });
    assert!(acked.len() > 100, "{}", acked.len());
    assert_eq!((site.gateway.pid(), site.gateway.terminate().0.code()), (pid, Some(0)));
}

/// Files of this process's user, and those of root that a group may read, as `fsGroup` makes them.
#[test]
fn check_takes_the_modes_of_mounted_secrets_and_tells_those_that_are_open() {
    let mut site = Site::new();
    let is_root = fs::metadata(site.dir.path()).unwrap().uid() == 0;
    site.gateway.kill_9();
    let config = site.gateway.dir.join("gateway.toml");
    for (mode, is_told) in
        [(0o400, false), (0o600, false), (0o440, !is_root), (0o640, !is_root), (0o444, true), (0o660, true)]
    {
        let versions = site.versions(1);
        for (volume, files) in site.volumes.iter_mut().zip(&versions).skip(1) {
            volume.exchange(files, mode);
        }
        let checked = Command::new(BINARY).arg("check").arg(&config).output().unwrap();
        let said = String::from_utf8(checked.stderr).unwrap();
        assert_eq!(checked.status.code(), Some(0), "{mode:o}: {said}");
        for key in ["hub.key", "local.key", "local.password_file"] {
            let warning = format!("warning: {key}: ");
            let found = said
                .lines()
                .any(|line| line.starts_with(&warning) && line.contains(&format!("mode {mode:04o}")));
            assert_eq!(found, is_told, "{mode:o} {key}: {said}");
        }
    }
    if is_root {
        a_group_reads_what_root_has(&mut site, &config);
    }
}

/// As the container does, whose user has nothing but the group of the volume.
fn a_group_reads_what_root_has(site: &mut Site, config: &Path) {
    const USER: u32 = 65_532;
    open_to_all(site.dir.path());
    let program = site.dir.path().join("edge-gateway");
    fs::copy(BINARY, &program).unwrap();
    for (mode, group, code) in [(0o440, USER, 0), (0o440, 0, 2), (0o400, USER, 2)] {
        let versions = site.versions(1);
        for (volume, files) in site.volumes.iter_mut().zip(&versions).skip(1) {
            volume.exchange(files, mode);
            for (file, _) in files {
                chown(volume.at.join(file), None, Some(group)).unwrap();
            }
        }
        let ids = [format!("--reuid={USER}"), format!("--regid={USER}"), "--clear-groups".to_owned()];
        let checked =
            Command::new("setpriv").args(ids).arg(&program).arg("check").arg(config).output().unwrap();
        let said = String::from_utf8(checked.stderr).unwrap();
        assert_eq!(
            checked.status.code(),
            Some(code),
            "{mode:o} {group}, and TMPDIR has to be open to others: {said}"
        );
        assert!(!said.contains("others may read"), "{said}");
    }
}
