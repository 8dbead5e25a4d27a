//! The bridge in process, no local broker: what is published is spooled on disk, then delivered over TLS.
//!
//! Arguments: the hub's URL, the CA, our certificate and key.

use bytes::Bytes;
use edge_bridge::{Bridge, Tls};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, url, ca, cert, key] = arguments.as_slice() else { return Err("URL CA CERT KEY".into()) };
    let spool = std::env::temp_dir().join(format!("embedder-bridge-{}", std::process::id()));

    let b = Bridge::builder(url)
        .client_id("site7")
        .tls(Tls::from_pem(ca, cert, key)?)
        .spool_dir(&spool)
        .start()
        .await?;
    let mut cmds = b.subscribe("cmd/#").await?;
    b.publish("plant/1/data", Bytes::from_static(b"21.5")).await?.await?;
    b.publish("cmd/valve", Bytes::from_static(b"open")).await?.await?;
    let c = cmds.next().await.ok_or("the stream ended")?;
    assert_eq!(&c.payload()[..], b"open");
    c.done();

    b.close().await?;
    std::fs::remove_dir_all(&spool)?;
    println!("bridge: ok");
    Ok(())
}
