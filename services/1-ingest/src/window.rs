//! A sliding window over the bytes of a file, plain or gzip, that never holds more than it must.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};

use flate2::read::MultiGzDecoder;

use crate::fault::FileFault;

/// Bytes read at once.
pub(crate) const READ_BYTES: usize = 256 << 10;
/// A gzip file may expand to this without question,
const EXPANSION_FREE_BYTES: u64 = 256 << 20;
/// and beyond that to so many times its size.
const EXPANSION_MAX: u64 = 200;

/// Where bytes come from.
enum Bytes {
    Plain(File),
    Gzip { stream: Box<MultiGzDecoder<BufReader<File>>>, bytes_max: u64 },
    Memory(std::io::Cursor<Vec<u8>>),
}

impl Read for Bytes {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(file) => file.read(buf),
            Self::Gzip { stream, .. } => stream.read(buf),
            Self::Memory(bytes) => bytes.read(buf),
        }
    }
}

/// The window. Offsets count uncompressed bytes from the start of the file.
pub(crate) struct Window {
    bytes: Bytes,
    file: String,
    buffer: Vec<u8>,
    start: usize,
    offset: u64,
    ended: bool,
    fault: Option<FileFault>,
}

impl Window {
    /// Opens a file from its start; gzip is recognised by its first bytes.
    pub(crate) fn open(mut file: File, name: &str, size: u64) -> std::io::Result<Self> {
        let mut magic = Vec::new();
        (&mut file).take(2).read_to_end(&mut magic)?;
        file.seek(SeekFrom::Start(0))?;
        let bytes = if magic == [0x1f, 0x8b] {
            let stream = Box::new(MultiGzDecoder::new(BufReader::with_capacity(READ_BYTES, file)));
            let bytes_max = size.saturating_mul(EXPANSION_MAX).max(EXPANSION_FREE_BYTES);
            Bytes::Gzip { stream, bytes_max }
        } else {
            Bytes::Plain(file)
        };
        Ok(Self::new(bytes, name))
    }

    /// Over bytes in memory.
    pub(crate) fn over(bytes: &[u8], name: &str) -> Self {
        Self::new(Bytes::Memory(std::io::Cursor::new(bytes.to_vec())), name)
    }

    fn new(bytes: Bytes, name: &str) -> Self {
        Self {
            bytes,
            file: name.to_owned(),
            buffer: Vec::new(),
            start: 0,
            offset: 0,
            ended: false,
            fault: None,
        }
    }

    /// What has been read and not consumed.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    /// Whether nothing follows [`Window::bytes`].
    pub(crate) fn ended(&self) -> bool {
        self.ended
    }

    /// Offset of the first byte not consumed.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Steps over bytes.
    pub(crate) fn consume(&mut self, len: usize) {
        let len = len.min(self.buffer.len() - self.start);
        self.start += len;
        self.offset += u64::try_from(len).unwrap_or(0);
    }

    /// Reads on. What was read before a fault is served first; the fault comes when nothing else does.
    pub(crate) fn fill(&mut self) -> Result<(), FileFault> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        self.buffer.drain(..self.start);
        self.start = 0;
        let before = self.buffer.len();
        let limit = u64::try_from(READ_BYTES).unwrap_or(u64::MAX);
        let read = (&mut self.bytes).take(limit).read_to_end(&mut self.buffer);
        match read {
            Ok(read) => self.ended = read < READ_BYTES,
            Err(error) => self.fault = Some(self.say(&error)),
        }
        self.check_expansion();
        match &self.fault {
            Some(fault) if self.buffer.len() == before => Err(fault.clone()),
            _ => Ok(()),
        }
    }

    /// Steps towards `offset`, at most some bytes. Returns whether it is there.
    pub(crate) fn skip_to(&mut self, offset: u64) -> Result<bool, FileFault> {
        if let Bytes::Plain(file) = &mut self.bytes
            && offset > self.offset
        {
            if let Err(error) = file.seek(SeekFrom::Start(offset)) {
                return Err(self.say(&error));
            }
            self.buffer.clear();
            (self.start, self.offset, self.ended) = (0, offset, false);
        }
        for _ in 0..64 {
            let left = usize::try_from(offset.saturating_sub(self.offset)).unwrap_or(usize::MAX);
            self.consume(left);
            if self.offset >= offset {
                return Ok(true);
            }
            if self.ended {
                return Err(FileFault::new(format!(
                    "{} is shorter than it was: bring it again",
                    self.file
                )));
            }
            self.fill()?;
        }
        Ok(false)
    }

    fn check_expansion(&mut self) {
        let Bytes::Gzip { bytes_max, .. } = &self.bytes else { return };
        let out = self.offset.saturating_add(u64::try_from(self.buffer.len()).unwrap_or(u64::MAX));
        if out > *bytes_max && self.fault.is_none() {
            self.fault = Some(FileFault::new(format!(
                "{} expands to more than {EXPANSION_MAX} times its size: if it is what it should be, unpack it first",
                self.file
            )));
        }
    }

    fn say(&self, error: &std::io::Error) -> FileFault {
        let file = &self.file;
        FileFault::new(match (&self.bytes, error.kind()) {
            (Bytes::Gzip { .. }, std::io::ErrorKind::UnexpectedEof) => format!(
                "{file} ends in the middle (truncated gzip): bring the whole file. Rows before stay, nothing is deleted"
            ),
            (Bytes::Gzip { .. }, _) => format!(
                "{file} is damaged (gzip: {error}): bring it again. Rows before stay, nothing is deleted"
            ),
            (Bytes::Plain(_) | Bytes::Memory(_), _) => format!("{file} cannot be read: {error}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap()
    }

    fn read(bytes: &[u8]) -> (Vec<u8>, Option<String>) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        let mut window = Window::open(file, "a.gz", bytes.len() as u64).unwrap();
        let mut all = Vec::new();
        loop {
            if let Err(fault) = window.fill() {
                return (all, Some(fault.to_string()));
            }
            all.extend_from_slice(window.bytes());
            window.consume(usize::MAX);
            if window.ended() {
                assert_eq!(window.offset(), all.len() as u64);
                return (all, None);
            }
        }
    }

    #[test]
    fn plain_and_gzip_and_members_and_truncation() {
        let text: Vec<u8> = (0..700_000u32).flat_map(|n| n.to_le_bytes()).collect();
        assert_eq!(read(&text), (text.clone(), None));
        let packed = gzip(&text);
        assert_eq!(read(&packed), (text.clone(), None));
        assert_eq!(
            read(&[packed.clone(), gzip(b"end")].concat()),
            ([text.as_slice(), b"end"].concat(), None)
        );
        let (before, fault) = read(&packed[..packed.len() / 2]);
        assert!(fault.unwrap().contains("truncated gzip"));
        assert!(before.len() > text.len() / 4 && text.starts_with(&before));
        assert_eq!(read(b""), (Vec::new(), None));
    }

    #[test]
    fn a_bomb_is_refused() {
        // As tight as any packer makes it: how tight "fast" is depends on the packer that is built in.
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        writer.write_all(&vec![0u8; 257 << 20]).unwrap();
        let packed = writer.finish().unwrap();
        let (_, fault) = read(&packed);
        assert!(fault.unwrap().contains("expands"));
    }
}
