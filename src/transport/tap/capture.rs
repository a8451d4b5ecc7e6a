//! The file of dnstap: whole frames only, whatever the disk takes.
//!
//! A full disk must cost what comes while it is full, and nothing of what was captured before. So the file stays open, is
//! cut back to its last whole frame, and is gone on with when there is room again: to a reader it is one stream with a
//! gap.

use crate::transport::tap::frames::{self, Control};
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use time::OffsetDateTime;

/// Octets gathered before they are written: some hundred frames.
const ROOM: usize = 64 << 10;

//----------- Capture --------------------------------------------------------

/// A stream of frames on a medium that may run full.
#[derive(Debug)]
pub(super) struct Capture<M> {
    medium: M,
    /// Octets that the medium has, up to the end of a frame.
    len: u64,
    waiting: Vec<u8>,
    /// Frames in `waiting`.
    n_waiting: u64,
}

/// What a capture needs beyond writing.
pub(super) trait Shorten: Write {
    /// Drops what is beyond `len` octets, and goes on from there.
    ///
    /// # Errors
    /// What the system says.
    fn shorten(&mut self, len: u64) -> io::Result<()>;
}

impl Shorten for File {
    fn shorten(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)?;
        self.seek(SeekFrom::Start(len)).map(drop)
    }
}

impl Capture<File> {
    /// Begins a file. One that is there already, and holds more than a beginning, gets the time of its last change added to
    /// its name; none is ever written over.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn create(path: &Path) -> io::Result<Capture<File>> {
        let is_only_begun = |len| {
            let start = frames::control(Control::Start);
            len == 0 || len == start.len() as u64 && fs::read(path).is_ok_and(|there| there == start)
        };
        if let Ok(there) = fs::metadata(path)
            && !is_only_begun(there.len())
        {
            fs::rename(path, free_name(path, there.modified()?))?;
        }
        Capture::begin(File::create(path)?)
    }

    /// The file.
    pub(super) fn file(&self) -> &File {
        &self.medium
    }
}

/// `floodway.tap` of that time: `floodway.tap.20261122T071015Z`, with a number behind it if there is one already.
fn free_name(path: &Path, at: SystemTime) -> PathBuf {
    let at = OffsetDateTime::from(at);
    let (date, (hour, minute, second)) = (at.date(), at.to_hms());
    let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z"));
    let numbered = |n: u32| {
        let mut name = name.clone();
        name.push(if n == 0 { String::new() } else { format!(".{n}") });
        PathBuf::from(name)
    };
    (0..).map(numbered).find(|name| !name.exists()).unwrap_or_else(|| numbered(u32::MAX))
}

impl<M: Shorten> Capture<M> {
    /// Begins a stream.
    ///
    /// # Errors
    /// What the medium says.
    pub(super) fn begin(mut medium: M) -> io::Result<Capture<M>> {
        let start = frames::control(Control::Start);
        medium.write_all(&start)?;
        Ok(Capture { medium, len: start.len() as u64, waiting: Vec::with_capacity(ROOM), n_waiting: 0 })
    }

    /// Takes a frame, and writes when enough have come together.
    ///
    /// # Errors
    /// As [`Capture::flush`].
    pub(super) fn write(&mut self, frame: &[u8]) -> Result<u64, Lost> {
        self.waiting.extend_from_slice(frame);
        self.n_waiting += 1;
        if self.waiting.len() < ROOM { Ok(0) } else { self.flush() }
    }

    /// Writes what waits; how many frames that was.
    ///
    /// # Errors
    /// [`Lost`]: none of them is in the stream, which ends with a whole frame and can be gone on with, unless
    /// [`Lost::is_torn`].
    pub(super) fn flush(&mut self) -> Result<u64, Lost> {
        let n = std::mem::take(&mut self.n_waiting);
        let done = self.medium.write_all(&self.waiting);
        let len = self.waiting.len() as u64;
        self.waiting.clear();
        match done {
            Ok(()) => {
                self.len += len;
                Ok(n)
            }
            Err(why) => Err(Lost { n, why, is_torn: self.medium.shorten(self.len).is_err() }),
        }
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// As [`Capture::flush`].
    pub(super) fn end(&mut self) -> Result<u64, Lost> {
        let n = self.flush()?;
        self.waiting.extend(frames::control(Control::Stop));
        self.flush().map(|_| n)
    }
}

//----------- Lost -----------------------------------------------------------

/// Frames that the medium did not take.
#[derive(Debug)]
pub(super) struct Lost {
    /// How many.
    pub(super) n: u64,
    /// Why.
    pub(super) why: io::Error,
    /// Whether half a frame is left, so that nothing can follow it.
    pub(super) is_torn: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk with room for so many octets.
    struct Disk {
        octets: Vec<u8>,
        room: usize,
    }

    impl Write for Disk {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            let n = octets.len().min(self.room - self.octets.len());
            self.octets.extend_from_slice(&octets[..n]);
            if n == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(n) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Shorten for Disk {
        fn shorten(&mut self, len: u64) -> io::Result<()> {
            self.octets.truncate(len as usize);
            Ok(())
        }
    }

    fn frame(n: u8) -> Vec<u8> {
        [&[0, 0, 0, 10][..], &[n; 10]].concat()
    }

    /// What comes while the disk is full is lost, and only that.
    #[test]
    fn a_full_disk_costs_what_comes_meanwhile() {
        let start = frames::control(Control::Start);
        let mut capture = Capture::begin(Disk { octets: Vec::new(), room: start.len() + 14 + 13 }).unwrap();
        let put = |capture: &mut Capture<Disk>, n| {
            let waiting = capture.write(&frame(n)).unwrap();
            waiting + capture.flush().unwrap_or_else(|lost| 100 * lost.n)
        };
        assert_eq!(put(&mut capture, 1), 1);
        assert_eq!((put(&mut capture, 2), put(&mut capture, 3)), (100, 100));
        capture.medium.room = 1000;
        assert_eq!(put(&mut capture, 4), 1);
        assert_eq!(capture.end().unwrap(), 0);
        let whole = [start, frame(1), frame(4), frames::control(Control::Stop)].concat();
        assert_eq!(capture.medium.octets, whole);
    }

    /// However often it begins anew, nothing that was captured goes.
    #[test]
    fn a_file_that_is_there_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.tap");
        for n in 0..3 {
            let mut capture = Capture::create(&path).unwrap();
            capture.write(&frame(n)).unwrap();
            capture.end().unwrap();
            drop(Capture::create(&dir.path().join("only-begun")).unwrap());
        }
        let mut names: Vec<_> =
            fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!((names.len(), &names[0][..], &names[1][..]), (4, "only-begun", "x.tap"), "{names:?}");
        assert!(names[2].starts_with("x.tap.2") && names[2].len() >= "x.tap.20261122T071015Z".len());
        let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_795_331_415);
        assert!(free_name(&path, at).to_string_lossy().ends_with("x.tap.20261122T071015Z"));
    }
}
