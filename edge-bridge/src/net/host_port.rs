//! Parser of `HOST`, `HOST:PORT` or `[V6]:PORT`.

/// Returns the host without brackets, and the port if there is one. The error says in words what is wrong.
pub(super) fn host_port(text: &str) -> Result<(&str, Option<u16>), &'static str> {
    let (host, port) = match text.strip_prefix('[') {
        Some(v6) => {
            let (host, after) = v6.split_once(']').ok_or("a bracket is not closed")?;
            let port = match after {
                "" => None,
                _ => Some(after.strip_prefix(':').ok_or("text after the bracket")?),
            };
            (host, port)
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    // Control characters would be lines of their own in what a proxy is asked.
    let is_odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '@' | '?' | '#');
    if host.is_empty() || host.contains(is_odd) {
        return Err("not a host");
    }
    let port = match port {
        None => None,
        Some(port) => Some(port.parse().ok().filter(|port| *port > 0).ok_or("not a port")?),
    };
    Ok((host, port))
}

/// Formats `HOST:PORT`, with an IPv6 address in brackets.
pub(super) fn shown(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}
