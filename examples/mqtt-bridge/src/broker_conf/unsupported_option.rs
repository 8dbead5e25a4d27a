//! Broker options that this program does not support.

use crate::section::Said;

/// Returns an error if access would be wider or topics would be others without the option; else a note that it has no effect.
pub(super) fn unsupported_option(word: &str) -> Said {
    if word.starts_with("auth_") || word.starts_with("plugin") || word == "global_plugin" {
        return Err("plugins are not supported: password_file and acl_file".to_owned());
    }
    match word {
        "clientid_prefixes" => Err("not supported: it would let in whom it keeps out".to_owned()),
        "mount_point" => Err("not supported: clients would have other topics".to_owned()),
        "capath" => Err("put the certificates into one file and name it as cafile".to_owned()),
        "crlfile" => Err("lists of revoked certificates are not supported".to_owned()),
        "psk_file" | "psk_hint" => Err("keys without certificates are not supported".to_owned()),
        "use_subject_as_username" | "use_username_as_clientid" => {
            Err("not supported: use_identity_as_username, or password_file".to_owned())
        }
        "bind_interface" | "socket_domain" => {
            Err("not supported: name an address behind the port".to_owned())
        }
        "enable_proxy_protocol" | "proxy_protocol_v2_require_tls" => Err("not supported".to_owned()),
        "autosave_interval"
        | "autosave_on_changes"
        | "persistence_file"
        | "persistence_location"
        | "retained_persistence" => Ok(Some(
            "sessions and retained messages of local clients are saved in --state, a second after a change",
        )),
        _ => Ok(Some("this program has no such setting")),
    }
}
