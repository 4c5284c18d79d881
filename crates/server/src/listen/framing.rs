//! Where one request of HTTP/1 ends and the next begins, so strictly that no two readers differ.
//!
//! A proxy before this worker may read an ambiguous request another way than hyper does. What one
//! of them takes for a body is then a request to the other, which nobody decided. hyper repairs
//! some of these shapes, as RFC 9112 allows, and does not tell; here they are found before hyper
//! sees them. Refused is, beside all that hyper refuses:
//!
//! | shape | RFC 9112 |
//! | --- | --- |
//! | a line, of a head or of chunks, that ends in LF or CR alone | 2.2 |
//! | a field line that begins with white space, or has some before its colon | 5.1, 5.2 |
//! | a second `Content-Length` or `Transfer-Encoding`, and one of each | 6.1, 6.3 |
//! | a `Content-Length` that is not 1 to 19 digits | 6.2 |
//! | a `Transfer-Encoding` that is not `chunked` | 6.1 |
//! | a chunk size that is not 1 to 16 hexadecimal digits, up to `;` or CR | 7.1 |

use memchr::{memchr, memchr2};

/// As much of a line is looked at: more than any name and value here have.
const LINE_SEEN: usize = 64;
/// The first line of an HTTP/2 connection, and how many bytes of its preface follow that.
const PREFACE: &[u8] = b"PRI * HTTP/2.0";
const PREFACE_LEFT: u64 = 8;

/// Follows the bytes of a connection.
#[derive(Debug)]
pub(super) struct Framing {
    state: State,
    /// The beginning of the line that is being read.
    line: Vec<u8>,
    /// How long that line is so far.
    length: usize,
    /// The byte before.
    last: u8,
    content_length: Option<u64>,
    chunked: bool,
    is_first: bool,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    RequestLine,
    Field,
    Body {
        left: u64,
    },
    ChunkSize {
        size: u64,
        digits: u8,
    },
    ChunkExtension {
        size: u64,
    },
    ChunkSizeEnd {
        size: u64,
    },
    Chunk {
        left: u64,
    },
    ChunkEnd,
    ChunkEndLf,
    Trailer,
    Preface {
        left: u64,
    },
    /// HTTP/2, which frames itself.
    Other,
}

/// A byte with which a request becomes ambiguous or malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Refused;

impl Default for Framing {
    fn default() -> Self {
        Self {
            state: State::RequestLine,
            line: Vec::new(),
            length: 0,
            last: 0,
            content_length: None,
            chunked: false,
            is_first: true,
        }
    }
}

