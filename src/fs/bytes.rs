//! Bytes of a file, aligned so that they can be viewed as numbers.
#![expect(unsafe_code, reason = "the one place that maps files")]

use std::{fmt, fs::File, io, ops::Deref, sync::Arc};

use memmap2::Mmap;

/// Heap bytes aligned to 64, as a map would be.
#[derive(Clone, Default)]
pub struct AlignedBuf {
    blocks: Vec<Block>,
    len: usize,
}

#[derive(Clone, Copy, bytemuck::Zeroable, bytemuck::Pod)]
#[repr(C, align(64))]
struct Block([u8; 64]);

impl AlignedBuf {
    /// `len` zero bytes.
    pub fn zeroed(len: usize) -> AlignedBuf {
        AlignedBuf { blocks: vec![Block([0; 64]); len.div_ceil(64)], len }
    }

    /// A copy of `bytes`.
    pub fn copy_of(bytes: &[u8]) -> AlignedBuf {
        let mut buf = AlignedBuf::zeroed(bytes.len());
        buf.as_mut().copy_from_slice(bytes);
        buf
    }
}

impl AsMut<[u8]> for AlignedBuf {
    fn as_mut(&mut self) -> &mut [u8] {
        let len = self.len;
        bytemuck::cast_slice_mut(&mut self.blocks).get_mut(..len).unwrap_or_default()
    }
}

impl Deref for AlignedBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.blocks).get(..self.len).unwrap_or_default()
    }
}

impl fmt::Debug for AlignedBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AlignedBuf({} bytes)", self.len)
    }
}

/// A file's content: mapped, or copied where it is small. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Bytes(Inner);

#[derive(Clone, Debug)]
enum Inner {
    Mapped(Arc<Mmap>),
    Owned(Arc<AlignedBuf>),
}

impl Bytes {
    /// Bytes on the heap.
    pub fn owned(buf: AlignedBuf) -> Bytes {
        Bytes(Inner::Owned(Arc::new(buf)))
    }

    /// Maps a file that nobody changes in place (published files are only ever replaced or unlinked).
    pub(super) fn map(file: &File) -> io::Result<Bytes> {
        // SAFETY: the engine never writes to a published file, and replaces or removes it only by name, which leaves the
        // mapped inode as it is. Somebody who truncates files of the workspace under a running process gets SIGBUS, as
        // with every program that maps.
        let map = unsafe { Mmap::map(file)? };
        Ok(Bytes(Inner::Mapped(Arc::new(map))))
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Inner::Mapped(map) => map,
            Inner::Owned(buf) => buf,
        }
    }
}
