//! L-BFGS on the device: on a quadratic, and as the optimiser of runs.

use impasto::cases::widen;
use impasto::engine::real::Real;
use impasto::engine::tape::{Shape, Slot, Tape};
use impasto::ops::adam::{Rule, Schedule, adam};
use impasto::ops::lbfgs::lbfgs;
use impasto::ops::mse::mse;
use impasto::ops::tv::{Differences, tv};
use impasto::painting::checkpoint::Checkpoint;
use impasto::painting::choices::Optimizer;
use impasto::painting::preset::Preset;
use impasto::{Gpu, Picture, Session, Settings};

use crate::support::setup::Setup;
use crate::support::studio::Studio;

/// The loss after so many steps on a quadratic: the distance to a target, and a total variation that counts
/// so much that the largest eigenvalue of the Hessian is some hundred times the smallest.
fn quadratic(gpu: &Gpu, real: Real, optimizer: Optimizer, steps: usize) -> Vec<f64> {
    let shape = Shape::new(3, 9, 13);
    let value = |i: usize, k: usize| (i * k % 101) as f32 / 101.0;
    let [start, target]: [Vec<f32>; 2] = [37, 53].map(|k| (0..shape.len()).map(|i| value(i, k)).collect());
    let mut tape = Tape::new(gpu);
    let x = tape.leaf("x", shape);
    let exact = tape.state("exact", real.len(shape.len()));
    let losses = tape.state("losses", 2);
    let target = gpu.upload("target", &target).unwrap();
    let goal = tape.given("target", &target);
    tape.op("variation");
    let weights = [1.0, 20.0].map(|weight| tape.knob(weight));
    tv(&mut tape, x, exact, real, weights[1], Slot { losses, index: 0 }, Differences::NinePoint);
    tape.op("distance");
    mse(&mut tape, x, goal, weights[0], Slot { losses, index: 1 });
    tape.op("optimiser");
    let factor = shape.len() as f64;
    match optimizer {
        Optimizer::Adam => {
            let schedule = Schedule::decaying(&mut tape, 0.02, 1.0, 50);
            adam(&mut tape, x, exact, real, Rule::PAPER, factor, schedule);
        }
        Optimizer::Lbfgs => {
            let schedule = Schedule::decaying(&mut tape, 1.0, 1.0, 50);
            lbfgs(&mut tape, x, exact, real, Rule::PAPER, factor, schedule);
        }
    }
    let plan = tape.finish().unwrap();
    plan.write(gpu, x.value, &start);
    plan.write(gpu, exact, &real.encode(&widen(&start)));
    let run = |_| {
        plan.run(gpu);
        widen(&plan.read(gpu, losses).unwrap()).iter().sum()
    };
    (0..steps).map(run).collect()
}

#[test]
fn a_quadratic_is_solved_in_few_steps() {
    let gpu = Gpu::new(None).unwrap();
    for real in [Real::F32, Real::of(&gpu)] {
        let found = quadratic(&gpu, real, Optimizer::Lbfgs, 60);
        let least = found[59];
        let above = |loss: f64| (loss - least) / (found[0] - least);
        // By then it has found the minimum within what float32 can tell of a loss.
        assert!(above(found[40]).abs() < 1e-5, "{real:?}: {:?}", &found[35..]);
        let adam = quadratic(&gpu, real, Optimizer::Adam, 41);
        assert!(above(adam[40]) > 1e-3, "{real:?}: Adam is as fast: {}", above(adam[40]));
        assert_eq!(found, quadratic(&gpu, real, Optimizer::Lbfgs, 60), "{real:?}: other bits");
    }
}

/// On noise, larger than a stage before the last.
fn setup() -> Setup {
    let (content, style) = (Picture::noise(99, 92, 1), Picture::noise(90, 90, 2));
    Setup { content, style, ..Setup::new(&Settings::painterly()) }
}

/// Two sizes and a finish, with averaged iterates and steps that settle.
fn settings() -> Settings {
    let mut settings = Settings::painterly();
    settings.set_optimizer(Optimizer::Lbfgs);
    (settings.first_size, settings.first_iterations) = (70, vec![4]);
    (settings.iterations, settings.finish, settings.settle) = (6, 0.5, 0.5);
    settings
}

#[test]
fn a_resumed_run_has_the_bits_of_one_that_never_stopped() {
    let setup = setup();
    let settings = settings();
    let finish = |mut session: Session| {
        let mut checkpoints: Vec<Checkpoint> = Vec::new();
        while session.step().unwrap().is_some() {
            checkpoints.push(session.checkpoint().unwrap());
        }
        let losses: Vec<_> = session.losses().collect();
        let bits: Vec<_> = session.variable().unwrap().into_iter().map(f64::to_bits).collect();
        (losses, bits, checkpoints)
    };
    let (losses, bits, checkpoints) = finish(setup.builder(&settings).build().unwrap());
    assert_eq!(losses.len(), 10);
    assert!(losses[3].total < 0.9 * losses[0].total, "{} {}", losses[0].total, losses[3].total);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.checkpoint");
    let mut before = 0;
    for checkpoint in checkpoints.iter().filter(|checkpoint| {
        let new = checkpoint.iteration() > before;
        before = checkpoint.iteration();
        new
    }) {
        checkpoint.save(&path).unwrap();
        let checkpoint = Checkpoint::open(&path).unwrap();
        let (resumed, resumed_bits, _) =
            finish(setup.builder(&settings).resume(&checkpoint).build().unwrap());
        assert!(resumed == losses && resumed_bits == bits, "differs after {}", checkpoint.iteration());
    }
    let mut adam = settings.clone();
    adam.optimizer = Optimizer::Adam;
    let refused = setup.builder(&adam).resume(&checkpoints[0]).build().err().unwrap().to_string();
    assert!(refused.contains("optimizer \"lbfgs\", and this run has \"adam\""), "{refused}");
}

#[test]
fn an_optimiser_brings_its_learning_rate() {
    let preset = Preset::parse("it", "optimizer = \"lbfgs\"").unwrap();
    assert_eq!((preset.settings.optimizer, preset.settings.learning_rate), (Optimizer::Lbfgs, 1.0));
    let preset = Preset::parse("it", "optimizer = \"lbfgs\"\nlearning_rate = 0.5").unwrap();
    assert_eq!(preset.settings.learning_rate, 0.5);
    assert_eq!(Preset::parse("it", &preset.to_toml()).unwrap(), preset);

    let studio = Studio::new();
    let run = "stylize photo.png painting.png -q --iterations 3 --size 24";
    for (more, rate) in [("", 1.0), (" --learning-rate 0.5", 0.5), (" --strength 0.2", 1.0)] {
        let output = studio.run(&format!("{run} --optimizer lbfgs -o out.png{more} --write-preset p.toml"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let preset = Preset::open(&studio.path("p.toml")).unwrap();
        assert_eq!(
            (preset.settings.optimizer, preset.settings.learning_rate),
            (Optimizer::Lbfgs, rate),
            "{more}"
        );
    }
    studio.refuses(2, "--optimizer", &format!("{run} --optimizer sgd -o new.png"));
}
