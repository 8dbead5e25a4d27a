//! Promise 12 over any bytes: the loops of the tests call this with broken packets, the fuzz target with inputs of its own.

use bytes::BytesMut;
use edge_bridge::wire::*;

use super::{decoded, encoded};

/// Feeds bytes to the decoder as a connection would. Whatever comes out must go back in, and out again the same; each call either takes bytes,
/// waits or fails, so that the work is bounded by the input.
pub fn swallow(bytes: &[u8], version: Version) -> usize {
    let mut buf = BytesMut::from(bytes);
    let mut packets = 0;
    loop {
        let before = buf.len();
        match decode(&mut buf, version, &Limits::default()) {
            Ok(Some(packet)) => {
                assert!(buf.len() + 2 <= before, "a packet has two bytes at least");
                let again = encoded(&packet, version);
                assert_eq!(decoded(&again, version).unwrap().unwrap(), packet, "{bytes:02x?}");
                packets += 1;
            }
            Ok(None) => {
                assert_eq!(buf.len(), before);
                break;
            }
            Err(error) => {
                assert!(error.offset <= before, "{error}");
                assert!(error.reason_code().is_error());
                assert!(error.disconnect_reason().is_valid_for(PacketType::Disconnect));
                assert!(!error.to_string().is_empty());
                break;
            }
        }
    }
    if let Err(error) = decode_connect(&mut BytesMut::from(bytes), &Limits::default()) {
        assert!(error.reason_code().is_valid_for(PacketType::ConnAck), "{error}");
    }
    packets
}
