//! Digest of a configuration, by which configurations of several gateways are compared.

use sha2::{Digest, Sha256};

use super::Config;

/// Returns the first eight digits of the SHA-256 of the configuration's files as they are written, and of the rules files that they name. Gateways
/// with equal files have the same digest, whatever their environments.
pub(super) fn digest(config: &Config) -> String {
    let mut hash = Sha256::new_with_prefix(&config.sources.main().text);
    for source in config.sources.included() {
        // No TOML has this byte, so that it matters in which file a line is.
        hash.update([0]);
        hash.update(&source.text);
    }
    for rules in config.routes.iter().filter_map(|route| route.rules.as_ref()) {
        hash.update(rules);
    }
    if let Some(control) = &config.control {
        hash.update(&control.text);
    }
    hash.finalize().iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}
