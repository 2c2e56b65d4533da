//! Leaving debug information out of the object. BTF, which is made from it, stays.
//!
//! What is left out would be most of the file, and its strings depend on where the sources lie, which nothing else in
//! the object does. Sections keep their numbers: those left out become empty ones of type "null", so that no
//! reference has to be rewritten.

use crate::TaskError;

/// Fields of the ELF header, by offset.
const SECTIONS_AT: usize = 40;
const SECTION_COUNT: usize = 60;
const NAMES_SECTION: usize = 62;
/// Bytes of the ELF header and of a section header.
const ELF_HEADER: usize = 64;
const SECTION_HEADER: usize = 64;
/// Fields of a section header, by offset.
const NAME: usize = 0;
const TYPE: usize = 4;
const OFFSET: usize = 24;
const SIZE: usize = 32;
const ALIGNMENT: usize = 48;
/// What the names of sections to leave out start with.
const LEFT_OUT: [&[u8]; 2] = [b".debug_", b".rel.debug_"];

/// The object without debug information; `None` if it is not a 64-bit little-endian ELF file, or a broken one.
fn stripped(object: &[u8]) -> Option<Vec<u8>> {
    if object.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let mut sections = sections(object)?;
    let names_section = usize::from(u16::from_le_bytes(field(object, NAMES_SECTION)?));
    let names = content(object, sections.get(names_section)?)?;
    let mut result = object.get(..ELF_HEADER)?.to_vec();
    for section in &mut sections {
        let name = names.get(usize::try_from(u32::from_le_bytes(field(section, NAME)?)).ok()?..)?;
        let is_null = u32::from_le_bytes(field(section, TYPE)?) == 0;
        if is_null || LEFT_OUT.iter().any(|prefix| name.starts_with(prefix)) {
            *section = vec![0; SECTION_HEADER];
            continue;
        }
        let alignment = number(section, ALIGNMENT)?.max(1);
        result.resize(result.len().next_multiple_of(alignment), 0);
        let content = content(object, section)?;
        set(section, OFFSET, result.len())?;
        result.extend_from_slice(content);
    }
    result.resize(result.len().next_multiple_of(8), 0);
    let at = result.len();
    set(&mut result, SECTIONS_AT, at)?;
    result.extend_from_slice(&sections.concat());
    Some(result)
}

/// The object without debug information.
pub(super) fn strip(object: &[u8]) -> Result<Vec<u8>, TaskError> {
    stripped(object)
        .ok_or_else(|| TaskError("the linker's output is not an ELF file as expected".to_owned()))
}

/// All section headers.
fn sections(object: &[u8]) -> Option<Vec<Vec<u8>>> {
    let at = number(object, SECTIONS_AT)?;
    let count = usize::from(u16::from_le_bytes(field(object, SECTION_COUNT)?));
    let headers = object.get(at..at.checked_add(count * SECTION_HEADER)?)?;
    Some(headers.chunks(SECTION_HEADER).map(<[u8]>::to_vec).collect())
}

fn content<'object>(object: &'object [u8], section: &[u8]) -> Option<&'object [u8]> {
    let at = number(section, OFFSET)?;
    object.get(at..at.checked_add(number(section, SIZE)?)?)
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u64::from_le_bytes(field(bytes, at)?)).ok()
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn set(bytes: &mut [u8], at: usize, value: usize) -> Option<()> {
    *bytes.get_mut(at..)?.first_chunk_mut()? = u64::try_from(value).ok()?.to_le_bytes();
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF file of a null section, the names, and one section of each name given.
    fn elf(parts: &[(&str, &[u8])]) -> Vec<u8> {
        let mut names = vec![0];
        let mut sections = vec![vec![0; SECTION_HEADER], vec![0; SECTION_HEADER]];
        let mut file = b"\x7fELF\x02\x01".to_vec();
        file.resize(ELF_HEADER, 0);
        for (name, content) in parts {
            let mut section = vec![0; SECTION_HEADER];
            section[NAME] = u8::try_from(names.len()).unwrap();
            names.extend_from_slice(name.as_bytes());
            names.push(0);
            set(&mut section, OFFSET, file.len()).unwrap();
            set(&mut section, SIZE, content.len()).unwrap();
            set(&mut section, ALIGNMENT, 8).unwrap();
            section[TYPE] = 1;
            file.extend_from_slice(content);
            file.resize(file.len().next_multiple_of(8), 0);
            sections.push(section);
        }
        set(&mut sections[1], OFFSET, file.len()).unwrap();
        set(&mut sections[1], SIZE, names.len()).unwrap();
        sections[1][TYPE] = 3;
        file.extend_from_slice(&names);
        let at = file.len();
        set(&mut file, SECTIONS_AT, at).unwrap();
        file[SECTION_COUNT] = u8::try_from(sections.len()).unwrap();
        file[NAMES_SECTION] = 1;
        file.extend_from_slice(&sections.concat());
        file
    }

    #[test]
    fn strip_keeps_all_but_debug_sections_under_their_numbers() {
        let object = elf(&[
            ("code", b"abc"),
            (".debug_str", b"a path"),
            (".rel.debug_info", b"x"),
            (".BTF", b"types"),
        ]);
        let result = strip(&object).unwrap();
        let sections = sections(&result).unwrap();
        let contents: Vec<_> = sections
            .iter()
            .skip(2)
            .map(|section| content(&result, section).unwrap())
            .collect();
        assert_eq!(contents, [&b"abc"[..], b"", b"", b"types"]);
        assert!(!result.windows(6).any(|bytes| bytes == b"a path"));
        assert_eq!(strip(&result).unwrap(), result);
    }

    #[test]
    fn strip_refuses_broken_files() {
        let object = elf(&[("code", b"abc")]);
        for length in 0..object.len() {
            assert!(strip(&object[..length]).is_err(), "{length}");
        }
    }
}
