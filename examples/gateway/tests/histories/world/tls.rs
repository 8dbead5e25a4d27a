//! TLS between gateway and hub: an authority, the hub's certificate, and a listener of its own, since all else reads in clear.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// Writes the certificates and returns the lines of the listener.
pub(super) fn listener(dir: &Path, address: SocketAddr) -> String {
    let write = |name: &str, text: String| fs::write(dir.join(name), text).unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "test authority");
    let ca_key = KeyPair::generate().unwrap();
    write("ca.crt", params.self_signed(&ca_key).unwrap().pem());
    let issuer = Issuer::new(params, ca_key);
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let key = KeyPair::generate().unwrap();
    write("hub.crt", params.signed_by(&key, &issuer).unwrap().pem());
    write("hub.key", key.serialize_pem());
    let (port, dir) = (address.port(), dir.display());
    format!("listener {port} 127.0.0.1\ncafile {dir}/ca.crt\ncertfile {dir}/hub.crt\nkeyfile {dir}/hub.key\n")
}
