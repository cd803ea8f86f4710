//! The least that a look at every process can cost: the directory, and one call a process.

use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;

use nix::time::{ClockId, clock_gettime};
use rustix::fs::{RawDir, SeekFrom, seek};

/// `/proc`, held open.
pub(crate) struct Processes {
    directory: File,
    buffer: Box<[MaybeUninit<u8>]>,
}

impl Processes {
    /// Opens `/proc`.
    pub(crate) fn open() -> std::io::Result<Self> {
        Ok(Self { directory: File::open("/proc")?, buffer: vec![MaybeUninit::uninit(); 32 * 1024].into() })
    }

    /// Lists all processes (`getdents64`) and reads the CPU clock of each: how many there are, and their nanoseconds.
    pub(crate) fn read(&mut self) -> std::io::Result<(usize, u64)> {
        seek(&self.directory, SeekFrom::Start(0))?;
        let (mut processes, mut nanoseconds) = (0, 0);
        let mut entries = RawDir::new(self.directory.as_fd(), &mut self.buffer);
        while let Some(entry) = entries.next() {
            if let Some(pid) = number(entry?.file_name().to_bytes()) {
                processes += 1;
                nanoseconds += cpu_ns(pid).unwrap_or(0);
            }
        }
        Ok((processes, nanoseconds))
    }
}

/// CPU time of a whole process: the kernel's clock of its thread group.
pub(crate) fn cpu_ns(pid: i32) -> Option<u64> {
    let time = clock_gettime(ClockId::from_raw((!pid << 3) | 2)).ok()?;
    Some(time.tv_sec().unsigned_abs() * 1_000_000_000 + time.tv_nsec().unsigned_abs())
}

fn number(name: &[u8]) -> Option<i32> {
    let digit = |value: i32, b: &u8| b.is_ascii_digit().then(|| value.wrapping_mul(10).wrapping_add(i32::from(b - b'0')));
    name.iter().try_fold(0, digit)
}
