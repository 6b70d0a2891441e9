use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// One flat folder of files, as the log and the snapshots see it. The operating system's disk
/// implements it, and so does the simulator's, which can lose what was not synced, tear writes, run
/// full and fail.
///
/// Nothing is durable until it is synced: a file's bytes by [`DiskFile::sync`], a file's name by
/// [`Disk::sync_names`].
pub trait Disk {
    /// An open file.
    type File: DiskFile;

    /// The names of all files, in ascending order.
    ///
    /// # Errors
    /// The folder cannot be read.
    fn list(&self) -> Result<Vec<String>, DiskError>;

    /// Creates a file of `length` zero bytes, of which the space is really taken, or empties an
    /// existing one of this name.
    ///
    /// # Errors
    /// No space is left, or the disk failed.
    fn create(&self, name: &str, length: u64) -> Result<Self::File, DiskError>;

    /// Opens an existing file for reading and writing.
    ///
    /// # Errors
    /// There is no such file, or the disk failed.
    fn open(&self, name: &str) -> Result<Self::File, DiskError>;

    /// Renames a file, replacing one that has the new name.
    ///
    /// # Errors
    /// There is no such file, or the disk failed.
    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError>;

    /// Removes a file.
    ///
    /// # Errors
    /// There is no such file, or the disk failed.
    fn remove(&self, name: &str) -> Result<(), DiskError>;

    /// Makes every creation, renaming and removal up to now durable.
    ///
    /// # Errors
    /// The disk failed; what is durable is unknown, and the node must stop.
    fn sync_names(&self) -> Result<(), DiskError>;
}

/// An open file of a [`Disk`].
pub trait DiskFile {
    /// Its length in bytes.
    ///
    /// # Errors
    /// The disk failed.
    fn length(&self) -> Result<u64, DiskError>;

    /// Fills `buffer` from `offset` on; returns how many bytes there were, fewer only at the end.
    ///
    /// # Errors
    /// The disk failed.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, DiskError>;

    /// Writes all of `bytes` at `offset`, growing the file if it ends before.
    ///
    /// # Errors
    /// No space is left or the disk failed; how much was written is unknown.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), DiskError>;

    /// Makes every write up to now durable.
    ///
    /// # Errors
    /// The disk failed; what is durable is unknown, and the node must stop: a second try may
    /// succeed although the pages were dropped.
    fn sync(&mut self) -> Result<(), DiskError>;
}

/// What a disk answered instead of doing its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskError {
    /// What was tried: "write", "sync" ...
    pub operation: &'static str,
    /// The file, or the folder where no single file is concerned.
    pub file: String,
    /// What was wrong.
    pub kind: DiskErrorKind,
}

/// Kinds of disk errors that callers tell apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskErrorKind {
    /// No space is left.
    Full,
    /// There is no such file.
    NotFound,
    /// Anything else, in the disk's own words.
    Failed(String),
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operation, file, kind } = self;
        match kind {
            DiskErrorKind::Full => {
                write!(f, "cannot {operation} {file}: no space left on the disk")
            }
            DiskErrorKind::NotFound => write!(f, "cannot {operation} {file}: no such file"),
            DiskErrorKind::Failed(why) => write!(f, "cannot {operation} {file}: {why}"),
        }
    }
}

impl core::error::Error for DiskError {}
