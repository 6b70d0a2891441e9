use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use althing_core::{Disk, DiskError, DiskErrorKind, DiskFile};

use crate::OpenError;

const LOCK_FILE: &str = "lock";
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// A folder of the operating system, held by this process alone.
///
/// Clones share the hold; it ends with the last of them, or with the process, however that ends.
#[derive(Clone, Debug)]
pub struct RealDisk(Arc<Folder>);

#[derive(Debug)]
struct Folder {
    path: PathBuf,
    /// Open for as long as the folder is held.
    _lock: File,
}

/// An open file of a [`RealDisk`].
#[derive(Debug)]
pub struct RealFile {
    file: File,
    name: String,
}

impl RealDisk {
    /// Opens a folder, makes it if it does not exist, and keeps other processes out of it.
    ///
    /// # Errors
    /// Another process (or another `RealDisk` of this one) holds it, or the system refused.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let failed = |operation| {
            move |error| OpenError::Disk(disk_error(operation, &path.display().to_string(), &error))
        };
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(FOLDER_MODE)
            .create(path)
            .map_err(failed("create"))?;
        let path = path.canonicalize().map_err(failed("open"))?;
        if let Some(parent) = path.parent() {
            sync_folder(parent).map_err(failed("sync the folder of"))?;
        }
        let lock = lock(&path)?;
        Ok(Self(Arc::new(Folder { path, _lock: lock })))
    }

    /// The folder, as an absolute path.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    fn place(&self, operation: &'static str, name: &str) -> Result<PathBuf, DiskError> {
        let is_plain = !name.is_empty()
            && !name.starts_with('.')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if !is_plain || name == LOCK_FILE {
            let kind = DiskErrorKind::Failed("this is not the name of a file of ours".into());
            return Err(DiskError { operation, file: name.into(), kind });
        }
        Ok(self.0.path.join(name))
    }
}

impl Disk for RealDisk {
    type File = RealFile;

    fn list(&self) -> Result<Vec<String>, DiskError> {
        let folder = self.0.path.display().to_string();
        let failed = |error: io::Error| disk_error("list", &folder, &error);
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.0.path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            // A name that is not text is none of ours, nor is a folder.
            if let Ok(name) = entry.file_name().into_string()
                && name != LOCK_FILE
                && entry.file_type().map_err(failed)?.is_file()
            {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn create(&self, name: &str, length: u64) -> Result<RealFile, DiskError> {
        let path = self.place("create", name)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true).mode(FILE_MODE);
        let file = options.open(path).map_err(|error| disk_error("create", name, &error))?;
        reserve(&file, length).map_err(|error| disk_error("reserve space for", name, &error))?;
        Ok(RealFile { file, name: name.into() })
    }

    fn open(&self, name: &str) -> Result<RealFile, DiskError> {
        let path = self.place("open", name)?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .map_err(|error| disk_error("open", name, &error))?;
        Ok(RealFile { file, name: name.into() })
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        let (old, new) = (self.place("rename", from)?, self.place("rename", to)?);
        std::fs::rename(old, new).map_err(|error| disk_error("rename", from, &error))
    }

    fn remove(&self, name: &str) -> Result<(), DiskError> {
        let path = self.place("remove", name)?;
        std::fs::remove_file(path).map_err(|error| disk_error("remove", name, &error))
    }

    fn sync_names(&self) -> Result<(), DiskError> {
        let folder = self.0.path.display().to_string();
        sync_folder(&self.0.path).map_err(|error| disk_error("sync", &folder, &error))
    }
}

impl DiskFile for RealFile {
    fn length(&self) -> Result<u64, DiskError> {
        let data =
            self.file.metadata().map_err(|error| disk_error("measure", &self.name, &error))?;
        Ok(data.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, DiskError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.file.read_at(&mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(disk_error("read", &self.name, &error)),
            }
        }
        Ok(filled)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.file
            .write_all_at(bytes, offset)
            .map_err(|error| disk_error("write", &self.name, &error))
    }

    fn sync(&mut self) -> Result<(), DiskError> {
        // On Linux this is fdatasync; on macOS it is F_FULLFSYNC, as it must be there.
        self.file.sync_data().map_err(|error| disk_error("sync", &self.name, &error))
    }
}

/// Takes the folder's lock, which the system gives back when the process ends.
fn lock(folder: &Path) -> Result<File, OpenError> {
    let name = folder.display().to_string();
    let failed = |error: io::Error| OpenError::Disk(disk_error("lock", &name, &error));
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(FILE_MODE);
    let mut file = options.open(folder.join(LOCK_FILE)).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Who holds it is a courtesy; that somebody does is known.
            let _ = file.take(16).read_to_string(&mut holder);
            return Err(OpenError::InUse { folder: name, process: holder.trim().parse().ok() });
        }
        Err(std::fs::TryLockError::Error(error)) => return Err(failed(error)),
    }
    file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(failed)?;
    Ok(file)
}

/// Takes the space for `length` bytes that read as zeros.
fn reserve(file: &File, length: u64) -> io::Result<()> {
    if length == 0 {
        return Ok(());
    }
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{FallocateFlags, fallocate};
        match fallocate(file, FallocateFlags::empty(), 0, length) {
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {}
            result => return Ok(result?),
        }
    }
    let zeros = [0; 64 << 10];
    let mut offset = 0;
    while offset < length {
        let piece =
            usize::try_from(length - offset).map_or(zeros.len(), |rest| rest.min(zeros.len()));
        file.write_all_at(&zeros[..piece], offset)?;
        offset += piece as u64;
    }
    Ok(())
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn disk_error(operation: &'static str, file: &str, error: &io::Error) -> DiskError {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => DiskErrorKind::Full,
        io::ErrorKind::NotFound => DiskErrorKind::NotFound,
        _ => DiskErrorKind::Failed(error.to_string()),
    };
    DiskError { operation, file: file.into(), kind }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_a_failed_one() {
        let file = OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
        let mut file = RealFile { file, name: "log".into() };
        let error = file.write_at(0, b"x").expect_err("it is always full");
        assert_eq!(error.kind, DiskErrorKind::Full);
        assert_eq!(error.to_string(), "cannot write log: no space left on the disk");
    }
}
