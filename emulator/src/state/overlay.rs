//! A copy-on-write view of a file: writes stay in memory, and other pages are read from the file on demand. So the cost
//! depends on the pages used, not on the file's size.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};

use parking_lot::Mutex;
use redb::StorageBackend;

const PAGE: u64 = 4096;

/// The file as the database sees it.
#[derive(Debug)]
pub(super) struct Overlay(Mutex<Pages>);

#[derive(Debug)]
struct Pages {
    file: File,
    /// How much of the file is still visible: less than its length after truncation.
    from_file: u64,
    length: u64,
    /// Written pages by number.
    written: BTreeMap<u64, Box<[u8]>>,
}

impl Overlay {
    pub(super) fn new(file: File) -> io::Result<Overlay> {
        let length = file.metadata()?.len();
        Ok(Overlay(Mutex::new(Pages { file, from_file: length, length, written: BTreeMap::new() })))
    }
}

impl Pages {
    /// The current content of a page, filled with 0 beyond the end.
    fn page(&mut self, number: u64) -> io::Result<Box<[u8]>> {
        if let Some(page) = self.written.get(&number) {
            return Ok(page.clone());
        }
        let mut page = vec![0; PAGE as usize].into_boxed_slice();
        let start = number * PAGE;
        let there = usize::try_from(self.from_file.saturating_sub(start).min(PAGE)).unwrap_or(0);
        self.file.seek(SeekFrom::Start(start))?;
        self.file.read_exact(&mut page[..there])?;
        Ok(page)
    }

    /// Calls `each` for the pages of a range, with the page's number, the offset within the page, and the part of the range.
    fn each(
        &mut self,
        offset: u64,
        length: usize,
        mut each: impl FnMut(&mut Pages, u64, usize, std::ops::Range<usize>) -> io::Result<()>,
    ) -> io::Result<()> {
        let end = offset.checked_add(length as u64).filter(|end| *end <= self.length);
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut at = offset;
        while at < end {
            let within = (at % PAGE) as usize;
            let step = (PAGE - at % PAGE).min(end - at);
            let done = (at - offset) as usize;
            each(self, at / PAGE, within, done..done + step as usize)?;
            at += step;
        }
        Ok(())
    }
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().length)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.lock().each(offset, out.len(), |pages, number, within, part| {
            let page = pages.page(number)?;
            let length = part.len();
            out[part].copy_from_slice(&page[within..within + length]);
            Ok(())
        })
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut pages = self.0.lock();
        if length < pages.length {
            pages.from_file = pages.from_file.min(length);
            pages.written.retain(|number, page| {
                let kept = length.saturating_sub(number * PAGE).min(PAGE) as usize;
                page[kept..].fill(0);
                kept > 0
            });
        }
        pages.length = length;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.lock().each(offset, data.len(), |pages, number, within, part| {
            let mut page = pages.page(number)?;
            page[within..within + part.len()].copy_from_slice(&data[part]);
            pages.written.insert(number, page);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_as_a_file_that_was_written_and_leaves_the_file_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("file");
        let before: Vec<u8> = (0..10_000_u32).map(|n| n.to_le_bytes()[0] | 1).collect();
        std::fs::write(&path, &before).expect("written");
        let overlay = Overlay::new(File::open(&path).expect("a file")).expect("an overlay");
        let mut model = before.clone();
        let read = |offset: u64, length: usize| {
            let mut out = vec![7; length];
            overlay.read(offset, &mut out).map(|()| out)
        };
        let write = |model: &mut Vec<u8>, offset: usize, data: &[u8]| {
            overlay.write(offset as u64, data).expect("written");
            model[offset..offset + data.len()].copy_from_slice(data);
        };
        write(&mut model, 4_000, &[2; 5_000]);
        write(&mut model, 9_999, &[4]);
        for length in [9_500, 4_096, 5_000, 20_000, 3, 12_288] {
            overlay.set_len(length).expect("set");
            model.resize(length as usize, 0);
            assert_eq!(overlay.len().expect("a length"), length);
            assert_eq!(read(0, model.len()).expect("read"), model, "{length}");
            write(&mut model, 1, &[6]);
        }
        assert_eq!(read(4_095, 3).expect("read"), model[4_095..4_098]);
        assert!(read(12_288, 1).is_err() && read(u64::MAX, 2).is_err());
        assert!(overlay.write(12_288, &[1]).is_err());
        assert_eq!(std::fs::read(&path).expect("a file"), before);
    }
}
