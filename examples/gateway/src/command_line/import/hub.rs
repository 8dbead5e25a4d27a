//! Import of `[hub]` and `[gateway]` from the lines of a `connection` section.

use std::path::Path;

use edge_bridge::net::Target;
use mosquitto_conf::conf::Line;
use mosquitto_conf::values::{Protocol, address, boolean, first, number, protocol, text};

use super::Fatal;
use super::origin::Origin;
use super::output::{Output, Part, array, quoted};
use super::pools::Pool;

const PART: Part = Part::Hub;
/// Longest `[gateway] id`.
const ID_CHARS_MAX: usize = 64;
/// Shortest keep-alive of Mosquitto.
const KEEP_ALIVE_MIN_S: u16 = 5;
/// Port of MQTT with TLS.
const TLS_PORT: &str = ":8883";
/// Options that need TLS, whether or not an authority is named.
const TLS_WORDS: [&str; 6] = [
    "bridge_alpn",
    "bridge_capath",
    "bridge_certfile",
    "bridge_ciphers",
    "bridge_keyfile",
    "bridge_tls_version",
];

/// Writes both tables. `host` is the name of this machine.
///
/// # Errors
///
/// The section names no address.
pub(super) fn hub(pool: &mut Pool, host: &str, output: &mut Output) -> Result<(), Fatal> {
    let Some(connection) = pool.take(&["connection"]).pop() else {
        return Err(Fatal::new(None, "no connection section: there is no hub to send to"));
    };
    let name = first(&connection.value).map_err(|error| Fatal::at(&connection, &error))?;
    output.head(PART, (&connection).into());
    let has_tls = addresses(pool, &connection, output)?;
    if has_tls {
        files(pool, output);
        alpn(pool, output);
    }
    client_id(pool, name, host, &connection, output);
    let words = [&["remote_username", "username"][..], &["remote_password", "password"]];
    login(pool, PART, words, ["user", "password_file", "hub.password"], output);
    version(pool, output);
    session(pool, output);
    if let Some(line) = pool.take_last(&["keepalive_interval"], PART, output) {
        match number::<u16>(&line.value) {
            Ok(seconds) => {
                let value = quoted(&format!("{}s", seconds.max(KEEP_ALIVE_MIN_S)));
                output.key(PART, "keep_alive", &value, &[(&line).into()], "");
            }
            Err(error) => output.leave_with_warning(PART, &line, &error),
        }
    }
    Ok(())
}

/// Writes the addresses. Returns whether they use TLS.
fn addresses(pool: &mut Pool, connection: &Line, output: &mut Output) -> Result<bool, Fatal> {
    let mut lines = pool.take(&["address", "addresses"]).into_iter();
    let Some(line) = lines.next() else {
        return Err(Fatal::at(connection, "the connection has no address: there is no hub to send to"));
    };
    lines.for_each(|line| output.leave_with_warning(PART, &line, "the connection has addresses already"));
    let words = line.value.split_whitespace().take_while(|word| !word.starts_with('#'));
    let hosts: Vec<String> =
        words.map(host_and_port).collect::<Result<_, _>>().map_err(|e| Fatal::at(&line, &e))?;
    let (scheme, mut origins) = scheme(pool, &hosts, &line, output);
    let mut urls = hosts.iter().map(|host| format!("{scheme}://{host}"));
    let Some(first) = urls.next() else { return Err(Fatal::at(&line, "has no value")) };
    origins.insert(0, (&line).into());
    output.key(PART, "url", &quoted(&first), &origins, "");
    let others: Vec<String> = urls.collect();
    if !others.is_empty() {
        output.key(PART, "further_urls", &array(&others), &[(&line).into()], "");
        if let Some(line) = pool.take_last(&["round_robin"], PART, output) {
            match boolean(&line.value) {
                Ok(turns) => output.key(PART, "failback", &(!turns).to_string(), &[(&line).into()], ""),
                Err(error) => output.leave_with_warning(PART, &line, &error),
            }
        }
    }
    Ok(scheme == "mqtts")
}

/// Reads a host with its port in the gateway's form. Errors do not quote a URL, which may hold a password.
fn host_and_port(word: &str) -> Result<String, String> {
    if word.contains('@') {
        return Err("a user or password belongs into remote_username and remote_password".to_owned());
    }
    let host = address(word)?;
    // A variable of the environment may be anything.
    if !host.contains("${") {
        format!("mqtt://{host}").parse::<Target>().map_err(|error| error.to_string())?;
    }
    Ok(host)
}

