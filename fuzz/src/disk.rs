use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use althing_core::{Disk, DiskError, DiskErrorKind, DiskFile};

type Bytes = Rc<RefCell<Vec<u8>>>;

/// A disk in memory on which nothing is ever lost, except by who damages it.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemoryDisk(Rc<RefCell<BTreeMap<String, Bytes>>>);

#[derive(Debug)]
pub(crate) struct MemoryFile(Bytes);

impl MemoryDisk {
    /// One that holds the same, apart from it.
    pub(crate) fn copied(&self) -> Self {
        let copy = |bytes: &Bytes| Rc::new(RefCell::new(bytes.borrow().clone()));
        let files = self.0.borrow();
        let files = files.iter().map(|(name, bytes)| (name.clone(), copy(bytes)));
        Self(Rc::new(RefCell::new(files.collect())))
    }

    /// Lets `change` have the bytes of the file at this place in the list of names.
    pub(crate) fn damage(&self, place: usize, change: impl FnOnce(&mut Vec<u8>)) {
        let files = self.0.borrow();
        if let Some(bytes) = files.values().nth(place % files.len().max(1)) {
            change(&mut bytes.borrow_mut());
        }
    }

    fn missing(operation: &'static str, name: &str) -> DiskError {
        DiskError { operation, file: name.to_owned(), kind: DiskErrorKind::NotFound }
    }
}

impl Disk for MemoryDisk {
    type File = MemoryFile;

    fn list(&self) -> Result<Vec<String>, DiskError> {
        Ok(self.0.borrow().keys().cloned().collect())
    }

    fn create(&self, name: &str, length: u64) -> Result<MemoryFile, DiskError> {
        let length = usize::try_from(length).expect("segments are small here");
        let bytes = Rc::new(RefCell::new(vec![0; length]));
        self.0.borrow_mut().insert(name.to_owned(), Rc::clone(&bytes));
        Ok(MemoryFile(bytes))
    }

    fn open(&self, name: &str) -> Result<MemoryFile, DiskError> {
        let files = self.0.borrow();
        files.get(name).cloned().map(MemoryFile).ok_or_else(|| Self::missing("open", name))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        let mut files = self.0.borrow_mut();
        let bytes = files.remove(from).ok_or_else(|| Self::missing("rename", from))?;
        files.insert(to.to_owned(), bytes);
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), DiskError> {
        let removed = self.0.borrow_mut().remove(name);
        removed.map(drop).ok_or_else(|| Self::missing("remove", name))
    }

    fn sync_names(&self) -> Result<(), DiskError> {
        Ok(())
    }
}

impl DiskFile for MemoryFile {
    fn length(&self) -> Result<u64, DiskError> {
        Ok(self.0.borrow().len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, DiskError> {
        let bytes = self.0.borrow();
        let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..));
        let rest = rest.unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let mut file = self.0.borrow_mut();
        let from = usize::try_from(offset).expect("files are small here");
        let to = from + bytes.len();
        if file.len() < to {
            file.resize(to, 0);
        }
        file[from..to].copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> Result<(), DiskError> {
        Ok(())
    }
}
