//! TLS with certificates on both sides: the hub lets in who shows a certificate of its authority, and nobody else.
//!
//! ```text
//! without a certificate: not let in
//! with a certificate: HandedOver
//! ```
#![forbid(unsafe_code)]

use std::error::Error;
use std::path::{Path, PathBuf};

use edge_bridge::net::{Server, ServerTls};
use edge_bridge::{Bridge, Closed, Receipt, Tls};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::sync::mpsc;

/// An authority, and certificates that it signs. In a plant these files come from the plant's own authority.
struct Authority {
    dir: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(dir: &Path) -> Result<Self, Box<dyn Error>> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        std::fs::write(dir.join("ca.crt"), params.self_signed(&key)?.pem())?;
        Ok(Self { dir: dir.to_owned(), issuer: Issuer::new(params, key) })
    }

    /// Writes `NAME.crt` and `NAME.key`, and returns their paths.
    fn sign(&self, name: &str, address: &str) -> Result<(PathBuf, PathBuf), Box<dyn Error>> {
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(vec![address.to_owned()])?.signed_by(&key, &self.issuer)?;
        let [crt, pem] = ["crt", "key"].map(|end| self.dir.join(format!("{name}.{end}")));
        std::fs::write(&crt, certificate.pem())?;
        std::fs::write(&pem, key.serialize_pem())?;
        Ok((crt, pem))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let authority = Authority::new(dir.path())?;
    let ca = dir.path().join("ca.crt");
    let (hub_crt, hub_key) = authority.sign("hub", "127.0.0.1")?;
    let (site_crt, site_key) = authority.sign("site7", "site7")?;

    let (show, mut seen) = mpsc::channel(16);
    let hub = Server::builder()
        .tls(ServerTls::from_pem(hub_crt, hub_key, Some(&ca))?)
        .start_observer("127.0.0.1:0", move |_, message| {
            let _ = show.try_send(message.topic.clone());
        })
        .await?;
    let url = format!("mqtts://{}", hub.local_addr());

    // Without a certificate: the message waits, and the log says why.
    let stranger = Bridge::builder(&url).client_id("stranger").tls(Tls::from_ca(&ca)?).start().await?;
    let refused = stranger.publish("stranger", "x").await?;
    let mut numbers = stranger.watch();
    let why = numbers.wait_for(|stats| stats.last_error.is_some()).await?.last_error.clone();
    println!("without a certificate: {}", if why.is_some() { "not let in" } else { "let in" });

    let bridge =
        Bridge::builder(&url).client_id("site7").tls(Tls::from_pem(&ca, site_crt, site_key)?).start().await?;
    let receipt = bridge.publish("site7/temperature", "21.5").await?.await?;
    println!("with a certificate: {receipt:?}");
    assert_eq!(receipt, Receipt::HandedOver);
    assert_eq!(seen.recv().await.as_deref(), Some("site7/temperature"));

    assert_eq!(stranger.close().await?, Closed::Lost(1));
    assert!(refused.await.is_err(), "never acknowledged");
    assert_eq!(bridge.close().await?, Closed::Delivered);
    Ok(())
}
