//! `[hub]`: a proxy on the way, and names in TLS.

use std::os::unix::fs::PermissionsExt;

use super::*;

/// The configuration whose `[hub]` begins with `keys`, in a folder with `proxy.password`.
fn with(keys: &str, url: &str) -> Result<(Config, Findings), Findings> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("proxy.password");
    std::fs::write(&file, "secret\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let text = SMALL
        .replace("[hub]\nurl = \"mqtt://hub.example:1883\"\n", &format!("[hub]\n{keys}\nurl = \"{url}\"\n"));
    let env = |name: &str| match name {
        "PROXY_USER" => Some("site7".to_owned()),
        "CREDENTIALS_DIRECTORY" => Some(dir.path().to_str().unwrap().to_owned()),
        _ => None,
    };
    Config::parse(Path::new("gateway.toml"), &text, &env)
}

#[test]
fn a_proxy_is_read_with_its_login_of_file_and_environment() {
    let (config, findings) = with("proxy = \"http://10.1.0.9:3128\"", "mqtt://hub").unwrap();
    let proxy = config.hub.proxy.unwrap();
    assert_eq!((proxy.address.to_string().as_str(), proxy.login.is_none()), ("http://10.1.0.9:3128", true));
    assert_eq!(findings.to_string(), "");
    let keys = "proxy = \"http://${PROXY_USER}@proxy:3128\"\n\
                proxy_password_file = \"${CREDENTIALS_DIRECTORY}/proxy.password\"";
    let (config, findings) = with(keys, "mqtt://hub").unwrap();
    assert_eq!(findings.to_string(), "");
    assert!(!format!("{config:?}").contains("115, 101, 99"));
    let proxy = config.hub.proxy.unwrap();
    assert_eq!(proxy.address.user.as_deref(), Some("site7"));
    assert_eq!(proxy.login.unwrap().password, b"secret");
}

#[test]
fn mistakes_of_a_proxy_are_told_at_their_line_without_a_password() {
    let file = "proxy_password_file = \"${CREDENTIALS_DIRECTORY}/proxy.password\"";
    let both = |proxy: &str| format!("{file}\nproxy = \"{proxy}\"");
    for (keys, expected) in [
        ("proxy = \"proxy:3128\"".to_owned(), "error: hub.proxy: address of the proxy: no scheme"),
        ("proxy = \"https://proxy:3128\"".to_owned(), "https:// is not supported"),
        ("proxy = \"http://proxy\"".to_owned(), "no port"),
        ("proxy = \"http://u:hunter2@proxy:1\"".to_owned(), "a password stands in it"),
        ("proxy = \"http://u@proxy:1\"".to_owned(), "has a user: `proxy_password_file` is missing"),
        (file.to_owned(), "error: hub.proxy_password_file: belongs to `proxy`"),
        (both("http://proxy:1"), "error: hub.proxy_password_file: belongs to a user in `proxy`"),
        (both("http://u@proxy:1").replace("proxy.p", "none.p"), "No such file"),
    ] {
        let said = with(&keys, "mqtt://hub").unwrap_err().to_string();
        assert!(said.contains(expected), "{keys}: {said}");
        assert!(said.contains("gateway.toml:7:") || said.contains("gateway.toml:8:"), "{said}");
        assert!(!said.contains("hunter2") && !said.contains("secret"), "{said}");
    }
    // Also where an address is none of a proxy.
    let said = with("", "mqtt://u:hunter2@hub").unwrap_err().to_string();
    assert!(said.contains("error: hub.url:") && !said.contains("hunter2"), "{said}");
}

/// As a unit with `LoadCredential=` has them: the files of a folder that systemd fills at the start, mode 0400.
#[cfg(feature = "encryption")]
#[test]
fn keys_are_read_from_the_credentials_of_a_unit() {
    let dir = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let cert = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap().pem();
    std::fs::write(dir.path().join("site7.crt"), cert).unwrap();
    let credentials = dir.path().join("credentials");
    std::fs::create_dir(&credentials).unwrap();
    for (name, content) in [("site7.key", key.serialize_pem().as_bytes()), ("queue.key", &[7; 32])] {
        let file = credentials.join(name);
        std::fs::write(&file, content).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o400)).unwrap();
    }
    let text = SMALL.replace(
        "url = \"mqtt://hub.example:1883\"\n",
        "url = \"mqtts://hub\"\ncert = \"site7.crt\"\nkey = \"${CREDENTIALS_DIRECTORY:-/etc/edge-gateway}/site7.key\"\n\
         [queue]\nkey_file = \"${CREDENTIALS_DIRECTORY}/queue.key\"\n",
    );
    let given =
        |env: &dyn Fn(&str) -> Option<String>| Config::parse(&dir.path().join("gateway.toml"), &text, env);
    let folder = credentials.to_str().unwrap().to_owned();
    let (config, findings) =
        given(&|name| (name == "CREDENTIALS_DIRECTORY").then(|| folder.clone())).unwrap();
    assert_eq!(findings.to_string(), "");
    assert!(config.queue.key.is_some_and(|key| key.place().contains("/credentials/queue.key")));
    assert_eq!(config.hub.key, Some(credentials.join("site7.key")));
    // Without systemd: the default of the one, a mistake of the other.
    let said = given(&|_| None).unwrap_err().to_string();
    for expected in ["error: hub.key: /etc/edge-gateway/site7.key: ", "error: queue.key_file: "] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

