//! Line of `edge-gateway check` about the wear of the flash below the state directory.

use std::path::Path;

use crate::run::status::flash_wear::FlashWear;

use super::free_disk::nearest_directory;

/// Returns the line; `None` if the kernel does not tell the wear, as of most disks.
pub(super) fn line(state: &Path) -> Option<String> {
    FlashWear::of(&nearest_directory(state)?).map(text)
}

fn text(FlashWear { life_used_tenths, pre_eol }: FlashWear) -> String {
    let used = life_used_tenths.map(|tenths| match tenths {
        0..=10 => format!("at most {} % of its life is used", u32::from(tenths) * 10),
        _ => "it is beyond its life".to_owned(),
    });
    let reserve = pre_eol.map(|now| format!("reserved blocks {}", now.as_str()));
    let said: Vec<String> = used.into_iter().chain(reserve).collect();
    format!("  flash of the state directory: {}, as it estimates itself\n", said.join(", "))
}

#[cfg(test)]
mod tests {
    use crate::run::status::flash_wear::PreEol;

    use super::*;

    #[test]
    fn what_the_device_says_is_said() {
        let said = |life_used_tenths, pre_eol| text(FlashWear { life_used_tenths, pre_eol });
        assert_eq!(
            said(Some(2), Some(PreEol::Normal)),
            "  flash of the state directory: at most 20 % of its life is used, reserved blocks normal, as it estimates itself\n"
        );
        assert!(said(Some(11), None).contains(": it is beyond its life, as"));
        assert!(said(None, Some(PreEol::Urgent)).contains(": reserved blocks urgent, as"));
    }
}
