//! Addresses of listeners that the gateway takes over.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use mosquitto_conf::conf::Line;
use mosquitto_conf::values::number;

use super::origin::Origin;
use super::output::{Output, Part, quoted};
use super::pools::Pool;

const PART: Part = Part::Local;
/// Port of a listener for which only `bind_address` is set.
const PORT: u16 = 1883;

/// Address of a listener that the gateway can take over.
pub(super) struct Address {
    pub(super) lines: Vec<Line>,
    /// IP address as in the file, or a variable of the environment.
    host: String,
    pub(super) port: u16,
}

impl Address {
    /// Reads the address of a listener. `None`: there is none, or it is wrong, which is reported.
    pub(super) fn take(pool: &mut Pool, output: &mut Output) -> Option<Self> {
        let listener = pool.take(&["listener"]).pop();
        if let Some(line) = listener {
            let mut words = line.value.split_whitespace();
            let port = words.next().unwrap_or_default().to_owned();
            let host = words.next().filter(|word| !word.starts_with('#')).unwrap_or("0.0.0.0").to_owned();
            return Self::read(vec![line], &host, &port, output);
        }
        let port = pool.take_last(&["port"], PART, output);
        let host = pool.take_last(&["bind_address"], PART, output);
        let text = |line: &Option<Line>, preset: &str| {
            let given =
                line.as_ref().and_then(|line| line.value.split_whitespace().next().map(str::to_owned));
            given.unwrap_or_else(|| preset.to_owned())
        };
        let (port_text, host_text) = (text(&port, &PORT.to_string()), text(&host, "0.0.0.0"));
        let lines: Vec<Line> = port.into_iter().chain(host).collect();
        if lines.is_empty() { None } else { Self::read(lines, &host_text, &port_text, output) }
    }

    fn read(lines: Vec<Line>, host: &str, port: &str, output: &mut Output) -> Option<Self> {
        let host = if host == "localhost" { "127.0.0.1" } else { host };
        let is_address = host.contains("${") || host.parse::<IpAddr>().is_ok();
        let why = match number::<u16>(port) {
            Ok(0) => "a unix socket is not supported: a port".to_owned(),
            Err(error) => error,
            Ok(_) if !is_address => format!("\"{host}\" is a name: the gateway listens at an IP address"),
            Ok(port) => return Some(Self { lines, host: host.to_owned(), port }),
        };
        lines.iter().for_each(|line| output.leave_with_warning(PART, line, &why));
        None
    }

    /// Writes the address. An address at which the file lets no client in is narrowed to the loopback interface, because there the gateway would let
    /// every client in.
    pub(super) fn write(&self, key: &str, may_enter: bool, output: &mut Output) {
        let origins: Vec<Origin> = self.lines.iter().map(Origin::from).collect();
        let ip = self.host.parse::<IpAddr>().ok();
        let is_narrowed = !may_enter && ip.is_none_or(|ip| !ip.is_loopback());
        let text = match ip {
            _ if is_narrowed => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), self.port).to_string(),
            Some(ip) => SocketAddr::new(ip, self.port).to_string(),
            None => format!("{}:{}", self.host, self.port),
        };
        output.key(PART, key, &quoted(&text), &origins, "");
        if is_narrowed {
            let text = "nobody may enter there: no password_file, no certificates, no allow_anonymous true. Here it is an address of this machine alone, where everybody may";
            output.warn(origins.into_iter().next(), text);
        }
    }
}
