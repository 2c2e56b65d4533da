//! The string pool: every distinct string once, in order.

use std::collections::BTreeMap;

use crate::layout::TextRow;
use crate::write::{Contents, EncodeError};

/// Strings and where each stands.
pub(super) struct Pool<'a> {
    places: BTreeMap<&'a str, TextRow>,
    pub(super) bytes: Vec<u8>,
}

impl<'a> Pool<'a> {
    /// A pool of all strings of the contents.
    pub(super) fn new(contents: &'a Contents) -> Result<Self, EncodeError> {
        let rules = contents
            .rules
            .iter()
            .flat_map(|rule| [&rule.key, &rule.name, &rule.file]);
        let all = rules
            .chain(contents.endpoints.iter().map(|endpoint| &endpoint.name))
            .chain(&contents.identities)
            .chain(&contents.nodes)
            .chain(&contents.logs)
            .chain(&contents.proxies);
        let mut places: BTreeMap<&str, TextRow> = BTreeMap::new();
        for text in all {
            let length = u32::try_from(text.len()).map_err(|_| EncodeError::TooMuch)?;
            places.insert(
                text,
                TextRow {
                    at: 0.into(),
                    length: length.into(),
                },
            );
        }
        let mut bytes = Vec::new();
        for (text, place) in &mut places {
            place
                .at
                .set(u32::try_from(bytes.len()).map_err(|_| EncodeError::TooMuch)?);
            bytes.extend_from_slice(text.as_bytes());
        }
        Ok(Self { places, bytes })
    }

    /// Where a string of the contents stands.
    pub(super) fn place(&self, text: &str) -> Result<TextRow, EncodeError> {
        self.places.get(text).copied().ok_or(EncodeError::TooMuch)
    }
}
