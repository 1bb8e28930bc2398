//! Fax: black and white rows as lengths of runs, or as differences from the row above (ITU-T T.4 and T.6).
//!
//! The tables of codes are those of a library. Its decoder of whole pages knows neither Group 3 in two
//! dimensions nor rows without marks between them, so the rows are put together here.

use std::convert::Infallible;

use fax::BitReader;
use fax::maps::{Mode, black, mode, white};

/// How rows are coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// Runs. Each row begins at a whole byte.
    Aligned,
    /// Runs, with a mark before each row.
    Runs,
    /// Runs or differences, as the bit after the mark before each row says.
    Mixed,
    /// Differences, without marks.
    Differences,
}

/// Rows of `width` pixels as bits, 1 for black; fewer than `rows` if the data end before.
pub(super) fn decode(bytes: &[u8], coding: Coding, width: usize, rows: usize) -> Vec<u8> {
    let mut reader = Bits { bytes, at: 0 };
    let mut row = Vec::new();
    let mut out = Vec::new();
    for _ in 0..rows {
        let marked = matches!(coding, Coding::Runs | Coding::Mixed) && skip_mark(&mut reader);
        let runs = match coding {
            Coding::Aligned | Coding::Runs => true,
            Coding::Mixed => !marked || bit(&mut reader) == Some(1),
            Coding::Differences => false,
        };
        let next = if runs { by_runs(&mut reader, width) } else { by_differences(&mut reader, &row, width) };
        let Some(next) = next.filter(|_| reader.at <= 8 * bytes.len()) else { break };
        row = next;
        pack(&row, width, &mut out);
        if coding == Coding::Aligned {
            let rest = reader.bits_to_byte_boundary();
            let Ok(()) = reader.consume(rest);
        }
    }
    out
}

/// Bits, highest first. Behind the last are zeros, so that the last code can be looked up in whole.
struct Bits<'a> {
    bytes: &'a [u8],
    /// The number of bits that were consumed.
    at: usize,
}

impl BitReader for Bits<'_> {
    type Error = Infallible;

    fn peek(&self, bits: u8) -> Option<u16> {
        let byte = |i: usize| self.bytes.get(self.at / 8 + i).copied().map_or(0, u32::from);
        let next = byte(0) << 16 | byte(1) << 8 | byte(2);
        let there = bits <= 16 && self.at < 8 * self.bytes.len();
        there.then(|| (next << (self.at % 8 + 8) >> 16 >> (16 - bits.min(16))) as u16)
    }

    fn consume(&mut self, bits: u8) -> Result<(), Infallible> {
        self.at += usize::from(bits);
        Ok(())
    }

    fn bits_to_byte_boundary(&self) -> u8 {
        (self.at.next_multiple_of(8) - self.at) as u8
    }
}

fn bit(reader: &mut Bits) -> Option<u16> {
    let bit = reader.peek(1)?;
    let Ok(()) = reader.consume(1);
    Some(bit)
}

/// Skips the mark if one is next, and says whether there was one: at least eleven zeros, and a one. No other
/// code begins with eight zeros.
fn skip_mark(reader: &mut Bits) -> bool {
    if reader.peek(11) != Some(0) {
        return false;
    }
    while bit(reader) == Some(0) {}
    true
}

/// The length of a run: multiples of 64, and then a rest below 64.
fn run(reader: &mut Bits, is_black: bool) -> Option<usize> {
    let mut sum = 0usize;
    loop {
        let part = if is_black { black::decode(reader) } else { white::decode(reader) }?;
        sum = sum.checked_add(usize::from(part))?;
        if part < 64 {
            return Some(sum);
        }
    }
}

/// Adds the place of a change. A run without pixels is no run, so that two changes at its place cancel.
fn push(changes: &mut Vec<usize>, at: usize) {
    if changes.last() == Some(&at) {
        changes.pop();
    } else {
        changes.push(at);
    }
}

/// The places at which a row changes between white, with which it begins, and black.
fn by_runs(reader: &mut Bits, width: usize) -> Option<Vec<usize>> {
    let (mut at, mut is_black, mut changes) = (0, false, Vec::new());
    while at < width {
        at += run(reader, is_black)?;
        push(&mut changes, at);
        is_black = !is_black;
    }
    Some(changes)
}

/// As [`by_runs`], by the differences from the row `above`.
fn by_differences(reader: &mut Bits, above: &[usize], width: usize) -> Option<Vec<usize>> {
    // The row begins at an imaginary white pixel before the first.
    let (mut at, mut is_black, mut changes) = (None, false, Vec::new());
    let mut next = 0;
    while at.is_none_or(|at| at < width) {
        // In the row above, the first change after `at` that leads away from this colour, and the change
        // after it.
        while next > 0 && at.is_none_or(|at| above[next - 1] > at) {
            next -= 1;
        }
        while above.get(next).is_some_and(|place| at.is_some_and(|at| *place <= at)) {
            next += 1;
        }
        let away = next + usize::from((next % 2 == 1) != is_black);
        let place = |i: usize| above.get(i).copied().unwrap_or(width);
        let here = at.unwrap_or(0);
        match mode::decode(reader)? {
            Mode::Pass => at = Some(place(away + 1)),
            Mode::Vertical(step) => {
                let change = place(away).checked_add_signed(isize::from(step))?;
                if change < here {
                    return None;
                }
                push(&mut changes, change);
                is_black = !is_black;
                at = Some(change);
            }
            Mode::Horizontal => {
                let first = here + run(reader, is_black)?;
                let second = first + run(reader, !is_black)?;
                push(&mut changes, first);
                push(&mut changes, second);
                at = Some(second);
            }
            Mode::Extension | Mode::EOF => return None,
        }
    }
    Some(changes)
}

/// Adds a row that changes between white and black at these places.
fn pack(changes: &[usize], width: usize, out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + width.div_ceil(8), 0);
    for run in changes.chunks(2) {
        let end = run.get(1).copied().unwrap_or(width).min(width);
        for x in run[0].min(end)..end {
            out[start + x / 8] |= 0x80 >> (x % 8);
        }
    }
}
