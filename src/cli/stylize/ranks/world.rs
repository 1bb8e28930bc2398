//! The processes of an MPI job.

use std::rc::Rc;

use impasto::Result;
use impasto::painting::ranks::Ranks;
use mpi::datatype::PartitionMut;
use mpi::environment::Universe;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives, Root};

use super::Party;

/// What launchers tell the processes that they start.
const SIGNS: [&str; 4] = ["OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK", "PMI_SIZE"];

struct World {
    world: SimpleCommunicator,
    /// Leaves the job when it is dropped.
    _universe: Universe,
}

/// Joins the job, if a launcher has started several processes.
pub fn join() -> anyhow::Result<Option<Party>> {
    if !SIGNS.iter().any(|sign| std::env::var_os(sign).is_some()) {
        return Ok(None);
    }
    let Some(universe) = mpi::initialize() else {
        anyhow::bail!("MPI is in use already; start the program by `mpirun` or `srun --mpi`");
    };
    let world = universe.world();
    if world.size() == 1 {
        return Ok(None);
    }
    let leaving = universe.world();
    let abort = Box::new(move |code| leaving.abort(i32::from(code)));
    Ok(Some(Party { ranks: Rc::new(World { world, _universe: universe }), abort }))
}

impl Ranks for World {
    fn rank(&self) -> usize {
        self.world.rank() as usize
    }

    fn count(&self) -> usize {
        self.world.size() as usize
    }

    fn gather(&self, own: &[f32]) -> Result<Vec<Vec<f32>>> {
        let mut counts = vec![0; self.count()];
        self.world.all_gather_into(&(own.len() as i32), &mut counts[..]);
        let starts = counts.iter().scan(0, |at, count| {
            *at += count;
            Some(*at - count)
        });
        let starts: Vec<i32> = starts.collect();
        let mut all = vec![0f32; counts.iter().map(|count| *count as usize).sum()];
        let mut parts = PartitionMut::new(&mut all[..], &counts[..], &starts[..]);
        self.world.all_gather_varcount_into(own, &mut parts);
        let mut rest = all.as_slice();
        let taken = counts.iter().map(|count| {
            let (own, others) = rest.split_at(*count as usize);
            rest = others;
            own.to_vec()
        });
        Ok(taken.collect())
    }

    fn share(&self, words: &mut [f32]) -> Result<()> {
        self.world.process_at_rank(0).broadcast_into(words);
        Ok(())
    }
}