/// Chooses the scheme. Returns it with the lines that decided it and become no other key.
fn scheme(
    pool: &mut Pool,
    hosts: &[String],
    address: &Line,
    output: &mut Output,
) -> (&'static str, Vec<Origin>) {
    let system = pool.take_last(&["bridge_tls_use_os_certs"], PART, output);
    let trusts_system = system.as_ref().is_some_and(|line| boolean(&line.value) == Ok(true));
    let mut origins = Vec::new();
    match system {
        Some(line) if trusts_system => origins.push((&line).into()),
        Some(line) => {
            output.leave(PART, &line, "the authorities of the system are trusted where `ca` names none");
        }
        None => {}
    }
    if trusts_system || pool.has("bridge_cafile") {
        return ("mqtts", origins);
    }
    if TLS_WORDS.iter().any(|word| pool.has(word)) {
        let text = "asks for TLS without bridge_cafile: Mosquitto sends everything in the clear, the password too. Here it is mqtts, with the authorities of the system";
        output.warn(Some(address.into()), text);
        return ("mqtts", origins);
    }
    if let Some(host) = hosts.iter().find(|host| host.ends_with(TLS_PORT)) {
        let text = format!(
            "{host} is the port of TLS, and no line asks for it: bridge_cafile, or bridge_tls_use_os_certs true"
        );
        output.warn(Some(address.into()), &text);
    }
    ("mqtt", origins)
}

/// Writes the certificates.
fn files(pool: &mut Pool, output: &mut Output) {
    if let Some(line) = pool.take_last(&["bridge_cafile"], PART, output) {
        path(PART, "ca", &line, &[], output);
    }
    let cert = pool.take_last(&["bridge_certfile"], PART, output);
    let key = pool.take_last(&["bridge_keyfile"], PART, output);
    match (cert, key) {
        (Some(cert), Some(key)) => {
            path(PART, "cert", &cert, &[], output);
            path(PART, "key", &key, &[], output);
        }
        (cert, key) => {
            let why = "bridge_certfile and bridge_keyfile belong together: one of them is missing";
            cert.iter().chain(&key).for_each(|line| output.leave_with_warning(PART, line, why));
        }
    }
}

/// Writes `key` with the path of a file that `line` gives. `more`: other lines that the comment behind the key names as its origin, such as the one that
/// demands the file.
pub(super) fn path(part: Part, key: &str, line: &Line, more: &[Origin], output: &mut Output) {
    let value = match text(&line.value) {
        Ok(Some(value)) => value,
        Ok(None) => String::new(),
        Err(error) => return output.leave_with_warning(part, line, &error),
    };
    if Path::new(&value).is_relative() && !value.starts_with("${") {
        let text = format!("{}: a relative path: here it starts from the folder of gateway.toml", line.word);
        output.warn(Some(line.into()), &text);
    }
    let origins: Vec<Origin> = std::iter::once(line.into()).chain(more.iter().cloned()).collect();
    output.key(part, key, &quoted(&value), &origins, "");
}

fn alpn(pool: &mut Pool, output: &mut Output) {
    let Some(line) = pool.take_last(&["bridge_alpn"], PART, output) else { return };
    let checked = edge_bridge::net::validate_alpn(&[&line.value]).map_err(|error| error.to_string());
    match checked {
        Ok(()) => output.key(PART, "alpn", &array(std::slice::from_ref(&line.value)), &[(&line).into()], ""),
        Err(error) => output.leave_with_warning(PART, &line, &error),
    }
}

/// Writes the client identifier at the hub, and the gateway's id, which is derived from it.
fn client_id(pool: &mut Pool, name: &str, host: &str, connection: &Line, output: &mut Output) {
    let line = pool.take_last(&["remote_clientid", "clientid"], PART, output);
    let given = line.as_ref().and_then(|line| text(&line.value).ok().flatten());
    if let (Some(line), None) = (&line, &given) {
        output.leave_with_warning(PART, line, "has no value");
    }
    match (line, given) {
        (Some(line), Some(id)) => {
            output.key(Part::Gateway, "id", &quoted(&gateway_id(&id)), &[], "made of the client identifier");
            output.key(PART, "client_id", &quoted(&id), &[(&line).into()], "");
        }
        _ => {
            let id = if host.is_empty() { name.to_owned() } else { format!("{host}.{name}") };
            let text = format!(
                "no remote_clientid: Mosquitto's is HOSTNAME.{name}, here with the name of the machine that imports. Two gateways of one client_id throw each other out of the hub"
            );
            output.warn(Some(connection.into()), &text);
            output.key(Part::Gateway, "id", &quoted(&gateway_id(&id)), &[], "made of the client identifier");
            output.key(PART, "client_id", &quoted(&id), &[], "HOSTNAME.CONNECTION, as Mosquitto makes it");
        }
    }
}

