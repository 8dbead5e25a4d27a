//! Mosquitto and its publisher, found by name in PATH and /usr/sbin.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::wait_until;

fn command(name: &str) -> Command {
    let mut command = Command::new(name);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin")).stdin(Stdio::null());
    command
}

pub struct Mosquitto {
    pub address: SocketAddr,
    child: Child,
}

impl Mosquitto {
    pub fn start(dir: &Path) -> Self {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let conf = dir.join("mosquitto.conf");
        fs::write(&conf, format!("listener {} 127.0.0.1\nallow_anonymous true\n", address.port())).unwrap();
        let log = fs::File::create(dir.join("mosquitto.log")).unwrap();
        let child = command("mosquitto").arg("-c").arg(&conf).stderr(log).spawn();
        let child = child.expect("mosquitto is not installed: apt-get install mosquitto mosquitto-clients");
        let broker = Self { address, child };
        wait_until("mosquitto accepts", 10, || TcpStream::connect(address).is_ok());
        broker
    }

    pub fn url(&self) -> String {
        format!("mqtt://{}", self.address)
    }

    /// At QoS 1; returns with the PUBACK.
    pub fn publish(&self, dir: &Path, topic: &str, content_type: Option<&str>, retain: bool, payload: &[u8]) {
        let file = dir.join("payload");
        fs::write(&file, payload).unwrap();
        let mut command = command("mosquitto_pub");
        command.args(["-p", &self.address.port().to_string(), "-V", "mqttv5", "-q", "1", "-t", topic, "-f"]);
        command.arg(&file);
        if let Some(content_type) = content_type {
            command.args(["-D", "publish", "content-type", content_type]);
        }
        if retain {
            command.arg("-r");
        }
        let output =
            command.output().expect("mosquitto_pub is not installed: apt-get install mosquitto-clients");
        assert!(output.status.success(), "mosquitto_pub: {output:?}");
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
