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