/// Returns a name of letters, digits, `-`, `_` and `.`. Variables of the environment stay in it.
fn gateway_id(id: &str) -> String {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let plain = |text: &str| text.chars().map(|c| if is_fine(c) { c } else { '-' }).collect::<String>();
    let (mut made, mut rest) = (String::new(), id);
    while let Some((before, (name, behind))) =
        rest.split_once("${").and_then(|(b, a)| Some((b, a.split_once('}')?)))
    {
        made.push_str(&plain(before));
        made.push_str(&format!("${{{name}}}"));
        rest = behind;
    }
    made.push_str(&plain(rest));
    if made.contains("${") { made } else { made.chars().take(ID_CHARS_MAX).collect() }
}

/// Writes the user of these words, and the name of the file for the password, at these keys.
pub(super) fn login(
    pool: &mut Pool,
    part: Part,
    [user_words, password_words]: [&[&str]; 2],
    [user_key, file_key, file]: [&str; 3],
    output: &mut Output,
) {
    let user = pool.take_last(user_words, part, output);
    let password = pool.take_last(password_words, part, output);
    let name = user.as_ref().and_then(|line| text(&line.value).ok().flatten());
    match (user, password, name) {
        (Some(user), Some(password), Some(name)) => {
            output.key(part, user_key, &quoted(&name), &[(&user).into()], "");
            output.key(part, file_key, &quoted(file), &[], "to be written: one line, mode 0600");
            let why = format!("the password goes into the file that {file_key} names, as its one line");
            output.leave_with_warning(part, &password, &why);
        }
        (user, password, _) => {
            let why = "user and password belong together: one of them is missing";
            user.iter().chain(&password).for_each(|line| output.leave_with_warning(part, line, why));
        }
    }
}

fn version(pool: &mut Pool, output: &mut Output) {
    // Of what comes from the hub, the session of Mosquitto's bridge keeps nothing.
    let brings = pool.lines().any(|line| {
        line.word == "topic"
            && line.value.split_whitespace().nth(1).is_some_and(|word| !word.eq_ignore_ascii_case("out"))
    });
    let has_expiry = pool.has("bridge_session_expiry_interval");
    let Some(line) = pool.take_last(&["bridge_protocol_version"], PART, output) else { return };
    match protocol(&line.value) {
        Ok(Protocol::V311) => output.key(PART, "protocol", "\"3.1.1\"", &[(&line).into()], ""),
        Ok(_) => {
            output.key(PART, "protocol", "\"5\"", &[(&line).into()], "");
            if brings && !has_expiry {
                let text = "mqttv50 without bridge_session_expiry_interval: Mosquitto's bridge lets its session end with the connection, so commands of an outage were lost";
                output.warn(Some((&line).into()), text);
            }
        }
        Err(error) => output.leave_with_warning(PART, &line, &error),
    }
}

fn session(pool: &mut Pool, output: &mut Output) {
    let Some(line) = pool.take_last(&["cleansession"], PART, output) else { return };
    match boolean(&line.value) {
        Ok(true) => {
            let why =
                "Mosquitto's bridge loses the messages of an outage with it; the gateway's queue keeps them";
            output.leave_with_warning(PART, &line, why);
        }
        Ok(false) => output.leave(PART, &line, "messages of an outage are in the gateway's queue"),
        Err(error) => output.leave_with_warning(PART, &line, &error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateways_name_has_no_letters_that_topics_would_mind() {
        for (id, name) in [
            ("gw14", "gw14"),
            ("plant/7 gw", "plant-7-gw"),
            ("gw ${SITE_ID}/1", "gw-${SITE_ID}-1"),
            (&"ä".repeat(100), &"-".repeat(64)),
        ] {
            assert_eq!(gateway_id(id), name);
        }
    }
}
