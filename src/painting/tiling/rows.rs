//! A picture's values on the processor, row by row, in the precision in which a run keeps them.

use std::ops::Range;

use crate::disk::Words;
use crate::engine::real::Real;

/// Reals in rows, as the words that checkpoints have.
#[derive(Debug)]
pub(crate) struct Rows {
    real: Real,
    /// Values of a row.
    len: usize,
    words: Words,
}

impl Rows {
    /// Rows of `len` values each, from their words.
    pub(crate) fn new(real: Real, len: usize, words: Words) -> Self {
        Self { real, len, words }
    }

    /// Words of a row.
    pub(crate) fn row_words(&self) -> usize {
        self.real.len(self.len)
    }

    pub(crate) fn words(&self) -> &Words {
        &self.words
    }

    pub(crate) fn words_mut(&mut self) -> &mut Words {
        &mut self.words
    }

    pub(crate) fn row(&self, y: usize) -> Vec<f64> {
        self.real.decode(&self.words[y * self.row_words()..][..self.row_words()])
    }
}

/// How many threads share the rows of a picture. A browser has one.
pub(crate) fn threads() -> usize {
    if cfg!(target_arch = "wasm32") { 1 } else { std::thread::available_parallelism().map_or(1, |n| n.get()) }
}

/// The words of a block of rows: 64 MiB.
const BLOCK: usize = if cfg!(test) { 64 } else { 1 << 24 };

/// The rows of a picture, block by block, where a row has `row` words. After each block, [`Words::unload`] lets go of
/// what was used, so that words in files take little memory.
pub(crate) fn blocks(rows: usize, row: usize) -> impl Iterator<Item = Range<usize>> {
    let block = (BLOCK / row.max(1)).max(1);
    (0..rows).step_by(block).map(move |begin| begin..(begin + block).min(rows))
}

/// Calls `work` with each row of `values` and its number, on all processors. What it returns comes in the
/// order of the rows, so that sums do not depend on how many processors there are. `work` reads `beside`.
pub(crate) fn in_bands<T: Send>(
    values: &mut Words,
    row: usize,
    beside: &[&Words],
    work: impl Fn(usize, &mut [f32]) -> T + Sync,
) -> Vec<T> {
    let rows = values.len() / row;
    let mut results = Vec::with_capacity(rows);
    for block in blocks(rows, row) {
        let values_of_block = &mut values[block.start * row..block.end * row];
        results.extend(bands_of_block(values_of_block, row, |y, values| work(block.start + y, values)));
        values.unload();
        beside.iter().for_each(|words| words.unload());
    }
    results
}

fn bands_of_block<T: Send>(
    values: &mut [f32],
    row: usize,
    work: impl Fn(usize, &mut [f32]) -> T + Sync,
) -> Vec<T> {
    let rows = values.len() / row;
    let band = rows.div_ceil(threads()).max(1);
    if band >= rows {
        return values.chunks_exact_mut(row).enumerate().map(|(y, values)| work(y, values)).collect();
    }
    std::thread::scope(|scope| {
        let bands = values.chunks_mut(band * row).enumerate();
        let workers: Vec<_> = bands
            .map(|(index, values)| {
                let work = &work;
                scope.spawn(move || -> Vec<T> {
                    let rows = values.chunks_exact_mut(row).enumerate();
                    rows.map(|(y, values)| work(index * band + y, values)).collect()
                })
            })
            .collect();
        let join = |worker: std::thread::ScopedJoinHandle<'_, Vec<T>>| match worker.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        workers.into_iter().flat_map(join).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_all_rows_in_order() {
        for (rows, row) in [(0, 5), (1, 5), (7, BLOCK / 3), (7, BLOCK), (3, 2 * BLOCK), (1000, BLOCK / 999)] {
            let all: Vec<_> = blocks(rows, row).flatten().collect();
            assert_eq!(all, (0..rows).collect::<Vec<_>>(), "{rows} rows of {row}");
            assert!(blocks(rows, row).all(|block| block.len() == 1 || block.len() * row <= BLOCK));
        }
    }
}