impl Framing {
    /// Follows more bytes.
    ///
    /// # Errors
    ///
    /// The place of the first byte that must not be read.
    pub(super) fn follow(&mut self, bytes: &[u8]) -> Result<(), usize> {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            let there = u64::try_from(bytes.len() - at).unwrap_or(u64::MAX);
            let taken = match &mut self.state {
                State::Other => return Ok(()),
                State::Body { left } | State::Chunk { left } | State::Preface { left } => {
                    let taken = there.min(*left);
                    *left -= taken;
                    taken
                }
                _ => match self.line_of(&bytes[at..]) {
                    Some(taken) => u64::try_from(taken).unwrap_or(u64::MAX),
                    None => {
                        self.byte(*byte).map_err(|Refused| at)?;
                        1
                    }
                },
            };
            match self.state {
                State::Body { left: 0 } => self.begin(),
                State::Chunk { left: 0 } => self.state = State::ChunkEnd,
                State::Preface { left: 0 } => self.state = State::Other,
                _ => {}
            }
            at += usize::try_from(taken).unwrap_or(usize::MAX);
        }
        Ok(())
    }

    /// Whether this is HTTP/2, its preface read.
    pub(super) fn is_http2(&self) -> bool {
        self.state == State::Other
    }

    /// Takes a line of a head or of trailers at once, if all of it is there and nothing is wrong with
    /// it: how many bytes that is. What remains is taken byte by byte.
    fn line_of(&mut self, bytes: &[u8]) -> Option<usize> {
        let is_line = matches!(self.state, State::RequestLine | State::Field | State::Trailer);
        if !is_line || self.length > 0 || self.last == b'\r' {
            return None;
        }
        let length = memchr2(b'\r', b'\n', bytes)?;
        let begins_blank = matches!(bytes, [b' ' | b'\t', ..]);
        if begins_blank || bytes.get(length + 1) != Some(&b'\n') || bytes[length] != b'\r' {
            return None;
        }
        self.end_of_line(&bytes[..length.min(LINE_SEEN)], length).ok()?;
        self.last = b'\n';
        Some(length + 2)
    }

    fn byte(&mut self, byte: u8) -> Result<(), Refused> {
        self.state = match (self.state, byte) {
            (State::RequestLine | State::Field | State::Trailer, _) => return self.of_line(byte),
            (State::ChunkSize { size, digits: digits @ 0..=15 }, digit)
                if digit.is_ascii_hexdigit() =>
            {
                State::ChunkSize { size: (size << 4) | hexadecimal(digit), digits: digits + 1 }
            }
            (State::ChunkSize { size, digits: 1.. }, b';') => State::ChunkExtension { size },
            (State::ChunkSize { size, digits: 1.. }, b'\r') => State::ChunkSizeEnd { size },
            (State::ChunkExtension { size }, b'\r') => State::ChunkSizeEnd { size },
            (state @ State::ChunkExtension { .. }, other) if other != b'\n' => state,
            (State::ChunkSizeEnd { size: 0 }, b'\n') => State::Trailer,
            (State::ChunkSizeEnd { size }, b'\n') => State::Chunk { left: size },
            (State::ChunkEnd, b'\r') => State::ChunkEndLf,
            (State::ChunkEndLf, b'\n') => State::ChunkSize { size: 0, digits: 0 },
            _ => return Err(Refused),
        };
        Ok(())
    }

    /// A byte of a line of a head or of trailers.
    fn of_line(&mut self, byte: u8) -> Result<(), Refused> {
        let last = std::mem::replace(&mut self.last, byte);
        match (last, byte) {
            (b'\r', b'\n') => {
                let line = std::mem::take(&mut self.line);
                let length = std::mem::take(&mut self.length);
                return self.end_of_line(&line, length);
            }
            (b'\r', _) | (_, b'\n') => return Err(Refused),
            (_, b'\r') => return Ok(()),
            (_, b' ' | b'\t') if self.length == 0 => return Err(Refused),
            _ => {}
        }
        self.length += 1;
        if self.line.len() < LINE_SEEN {
            self.line.push(byte);
        }
        Ok(())
    }

    /// The end of a line of this `length`, of which as much is seen.
    fn end_of_line(&mut self, line: &[u8], length: usize) -> Result<(), Refused> {
        match self.state {
            // Empty lines before a request are skipped.
            State::RequestLine if length == 0 => {}
            State::RequestLine if self.is_first && line == PREFACE => {
                self.state = State::Preface { left: PREFACE_LEFT };
            }
            State::RequestLine => self.state = State::Field,
            State::Field if length > 0 => self.field(line, length)?,
            State::Field if self.chunked => {
                self.state = State::ChunkSize { size: 0, digits: 0 };
            }
            State::Field => match self.content_length {
                None | Some(0) => self.begin(),
                Some(left) => self.state = State::Body { left },
            },
            State::Trailer if length == 0 => self.begin(),
            _ => {}
        }
        Ok(())
    }

    fn field(&mut self, line: &[u8], length: usize) -> Result<(), Refused> {
        let (name, value) = line.split_at(memchr(b':', line).unwrap_or(line.len()));
        if name.iter().any(u8::is_ascii_whitespace) {
            return Err(Refused);
        }
        let is_length = name.eq_ignore_ascii_case(b"content-length");
        let is_coding = name.eq_ignore_ascii_case(b"transfer-encoding");
        if !is_length && !is_coding {
            return Ok(());
        }
        if self.chunked || self.content_length.is_some() || length > LINE_SEEN {
            return Err(Refused);
        }
        let value = value.strip_prefix(b":").unwrap_or_default().trim_ascii();
        if is_length {
            self.content_length = Some(decimal(value).ok_or(Refused)?);
        } else if value.eq_ignore_ascii_case(b"chunked") {
            self.chunked = true;
        } else {
            return Err(Refused);
        }
        Ok(())
    }

    /// Begins with the next request.
    fn begin(&mut self) {
        self.state = State::RequestLine;
        (self.content_length, self.chunked, self.is_first) = (None, false, false);
    }
}

fn decimal(text: &[u8]) -> Option<u64> {
    let is_number = (1..=19).contains(&text.len()) && text.iter().all(u8::is_ascii_digit);
    let value = |sum: u64, digit: &u8| sum * 10 + u64::from(digit - b'0');
    is_number.then(|| text.iter().fold(0, value))
}

fn hexadecimal(digit: u8) -> u64 {
    char::from(digit).to_digit(16).map_or(0, u64::from)
}

#[cfg(test)]
mod tests;
