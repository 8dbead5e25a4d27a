use std::sync::Arc;

use super::*;
use crate::net::{Bridge, Tls};

fn tls() -> Tls {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let config = builder.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
    Tls::from_config(Arc::new(config))
}

fn refused(builder: &Builder) -> String {
    builder.dialer().err().map_or_else(String::new, |error| error.to_string())
}

#[test]
fn names_of_tls_are_checked_and_need_tls() {
    let over_tls = || Bridge::builder("mqtts://hub").tls(tls());
    assert_eq!(refused(&over_tls().alpn(&["mqtt"]).server_name("hub.example")), "");
    assert_eq!(refused(&over_tls().alpn(&[])), "");
    assert!(refused(&over_tls().alpn(&[""])).contains("protocol of ALPN"));
    assert!(refused(&over_tls().server_name("a b")).contains("\"a b\" cannot be the name"));
    let plain = || Bridge::builder("mqtt://hub");
    assert!(refused(&plain().alpn(&["mqtt"])).starts_with("alpn() is set"));
    assert!(refused(&plain().server_name("hub")).starts_with("server_name() is set"));
}

#[test]
fn a_proxy_is_checked_and_its_login_is_whole() {
    let with = |proxy: &str| Bridge::builder("mqtt://hub").proxy(proxy);
    assert_eq!(refused(&with("http://proxy:3128")), "");
    assert_eq!(refused(&with("http://site7@proxy:3128").proxy_password("secret")), "");
    let source = || Err(std::io::ErrorKind::NotFound.into());
    assert_eq!(refused(&with("http://site7@proxy:3128").proxy_password_from(source)), "");
    for half in [
        with("http://site7@proxy:3128"),
        with("http://proxy:3128").proxy_password("secret"),
        Bridge::builder("mqtt://hub").proxy_password("secret"),
    ] {
        assert!(refused(&half).contains("belong together"), "{}", refused(&half));
    }
    let builder = with("http://site7:secret@proxy:3128").proxy_password("secret");
    assert!(refused(&builder).contains("a password stands in it"));
    assert!(!refused(&builder).contains("secret") && !format!("{builder:?}").contains("secret"));
}

/// It was: the password in clear, of the hub and in an address, in whatever a program logs of its settings.
#[test]
fn no_password_is_shown_by_debug() {
    use crate::bridge::LinkConfig;
    use crate::listener::LoginRequest;

    let builder = Bridge::builder("mqtt://u:secret@hub").further_urls(["mqtt://u:secret@hub2"]);
    let builder = builder.credentials("site7", "secret").client_id("a");
    let shown = format!("{builder:?}");
    assert!(shown.contains("mqtt://…@hub") && shown.contains("mqtt://…@hub2"), "{shown}");
    let mut client = builder.client.clone();
    client.username = Some("site7".try_into().unwrap());
    let connect = client.to_connect();
    let login = LoginRequest { peer: None, certificate_name: None, connect: &connect };
    let all = format!("{builder:?} {client:?} {connect:?} {login:?} {:?}", LinkConfig::new(client.clone()));
    assert!(!all.contains("secret") && all.matches("password: Some(…)").count() == 5, "{all}");
}
