//! Salvage: all readable rows of a damaged store, as a stream for another gateway.
#![deny(clippy::indexing_slicing)]

use std::io::Write;

#[cfg(feature = "ring")]
use super::io;
use super::{InspectError, Inspection, lock};
#[cfg(feature = "ring")]
use crate::error::OpenError;
use crate::key::Key;
use crate::medium::{Dir, Overlay};
use crate::row::Lane;
use crate::store::Lost;
use crate::transfer::Exported;
#[cfg(feature = "ring")]
use crate::transfer::{ExportError, Exporter};

/// Result of a salvage.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Salvaged {
    /// Content of the stream.
    pub exported: Exported,
    /// Damage that was found, in words.
    pub damage: Vec<String>,
    /// Rows known to be lost.
    pub lost: Vec<(Lane, Lost)>,
    /// True if no damage was found.
    pub whole: bool,
    /// True if the bookkeeping was lost and rows were searched for page by page, so that some may have been delivered before.
    pub searched: bool,
}

/// Writes all readable rows of a damaged store as a stream, if necessary by a search of every page for rows. Changes nothing in `dir`. Takes some
/// 64 bytes of RAM a row for a ring that must be searched, and as much as the backlog for a redb file that redb refuses.
///
/// # Errors
/// As [`Inspection::open`], but not for a file in which nothing can be used; and those of `out`.
pub fn salvage(dir: Box<dyn Dir>, out: &mut dyn Write) -> Result<Salvaged, InspectError> {
    salvage_with(dir, None, out)
}

/// Salvages an encrypted store, as [`salvage`] does: of each frame the rows that open with the key.
///
/// # Errors
/// As [`salvage`], and for another key, or a store that is not encrypted.
#[cfg(feature = "encryption")]
pub fn salvage_encrypted(
    dir: Box<dyn Dir>,
    key: &Key,
    out: &mut dyn Write,
) -> Result<Salvaged, InspectError> {
    salvage_with(dir, Some(key), out)
}

/// Salvages a store with the key that there is.
pub(crate) fn salvage_with(
    dir: Box<dyn Dir>,
    key: Option<&Key>,
    out: &mut dyn Write,
) -> Result<Salvaged, InspectError> {
    let overlay = Overlay::new(dir);
    let guard = lock(&overlay)?;
    match Inspection::open_over(&overlay, guard, key) {
        Ok(mut found) => {
            let exported = found.export(out)?;
            let whole = found.is_whole();
            let Inspection { found, lost, .. } = found;
            Ok(Salvaged { exported, damage: found.damage, lost, whole, searched: false })
        }
        Err(InspectError::Unusable) => search(&overlay, key, out),
        Err(e) => Err(e),
    }
}

#[cfg(feature = "ring")]
fn search(overlay: &Overlay, key: Option<&Key>, out: &mut dyn Write) -> Result<Salvaged, InspectError> {
    let failed = |e| InspectError::Export(ExportError::Write(e));
    let _guard = lock(overlay)?;
    let mut rows = crate::store::Salvage::of(overlay, key).map_err(|e| io("read", e))?;
    let unopened = rows.unopened;
    if rows.is_empty() && (unopened.encrypted > 0 || unopened.plain > 0) {
        return Err(InspectError::Open(match key {
            None => OpenError::KeyMissing,
            Some(_) if unopened.encrypted > 0 => OpenError::WrongKey,
            Some(_) => OpenError::NotEncrypted,
        }));
    }
    let lanes = crate::row::LANES_MAX as u8;
    let mut exporter = Exporter::new(out, rows.gateway, rows.epoch, lanes).map_err(failed)?;
    rows.each_row(|row| exporter.row(row)).map_err(failed)?;
    let exported = exporter.finish().map_err(failed)?;
    let mut damage =
        vec!["neither superblock nor a segment's start can be used: searched every page for rows".into()];
    if unopened.encrypted > 0 {
        damage.push(format!("{} frames do not open with this key", unopened.encrypted));
    }
    if unopened.plain > 0 {
        damage.push(format!("{} frames are not encrypted", unopened.plain));
    }
    Ok(Salvaged { exported, damage, lost: Vec::new(), whole: false, searched: true })
}

#[cfg(not(feature = "ring"))]
fn search(_: &Overlay, _: Option<&Key>, _: &mut dyn Write) -> Result<Salvaged, InspectError> {
    Err(InspectError::Unusable)
}
