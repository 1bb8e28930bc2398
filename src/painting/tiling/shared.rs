//! A pass over tiles that several processes share.

use std::cell::Cell;
use std::collections::BTreeMap;

use crate::Result;
use crate::painting::ranks::{Ranks, Word, exchange};
use crate::painting::tiling::device::{self, Device};
use crate::painting::tiling::window::{Flight, Window};

/// Runs a pass over `tiles` tiles, of which each rank computes its own and gives what came of them to all. `submit`
/// and `land` are those of [`device::pass`]; `land` takes all tiles. Returns whether the pass is complete.
pub(crate) async fn pass<'g>(
    devices: &mut [Device<'g>],
    ranks: Option<&dyn Ranks>,
    tiles: usize,
    submit: impl FnMut(&mut Window<'g>, usize) -> Option<Flight>,
    mut land: impl FnMut(&Window<'g>, usize, Vec<f32>),
) -> Result<bool> {
    let Some(ranks) = ranks else {
        let land = |window: &Window<'g>, tile, words| {
            land(window, tile, words);
            Ok(true)
        };
        return device::pass(devices, 0..tiles, submit, land).await;
    };
    let count = ranks.count();
    // Whether all ranks know that the pass has ended before its time.
    let ended = Cell::new(false);
    // In a round, each rank has a tile; in the last one, perhaps not all.
    let mut round = |window: &Window<'g>, number: usize, own: &[f32]| {
        let given = exchange(ranks, Word::Done, own);
        ended.set(!matches!(given, Ok(Some(_))));
        let Some(given) = given? else { return Ok(false) };
        for (tile, words) in (number * count..tiles).zip(given) {
            land(window, tile, words);
        }
        Ok(true)
    };
    let (mut waiting, mut done) = (BTreeMap::new(), 0);
    let own = (ranks.rank()..tiles).step_by(count);
    let whole = device::pass(devices, own, submit, |window, tile, words| {
        // The devices of a rank finish in any order.
        waiting.insert(tile / count, words);
        while let Some(words) = waiting.remove(&done) {
            done += 1;
            if !round(window, done - 1, &words)? {
                return Ok(false);
            }
        }
        Ok(true)
    })
    .await;
    match whole {
        _ if ended.get() => whole,
        Ok(true) if done < tiles.div_ceil(count) => round(&devices[0].window, done, &[]),
        Ok(true) => Ok(true),
        Ok(false) => exchange(ranks, Word::Stop, &[]).map(|_| false),
        Err(error) => {
            // Whatever the others answer, this is why.
            let _ = exchange(ranks, Word::Failed, &[]);
            Err(error)
        }
    }
}
