//! Promises 6 and 12 on a small gateway: forwarding a message costs the codec no memory of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![allow(unsafe_code, reason = "a counting allocator has to implement GlobalAlloc")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bytes::{Bytes, BytesMut};
use edge_bridge::wire::*;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // A thread that is being torn down has no counter any more; it is not one that we measure.
    let _ = ALLOCATIONS.try_with(|n| n.set(n.get() + 1));
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(ptr, layout, size) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

const PACKETS: usize = 1000;

fn message() -> Publish {
    let mut properties = PropertiesBuilder::new();
    properties.push(PropertyId::MessageExpiryInterval, Value::U32(3600)).unwrap();
    properties.user("edge-id", "0001-0-2-3").unwrap().user("unit", "°C").unwrap();
    Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: Utf8::from_static("plant/1/line2/press/temperature"),
        packet_id: PacketId::new(7),
        properties: properties.finish(),
        payload: Bytes::from(vec![b'x'; 200]),
    }
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 1);
    assert!(allocations(|| drop(std::hint::black_box(message()))) > 0);
}

#[test]
fn encoding_a_publish_allocates_nothing() {
    let publish = message();
    let packet = Packet::Publish(publish.clone());
    let mut out = BytesMut::with_capacity(PACKETS * 1000);
    let made = allocations(|| {
        for _ in 0..PACKETS {
            encode_publish(&publish, Version::V5, &mut out).unwrap();
            encode(&packet, Version::V5, &mut out).unwrap();
        }
    });
    assert_eq!(made, 0);
}

#[test]
fn decoding_a_publish_allocates_nothing_beyond_the_shared_buffer() {
    let mut one = BytesMut::new();
    encode_publish(&message(), Version::V5, &mut one).unwrap();
    let mut buf = BytesMut::from(&one.repeat(PACKETS)[..]);
    let mut bytes = 0;
    let made = allocations(|| {
        while let Some(packet) = decode(&mut buf, Version::V5, &Limits::default()).unwrap() {
            let Packet::Publish(publish) = packet else { continue };
            assert_eq!(publish.properties.u32(PropertyId::MessageExpiryInterval), Some(3600));
            assert_eq!(publish.properties.user_property("unit"), Some("°C"));
            bytes += publish.payload.len();
        }
    });
    assert_eq!(bytes, PACKETS * 200);
    // One for the whole buffer, when it is first shared.
    assert!(made <= 1, "{made} allocations for {PACKETS} packets");
}

/// A message is forwarded without a copy of its topic, properties or payload until they are written.
#[test]
fn decoded_fields_are_slices_of_the_received_buffer() {
    let mut buf = BytesMut::new();
    encode_publish(&message(), Version::V5, &mut buf).unwrap();
    let range = buf.as_ptr_range();
    let Ok(Some(Packet::Publish(publish))) = decode(&mut buf, Version::V5, &Limits::default()) else {
        panic!()
    };
    for field in [publish.topic.as_bytes(), publish.properties.as_bytes(), &publish.payload] {
        assert!(range.contains(&field.as_ptr()));
    }
    assert!(range.contains(&publish.properties.as_bytes().as_ptr()));
}
