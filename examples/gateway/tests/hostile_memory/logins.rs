//! Wrong logins: their table is in the figure of `check`, and so is what the files of users and rights take.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use edge_bridge::access::{LoginMemory, PasswordFile};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use crate::site::{Site, ram_at_most};
use crate::support::free_port;
use crate::support::gateway::Gateway;
use crate::support::publisher::{packet, text};

/// User of [`files`] whose password is `secret`.
pub(crate) const USER: &str = "sensor";
/// User names that are tried from an address at a time: more than 128, for which a list of 256 is reserved.
const NAMES: usize = 140;

/// Writes `users` and `rights`, with this many users, of a rule each, beside [`USER`], who may do everything, as whoever has no name may.
pub(crate) fn files(dir: &Path, users: usize) {
    let line = |user: &str| PasswordFile::line(user, b"secret", [1; 12]).unwrap();
    let hash = line(USER).split_once(':').unwrap().1.to_owned();
    let others = (0..users).map(|n| format!("u{n}:{hash}\n"));
    let (mut logins, mut rights) = (line(USER) + "\n", format!("topic #\nuser {USER}\ntopic #\n"));
    logins.extend(others);
    rights.extend((0..users).map(|n| format!("user u{n}\ntopic a/{n}\n")));
    fs::write(dir.join("rights"), rights).unwrap();
    fs::write(dir.join("users"), logins).unwrap();
    fs::set_permissions(dir.join("users"), fs::Permissions::from_mode(0o600)).unwrap();
}

/// CONNECT of a client with this login.
pub(crate) fn connect(name: &str, user: &str, password: &str) -> Vec<u8> {
    let fields = [text(name), text(user), text(password)].concat();
    packet(0x10, &[&text(b"MQTT")[..], &[4, 0xc2, 0, 60], &fields].concat())
}

/// Tries [`NAMES`] users from each of so many addresses of this machine. Returns how many tries were refused.
pub(crate) fn guess(to: SocketAddr, addresses: u16) -> usize {
    let guess = move |address: u16, name: usize| async move {
        let socket = TcpSocket::new_v4().ok()?;
        let [high, low] = (address + 2).to_be_bytes();
        socket.bind(SocketAddr::from(([127, 1, high, low], 0))).ok()?;
        let mut stream = socket.connect(to).await.ok()?;
        stream.write_all(&connect("guess", &format!("nobody{name}"), "guessed")).await.ok()?;
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).await.ok()?;
        (answer[3] != 0).then_some(())
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let all = async move {
        let mut refused = 0;
        for address in 0..addresses {
            let tries: Vec<_> = (0..NAMES).map(|name| tokio::spawn(guess(address, name))).collect();
            for one in tries {
                refused += usize::from(one.await.unwrap().is_some());
            }
        }
        refused
    };
    runtime.block_on(all)
}

fn site(dir: &Path, access: &str) -> (Site, SocketAddr) {
    let listen = free_port();
    let config = format!(
        "[gateway]\nid = \"g\"\n[local]\nlisten = \"{listen}\"\n{access}\n[hub]\nurl = \"mqtt://{}\"\n[[route]]\nmatch = \"queued/#\"\n",
        free_port()
    );
    (Site::behind(Gateway::new(dir, &config), vec![listen]), listen)
}

/// The rise of the resident memory is the table's: it has to fit into what `check` adds for it.
#[test]
fn wrong_logins_from_many_addresses() {
    let dir = tempfile::tempdir().unwrap();
    files(dir.path(), 0);
    let without = ram_at_most(&site(dir.path(), "").0.gateway);
    let (mut site, listen) = site(dir.path(), "password_file = \"users\"\nacl_file = \"rights\"");
    let added = ram_at_most(&site.gateway) - without;
    site.gateway.start();
    // What connections take of themselves is there before.
    guess(listen, 2);
    let before = site.gateway.resident_kib_max();
    let addresses = 1_024;
    let refused = guess(listen, addresses);
    let risen = site.gateway.resident_kib_max() - before;
    println!("{refused} wrong logins: {risen} KiB more, check adds {added} KiB");
    assert!(refused > usize::from(addresses) * NAMES * 9 / 10, "{refused}");
    assert!(risen > 5_000, "they are counted: {risen} KiB");
    assert!(risen <= added, "{risen} KiB, and check adds {added} KiB");
    site.check("wrong logins");
}

/// Files of the largest size, put in force again and again: both sets of users and rights are in memory meanwhile.
#[test]
fn large_files_of_users_and_rights_that_change() {
    let dir = tempfile::tempdir().unwrap();
    files(dir.path(), 5_000);
    let mut other = site(dir.path(), "").0.gateway;
    other.start();
    let (before, without) = (other.resident_kib_max(), ram_at_most(&other));
    other.kill_9();
    let (mut site, _) = site(dir.path(), "password_file = \"users\"\nacl_file = \"rights\"");
    // Nobody logs in.
    let logins = LoginMemory::memory_bytes_max(&PasswordFile::default()) as u64 / 1024;
    let added = ram_at_most(&site.gateway) - without - logins;
    site.gateway.start();
    for n in 0..3 {
        files(dir.path(), 5_001 + n);
        let users = format!("users={}", 5_002 + n);
        crate::wait_until("the files are in force", 20, || site.gateway.log().contains(&users));
    }
    let risen = site.gateway.resident_kib_max() - before;
    println!("files of 5 000 users: {risen} KiB more than the {before} without, check adds {added} KiB");
    assert!(risen <= added, "{risen} KiB, and check adds {added} KiB");
    site.check("large files of users and rights");
}
