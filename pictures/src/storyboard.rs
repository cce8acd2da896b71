//! Small pictures side by side, for a player to show where a click on its bar would lead.
//!
//! A sheet is one JPEG file of up to [`COLUMNS`] by [`ROWS`] tiles; a WebVTT file says which tile belongs to which
//! time.

use std::fmt::Write;

use crate::{Picture, PictureError};

/// The frame of a tile, in pixels.
const TILE_WIDTH: usize = 160;
const TILE_HEIGHT: usize = 90;

/// Tiles side by side.
pub const COLUMNS: usize = 5;
/// Tiles one below the other.
pub const ROWS: usize = 5;

/// The most tiles of a recording, however long it is.
pub const TILES_MAX: usize = 100;

/// Tiles are at least so far apart, in milliseconds.
const APART_MIN_MS: u64 = 2_000;

/// Holds a small picture and when it was taken, in milliseconds of the recording.
#[derive(Debug, Clone)]
pub struct Tile {
    start_ms: u64,
    picture: Picture,
}

/// Holds what is to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storyboard {
    /// JPEG files; `storyboard-1.jpg` is the first.
    pub sheets: Vec<Vec<u8>>,
    /// The WebVTT file.
    pub vtt: String,
}

/// Picks which of the keyframes become tiles: evenly, at most [`TILES_MAX`]. Times are in milliseconds and ascend.
pub fn pick(starts_ms: &[u64], duration_ms: u64) -> Vec<usize> {
    let apart_ms = duration_ms.div_ceil(TILES_MAX as u64).max(APART_MIN_MS);
    let mut next_ms = 0;
    let mut picked = Vec::new();
    for (index, &start_ms) in starts_ms.iter().enumerate() {
        if start_ms >= next_ms && picked.len() < TILES_MAX {
            picked.push(index);
            next_ms = (start_ms / apart_ms + 1) * apart_ms;
        }
    }
    picked
}

impl Tile {
    /// Makes a picture small.
    pub fn new(start_ms: u64, picture: Picture) -> Self {
        Self { start_ms, picture: picture.fitted(TILE_WIDTH, TILE_HEIGHT) }
    }
}

impl Storyboard {
    /// Lays tiles out in the order of their times; `None` without any.
    ///
    /// # Errors
    /// Those of [`Picture::to_jpeg`].
    pub fn of(tiles: &[Tile], duration_ms: u64) -> Result<Option<Self>, PictureError> {
        if tiles.is_empty() {
            return Ok(None);
        }
        let sheets = tiles.chunks(COLUMNS * ROWS).map(|tiles| sheet(tiles).to_jpeg()).collect::<Result<_, _>>()?;
        Ok(Some(Self { sheets, vtt: vtt(tiles, duration_ms) }))
    }
}

/// Returns where the tile of an index stands on its sheet, in pixels.
const fn corner(index: usize) -> (usize, usize) {
    (index % COLUMNS * TILE_WIDTH, index / COLUMNS % ROWS * TILE_HEIGHT)
}

fn sheet(tiles: &[Tile]) -> Picture {
    let mut sheet = Picture::black(COLUMNS.min(tiles.len()) * TILE_WIDTH, tiles.len().div_ceil(COLUMNS) * TILE_HEIGHT);
    for (index, Tile { picture, .. }) in tiles.iter().enumerate() {
        let (x, y) = corner(index);
        sheet.paste(picture, x + (TILE_WIDTH - picture.width()) / 2, y + (TILE_HEIGHT - picture.height()) / 2);
    }
    sheet
}

/// Writes the cues (W3C WebVTT §4), whose payload is a media fragment (W3C Media Fragments §4.2.2). The first cue
/// begins with the recording, and each one lasts until the next.
fn vtt(tiles: &[Tile], duration_ms: u64) -> String {
    let mut text = String::from("WEBVTT\n");
    for (index, tile) in tiles.iter().enumerate() {
        let start_ms = if index == 0 { 0 } else { tile.start_ms };
        let end_ms = tiles.get(index + 1).map_or(duration_ms, |next| next.start_ms).max(start_ms + 1);
        let (x, y) = corner(index);
        let number = index / (COLUMNS * ROWS) + 1;
        let (start, end) = (timestamp(start_ms), timestamp(end_ms));
        let place = format!("storyboard-{number}.jpg#xywh={x},{y},{TILE_WIDTH},{TILE_HEIGHT}");
        write!(text, "\n{start} --> {end}\n{place}\n").expect("a text takes any text");
    }
    text
}

fn timestamp(ms: u64) -> String {
    let (s, ms) = (ms / 1000, ms % 1000);
    format!("{:02}:{:02}:{:02}.{ms:03}", s / 3600, s / 60 % 60, s % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_are_spread_evenly_and_never_too_many() {
        assert_eq!(pick(&[0, 1_000, 2_000, 3_900, 4_000], 5_000), [0, 2, 4]);
        assert_eq!(pick(&[500, 2_500], 5_000), [0, 1]);
        let starts: Vec<u64> = (0..10_800).map(|n| n * 2_000).collect();
        let picked = pick(&starts, 21_600_000);
        assert_eq!((picked.len(), picked[1]), (100, 108));
        assert!(pick(&starts, 0).len() <= TILES_MAX);
        assert!(pick(&[], 5_000).is_empty());
    }

    #[test]
    fn cues_follow_each_other_and_name_their_tiles() {
        let tiles: Vec<_> = (0..27).map(|n| Tile::new(100 + n * 2_000, Picture::black(320, 240))).collect();
        let storyboard = Storyboard::of(&tiles, 3_660_500).unwrap().unwrap();
        assert_eq!(storyboard.sheets.len(), 2);
        assert!(storyboard.sheets.iter().all(|sheet| sheet.starts_with(&[0xff, 0xd8])));
        let begin = "WEBVTT\n\n00:00:00.000 --> 00:00:02.100\nstoryboard-1.jpg#xywh=0,0,160,90\n";
        assert!(storyboard.vtt.starts_with(begin), "{}", storyboard.vtt);
        assert!(storyboard.vtt.contains("\n00:00:14.100 --> 00:00:16.100\nstoryboard-1.jpg#xywh=320,90,160,90\n"));
        assert!(storyboard.vtt.ends_with(" --> 01:01:00.500\nstoryboard-2.jpg#xywh=160,0,160,90\n"));
        assert_eq!(Storyboard::of(&[], 1_000).unwrap(), None);
    }

    #[test]
    fn a_tile_keeps_its_proportions_on_the_sheet() {
        let mut white = Picture::black(300, 300);
        white.y.fill(235);
        let sheet = sheet(&[Tile::new(0, white)]);
        assert_eq!((sheet.width(), sheet.height()), (160, 90));
        let row = &sheet.y[45 * 160..46 * 160];
        assert_eq!((row[30], row[80], row[130]), (16, 235, 16));
    }
}
