//! Where the media of a file lies whose header is written last.
//!
//! The file goes up in parts of one size while it grows, and the first part has to hold a header that is known only at
//! the end. So the first chunks are **held** back, about as much as a part; all later ones are **streamed** into the
//! parts from the second on, one behind the other, and go up as soon as a part is full. At the end the header takes the
//! first part, or the first few when it is large; what is left of them is filled with held chunks, the other held ones
//! go to the tail. Parts that a large header takes were uploaded before and are put again: the chunks that stood there
//! are **displaced** and go where the held ones go.
//!
//! Nothing is moved but what fits into the header's parts, so the end takes as long after a week as after an hour.

/// Says where a chunk went when it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spot {
    /// Held back; it gets its place at the end.
    Held,
    /// Streamed, so many bytes behind the beginning of the second part.
    Streamed(u64),
}

/// Decides for each chunk, as it comes.
#[derive(Debug, Clone, Copy)]
pub struct Spread {
    part_bytes: u64,
    held_bytes: u64,
    streamed_bytes: u64,
}

impl Spread {
    /// Begins a file whose parts have one size.
    pub const fn new(part_bytes: u64) -> Self {
        Self { part_bytes, held_bytes: 0, streamed_bytes: 0 }
    }

    /// Places the next chunk.
    pub const fn place(&mut self, chunk_bytes: u64) -> Spot {
        if self.held_bytes < self.part_bytes {
            self.held_bytes += chunk_bytes;
            return Spot::Held;
        }
        let at = self.streamed_bytes;
        self.streamed_bytes += chunk_bytes;
        Spot::Streamed(at)
    }

    /// Returns how many parts are full, the first one of the file not counted.
    pub const fn full_parts(&self) -> u64 {
        self.streamed_bytes / self.part_bytes
    }

    /// Returns the size of all streamed chunks.
    pub const fn streamed_bytes(&self) -> u64 {
        self.streamed_bytes
    }

    /// Returns the size of the part that file and parts were made for.
    pub const fn part_bytes(&self) -> u64 {
        self.part_bytes
    }
}

/// Tells where each chunk lies in the finished file: asked for the same chunks in the same order as [`Spread`].
#[derive(Debug, Clone, Copy)]
pub struct Arrangement {
    spread: Spread,
    header_parts: u64,
    /// Where the next held or displaced chunk fits behind the header.
    fill: u64,
    /// Whether one did not fit: the order is kept, so the rest goes to the tail too.
    is_filled: bool,
    tail: u64,
    /// Chunks placed so far.
    again: Spread,
}

impl Arrangement {
    /// Arranges a file whose chunks were all placed, for a header of so many bytes.
    pub fn new(spread: Spread, header_bytes: u64) -> Self {
        let part = spread.part_bytes;
        let header_parts = header_bytes.div_ceil(part);
        let tail = (part + spread.streamed_bytes).max(header_parts * part);
        let again = Spread::new(part);
        Self { spread, header_parts, fill: header_bytes, is_filled: false, tail, again }
    }

    /// Returns where the next chunk lies.
    pub fn offset(&mut self, chunk_bytes: u64) -> u64 {
        match self.again.place(chunk_bytes) {
            Spot::Streamed(at) if at >= self.displaced_bytes() => self.spread.part_bytes + at,
            _ => self.loose(chunk_bytes),
        }
    }

    /// Returns how many parts the header takes.
    pub const fn header_parts(&self) -> u64 {
        self.header_parts
    }

    /// Returns where the file ends, once every chunk was asked for.
    pub const fn end(&self) -> u64 {
        if self.spread.streamed_bytes == 0 { self.fill } else { self.tail }
    }

    /// Returns how many streamed bytes the header's parts take the place of.
    const fn displaced_bytes(&self) -> u64 {
        (self.header_parts - 1) * self.spread.part_bytes
    }

    /// Finds a place for a held or displaced chunk.
    const fn loose(&mut self, chunk_bytes: u64) -> u64 {
        let room = self.header_parts * self.spread.part_bytes;
        // Nothing was streamed: the held chunks are all there is, and follow the header without a hole.
        let is_alone = self.spread.streamed_bytes == 0;
        if is_alone || (!self.is_filled && self.fill + chunk_bytes <= room) {
            let at = self.fill;
            self.fill += chunk_bytes;
            return at;
        }
        self.is_filled = true;
        let at = self.tail;
        self.tail += chunk_bytes;
        at
    }
}