#[test]
fn names_of_tls_are_read_and_checked() {
    let keys = "alpn = [\"x-amzn-mqtt-ca\"]\ntls_server_name = \"hub.example\"";
    let (config, _) = with(keys, "mqtts://10.0.0.1:443").unwrap();
    assert_eq!(config.hub.alpn, ["x-amzn-mqtt-ca"]);
    assert_eq!(config.hub.server_name.as_deref(), Some("hub.example"));
    let said = with(keys, "mqtt://10.0.0.1").unwrap_err().to_string();
    for place in [
        "error: hub.alpn: without effect",
        "gateway.toml:7:8",
        "error: hub.tls_server_name: without",
        "gateway.toml:8:19",
    ] {
        assert!(said.contains(place), "{place}: {said}");
    }
    for (keys, expected) in [
        ("alpn = [\"\"]", "error: hub.alpn: \"\" cannot be a protocol of ALPN"),
        ("alpn = \"mqtt\"", "error: hub.alpn: expected an array"),
        ("tls_server_name = \"hub:8883\"", "error: hub.tls_server_name: \"hub:8883\" cannot be the name"),
    ] {
        let said = with(keys, "mqtts://hub").unwrap_err().to_string();
        assert!(said.contains(expected) && said.contains("gateway.toml:7:"), "{keys}: {said}");
    }
}

#[test]
fn further_addresses_are_read_and_their_mistakes_told_at_their_line() {
    let (config, findings) =
        with("further_urls = [\"mqtt://b\", \"mqtt://[::1]:1884\"]", "mqtt://hub").unwrap();
    let urls: Vec<_> = config.hub.urls().collect();
    assert_eq!(urls, ["mqtt://hub:1883", "mqtt://b:1883", "mqtt://[::1]:1884"]);
    assert!(config.hub.failback && findings.to_string().is_empty(), "{findings}");
    let (config, _) = with("failback = false\nfurther_urls = [\"mqtt://b\"]", "mqtt://hub").unwrap();
    assert!(!config.hub.failback);
    for (keys, expected) in [
        ("further_urls = [\"mqtts://b\"]", "error: hub.further_urls: not the scheme of `url`"),
        ("further_urls = [\"mqtt://b\", \"b:1883\"]", "error: hub.further_urls: \"b:1883\": no scheme"),
        (
            "further_urls = [\"mqtt://127.0.0.1:1883\"]",
            "error: hub.further_urls: the hub is this gateway's own listener",
        ),
        ("further_urls = \"mqtt://b\"", "error: hub.further_urls: expected an array"),
    ] {
        let said = with(keys, "mqtt://hub").unwrap_err().to_string();
        assert!(said.contains(expected), "{keys}: {said}");
    }
    for (keys, expected) in [
        (
            "further_urls = [\"mqtt://b\", \"mqtt://hub:1883\"]",
            "warning: hub.further_urls: mqtt://hub:1883 stands there twice",
        ),
        (
            "further_urls = [\"mqtt://b:8883\"]",
            "warning: hub.further_urls: 8883 is the usual port of MQTT with TLS",
        ),
        ("failback = true", "warning: hub.failback: without effect"),
        ("further_urls = []\nfailback = false", "warning: hub.failback: without effect"),
    ] {
        let (_, findings) = with(keys, "mqtt://hub").unwrap();
        assert!(findings.to_string().contains(expected), "{keys}: {findings}");
    }
}

/// It was: `check` and `run` waited for a writer of the pipe, for ever.
#[test]
fn what_is_no_file_is_told_and_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let pipe = pipe.to_str().unwrap();
    for (keys, key) in
        [("ca", "ca"), ("cert", "cert"), ("key", "key"), ("user = \"u\"\npassword_file", "password_file")]
    {
        for (path, expected) in [
            (pipe, "not a file"),
            ("/dev/zero", "not a file"),
            (dir.path().to_str().unwrap(), "is a directory"),
        ] {
            let said = with(&format!("{keys} = \"{path}\""), "mqtts://hub").unwrap_err().to_string();
            assert!(
                said.contains(&format!("error: hub.{key}: {path}: ")) && said.contains(expected),
                "{said}"
            );
        }
    }
}

#[test]
fn the_form_of_identities_is_read_and_one_that_does_nothing_is_told() {
    for (keys, form) in [
        ("", IdentityForm::Text),
        ("identity = \"text\"", IdentityForm::Text),
        ("identity = \"binary\"", IdentityForm::Binary),
        ("identity = \"off\"", IdentityForm::Off),
    ] {
        let (config, findings) = with(keys, "mqtt://hub").unwrap();
        assert_eq!((config.hub.identity, findings.to_string().as_str()), (form, ""), "{keys}");
    }
    let said = with("identity = \"hex\"", "mqtt://hub").unwrap_err().to_string();
    assert!(said.contains("error: hub.identity: "), "{said}");
    let (_, findings) = with("protocol = \"3.1.1\"\nidentity = \"binary\"", "mqtt://hub").unwrap();
    let said = findings.to_string();
    assert!(said.contains("warning: hub.identity: without effect"), "{said}");
    assert!(said.contains("gateway.toml:8:12"), "{said}");
    let (_, findings) = with("protocol = \"3.1.1\"", "mqtt://hub").unwrap();
    assert_eq!(findings.to_string(), "");
}
