//! Several ranks share the tiles of a picture. Here they are threads of one process, each with a device of its own.

use std::rc::Rc;
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

use impasto::painting::choices::TileStatistics;
use impasto::painting::ranks::Ranks;
use impasto::painting::session::{Losses, Session};
use impasto::painting::tiling::Tiling;
use impasto::{Error, Settings};

use crate::tiling::{Setup, plain};

/// Where the ranks meet.
struct Meeting {
    barrier: Barrier,
    said: Mutex<Vec<Vec<f32>>>,
}

/// One of them.
struct Rank {
    rank: usize,
    meeting: Arc<Meeting>,
}

impl Ranks for Rank {
    fn rank(&self) -> usize {
        self.rank
    }

    fn count(&self) -> usize {
        self.meeting.said.lock().unwrap().len()
    }

    fn gather(&self, own: &[f32]) -> impasto::Result<Vec<Vec<f32>>> {
        self.meeting.said.lock().unwrap()[self.rank] = own.to_vec();
        self.meeting.barrier.wait();
        let all = self.meeting.said.lock().unwrap().clone();
        self.meeting.barrier.wait();
        Ok(all)
    }

    fn share(&self, words: &mut [f32]) -> impasto::Result<()> {
        words.copy_from_slice(&self.gather(words)?[0]);
        Ok(())
    }
}

/// What a rank ends with: the optimised variable, the losses, and the iterations that it did.
#[derive(Debug, PartialEq)]
struct End {
    variable: Vec<f64>,
    losses: Vec<Losses>,
    iterations: usize,
}

/// Runs the same session on so many ranks at once. `before` is called with each rank's session.
fn on_ranks(
    count: usize,
    settings: &Settings,
    before: impl Fn(usize, &mut Session) + Sync,
) -> Vec<impasto::Result<End>> {
    let meeting = Meeting { barrier: Barrier::new(count), said: Mutex::new(vec![Vec::new(); count]) };
    let meeting = Arc::new(meeting);
    let run = |rank: usize| {
        let setup = Setup::new(390, 51);
        let builder = setup.builder(settings, Tiling::Side(16));
        let rank_here = Rc::new(Rank { rank, meeting: meeting.clone() });
        let mut session = builder.ranks(rank_here).build()?;
        before(rank, &mut session);
        session.run(&mut ())?;
        let losses = session.losses().collect();
        Ok(End { variable: session.variable()?, losses, iterations: session.submitted() })
    };
    thread::scope(|scope| {
        let run = &run;
        let ranks: Vec<_> = (0..count).map(|rank| scope.spawn(move || run(rank))).collect();
        ranks.into_iter().map(|rank| rank.join().expect("a rank")).collect()
    })
}

/// Two iterations of a strip, the last one with the finish: four tiles for gradients, two for statistics.
fn settings() -> Settings {
    let mut settings = plain(2);
    (settings.average, settings.finish) = (0.9, 0.5);
    settings
}

fn alone(settings: &Settings) -> End {
    let setup = Setup::new(390, 51);
    let mut session = setup.session(settings, Tiling::Side(16));
    session.run(&mut ()).unwrap();
    let losses = session.losses().collect();
    End { variable: session.variable().unwrap(), losses, iterations: session.submitted() }
}

/// Also where a round has a tile for some ranks only.
#[test]
fn ranks_have_the_bits_of_one() {
    for (count, statistics) in [(3, TileStatistics::Exact), (2, TileStatistics::Quick)] {
        let mut settings = settings();
        settings.tile_statistics = statistics;
        let expected = alone(&settings);
        for (rank, end) in on_ranks(count, &settings, |_, _| ()).into_iter().enumerate() {
            assert!(end.unwrap() == expected, "rank {rank} of {count} has other bits");
        }
    }
}

/// Whoever is asked, and wherever: between iterations, or within one, which is then as if it had not begun.
#[test]
fn one_rank_that_is_stopped_stops_all() {
    let settings = plain(2);
    for (asked, tiles) in [(0, 0), (1, 3)] {
        let ends = on_ranks(2, &settings, |rank, session| {
            if rank == asked {
                let mut looks = 0;
                session.watch_tiles(move |_, _| {
                    looks += 1;
                    looks <= tiles
                });
            }
        });
        let ends: Vec<End> = ends.into_iter().map(Result::unwrap).collect();
        assert!(ends[0].iterations < 2 && ends.iter().all(|end| *end == ends[0]), "{asked} after {tiles}");
    }
    let ends = on_ranks(2, &settings, |rank, session| {
        if rank == 0 {
            session.stop();
        }
    });
    assert!(ends.into_iter().all(|end| end.unwrap().iterations == 0));
}

/// A rank that says that it failed, as one does whose device is lost.
struct Failing(Rank);

impl Ranks for Failing {
    fn rank(&self) -> usize {
        self.0.rank()
    }

    fn count(&self) -> usize {
        self.0.count()
    }

    fn gather(&self, _: &[f32]) -> impasto::Result<Vec<Vec<f32>>> {
        // The word of a failure, see `painting::ranks`.
        self.0.gather(&[2.0])
    }

    fn share(&self, words: &mut [f32]) -> impasto::Result<()> {
        self.0.share(words)
    }
}

#[test]
fn one_rank_that_fails_ends_all_with_its_number() {
    let meeting = Arc::new(Meeting { barrier: Barrier::new(2), said: Mutex::new(vec![Vec::new(); 2]) });
    let settings = plain(1);
    let run = |rank: usize| {
        let setup = Setup::new(390, 51);
        let own = Rank { rank, meeting: meeting.clone() };
        let own: Rc<dyn Ranks> = if rank == 1 { Rc::new(Failing(own)) } else { Rc::new(own) };
        setup.builder(&settings, Tiling::Side(16)).ranks(own).build()?.run(&mut ())
    };
    let ends = thread::scope(|scope| {
        [0, 1].map(|rank| scope.spawn(move || run(rank))).map(|rank| rank.join().unwrap())
    });
    for end in ends {
        let Err(Error::Device(why)) = end else { panic!("{end:?}") };
        assert!(why.starts_with("rank 1 of 2 failed"), "{why}");
    }
}
