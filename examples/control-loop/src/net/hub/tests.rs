use super::*;
use edge_queue::testing::SimDir;

fn hub() -> HubConfig {
    HubConfig::new("mqtt://127.0.0.1:9", "test", "unused")
}

/// `[hub]` has no `max_bytes`, which the queue would name.
#[tokio::test]
async fn a_full_disk_is_told_with_what_helps_here() {
    let dir = SimDir::new();
    dir.set_capacity(1 << 20);
    let told = open_in(&hub(), Box::new(dir)).await.map(drop).unwrap_err();
    let needed = config().disk_bytes();
    assert!(told.starts_with(&format!("disk full: the spool needs {needed} bytes, ")), "{told}");
    assert!(told.ends_with(": make room on its disk") && !told.contains("max_bytes"), "{told}");
}
