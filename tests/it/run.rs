//! The run loop: what an observer is told, and what it can ask for.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake};

use impasto::painting::provenance::Record;
use impasto::painting::steering::{Change, End, MOST_CHANGES};
use impasto::picture::Input;
use impasto::{
    Checkpoint, ConvWeights, Ending, Error, Gpu, Losses, Network, Observer, Picture, Result, Run, Session,
    Settings, Tuning, Vgg, Weights, wgpu,
};

const ITERATIONS: usize = 40;

/// A device and a small network, with which iterations are quick.
struct Setup {
    gpu: Gpu,
    vgg: Vgg,
    settings: Settings,
}

impl Setup {
    fn new() -> Self {
        Self::on(Gpu::new(None).unwrap())
    }

    fn on(gpu: Gpu) -> Self {
        let network = Network::new("tiny", [1, 1], [2, 3]);
        let mut settings = Settings::book();
        settings.content_layers = vec!["relu2_1".parse().unwrap()];
        settings.style_layers = vec!["relu1_1".parse().unwrap()];
        settings.iterations = ITERATIONS;
        let layers = network.specs(&settings.taps()).unwrap().into_iter().map(|spec| {
            let draw =
                |n: usize| -> Vec<f32> { (0..n).map(|i| ((i * 37) % 19) as f32 / 19.0 - 0.4).collect() };
            let (weights, bias) = (draw(9 * spec.c_in * spec.c_out), draw(spec.c_out));
            ConvWeights::new(spec, weights, bias).unwrap()
        });
        let weights = Weights::new(layers.collect(), [0.5; 3], [0.25; 3]).unwrap();
        let vgg = Vgg::new(&gpu, network, &weights, &Tuning::default()).unwrap();
        Self { gpu, vgg, settings }
    }

    /// With the painterly recipe, without its finish, in two sizes for pictures of 92 x 92.
    fn painterly() -> Self {
        let mut setup = Self::new();
        let mut settings = Settings::painterly();
        settings.content_layers.clone_from(&setup.settings.content_layers);
        settings.style_layers.clone_from(&setup.settings.style_layers);
        settings.style_layer_weights = vec![1.0];
        (settings.first_iterations, settings.first_size) = (Vec::new(), 65);
        settings.finish = 0.0;
        setup.settings = settings;
        setup
    }

    fn session(&self, checkpoint: Option<&Checkpoint>) -> Session<'_> {
        self.gpu.block_on(self.begun(checkpoint)).unwrap()
    }

    async fn begun(&self, checkpoint: Option<&Checkpoint>) -> Result<Session<'_>> {
        let (content, style) = (Picture::noise(9, 7, 1), Picture::noise(8, 6, 2));
        let mut builder = Session::builder(&self.gpu, &self.vgg).content(&content).style(&style, 1.0);
        if let Some(checkpoint) = checkpoint {
            builder = builder.resume(checkpoint);
        }
        builder.settings(self.settings.clone()).build_async().await
    }
}

fn bits(session: &mut Session) -> Vec<u64> {
    session.variable().unwrap().into_iter().map(f64::to_bits).collect()
}

/// What was seen of a run, and what to do in it.
#[derive(Default)]
struct Watch {
    losses: Vec<Losses>,
    pictures: Vec<usize>,
    checkpoints: Vec<Checkpoint>,
    /// Asks for a checkpoint, pauses or stops after this number of iterations.
    checkpoint_at: Option<usize>,
    pause_at: Option<usize>,
    stop_at: Option<usize>,
    /// Other settings, and after which iteration they come.
    change: Option<(usize, Settings)>,
    /// The first iteration that had them.
    changed: Option<usize>,
}

impl Observer for Watch {
    fn losses(&mut self, run: &mut Run, losses: &Losses) -> Result<()> {
        self.losses.push(losses.clone());
        let done = Some(self.losses.len());
        if done == self.checkpoint_at {
            run.checkpoint();
        }
        if done == self.pause_at {
            run.pause();
        }
        if done == self.stop_at {
            run.stop();
        }
        if let Some((_, settings)) = self.change.as_ref().filter(|(at, _)| done == Some(*at)) {
            self.changed = Some(run.set_weights(settings)?);
        }
        Ok(())
    }

    fn picture(&mut self, run: &mut Run, iterations: usize, picture: Picture) -> Result<()> {
        assert!((picture.width, picture.height) == (9, 7) && iterations <= run.session().landed());
        self.pictures.push(iterations);
        Ok(())
    }

    fn checkpoint(&mut self, run: &mut Run, checkpoint: Checkpoint) -> Result<()> {
        assert_eq!(checkpoint.iteration(), run.session().submitted());
        self.checkpoints.push(checkpoint);
        Ok(())
    }
}

#[test]
fn every_iteration_is_reported_however_the_run_is_watched() {
    let setup = Setup::new();
    let mut session = setup.session(None);
    let mut watch = Watch::default();
    assert_eq!(session.run(&mut watch).unwrap(), Ending::Complete);
    assert!(watch.losses.iter().enumerate().all(|(i, losses)| losses.iteration == i));
    assert_eq!(watch.losses.len(), ITERATIONS);
    assert!(watch.pictures.is_empty() && watch.checkpoints.is_empty());
    let expected = bits(&mut session);
    // A run that is complete has nothing left to report.
    assert_eq!(session.run(&mut |losses: &Losses| panic!("{losses:?}")).unwrap(), Ending::Complete);

    // Nobody, a closure, and one step after the other.
    let mut session = setup.session(None);
    assert_eq!(session.run(&mut ()).unwrap(), Ending::Complete);
    assert!(bits(&mut session) == expected);
    let (mut session, mut seen) = (setup.session(None), Vec::new());
    session.run(&mut |losses: &Losses| seen.push(losses.clone())).unwrap();
    assert!(bits(&mut session) == expected && seen == watch.losses);
    let mut session = setup.session(None);
    let stepped: Vec<Losses> = std::iter::from_fn(|| session.step().unwrap()).collect();
    assert!(bits(&mut session) == expected && stepped == watch.losses);
}

#[test]
fn a_pause_a_picture_and_a_checkpoint_change_no_bits() {
    let setup = Setup::new();
    let mut plain = setup.session(None);
    plain.run(&mut ()).unwrap();
    let (expected, all) = (bits(&mut plain), plain.losses().collect::<Vec<_>>());

    let mut session = setup.session(None);
    session.copy_every(5);
    let mut watch = Watch { pause_at: Some(7), checkpoint_at: Some(12), ..Watch::default() };
    assert_eq!(session.run(&mut watch).unwrap(), Ending::Paused);
    assert_eq!(watch.losses.len(), 7);
    assert_eq!(session.run(&mut watch).unwrap(), Ending::Complete);
    assert!(watch.losses == all && bits(&mut session) == expected);
    // The last picture is the session's.
    assert_eq!(watch.pictures, (5..ITERATIONS).step_by(5).collect::<Vec<_>>());

    let [checkpoint] = watch.checkpoints.try_into().unwrap();
    assert!((12..ITERATIONS).contains(&checkpoint.iteration()));
    let mut resumed = setup.session(Some(&checkpoint));
    let mut rest = Watch::default();
    assert_eq!(resumed.run(&mut rest).unwrap(), Ending::Complete);
    assert!(rest.losses == all[checkpoint.iteration()..] && bits(&mut resumed) == expected);
}

#[test]
fn a_stopped_run_says_where_it_ended() {
    let setup = Setup::new();
    let mut session = setup.session(None);
    let mut watch = Watch { stop_at: Some(1), ..Watch::default() };
    let Ending::Stopped(done) = session.run(&mut watch).unwrap() else { panic!("it was stopped") };
    // What was submitted is reported.
    assert_eq!((done, watch.losses.len()), (session.submitted(), session.submitted()));
    assert!((1..ITERATIONS).contains(&done));
    // It has ended for good.
    assert_eq!(session.run(&mut watch).unwrap(), Ending::Stopped(done));
    // Before the first iteration.
    struct Stop;
    impl Observer for Stop {
        fn steer(&mut self, run: &mut Run) -> Result<()> {
            run.stop();
            Ok(())
        }
    }
    assert_eq!(setup.session(None).run(&mut Stop).unwrap(), Ending::Stopped(0));
    // After the last one, there was nothing to stop.
    let mut late = Watch { stop_at: Some(ITERATIONS), ..Watch::default() };
    assert_eq!(setup.session(None).run(&mut late).unwrap(), Ending::Complete);
}

#[test]
fn a_change_of_weights_is_told_with_its_first_iteration() {
    let setup = Setup::new();
    let mut plain = setup.session(None);
    plain.run(&mut ()).unwrap();
    let mut settings = setup.settings.clone();
    settings.tv_weight *= 2.0;
    let mut watch = Watch { change: Some((9, settings)), ..Watch::default() };
    let mut session = setup.session(None);
    session.run(&mut watch).unwrap();
    let first = watch.changed.unwrap();
    assert!((9..ITERATIONS).contains(&first), "{first}");
    let before: Vec<Losses> = plain.losses().collect();
    assert!(watch.losses[..first] == before[..first]);
    // The picture is the same still, and only the weight has changed: by a power of two, so exactly.
    let (tv, was) = (watch.losses[first].tv, before[first].tv);
    assert!(watch.losses[first].content == before[first].content && tv == 2.0 * was, "{tv} and {was}");
}

/// Changes weights, ends a size and the run, each after some iterations, and takes a checkpoint between them.
#[derive(Default)]
struct Steerer {
    losses: Vec<Losses>,
    checkpoint: Option<Checkpoint>,
}

impl Observer for Steerer {
    fn losses(&mut self, run: &mut Run, losses: &Losses) -> Result<()> {
        self.losses.push(losses.clone());
        let mut settings = run.session().settings().clone();
        match self.losses.len() {
            3 => {
                settings.tv_weight *= 3.0;
                run.set_weights(&settings)?;
                // What is changed again before it takes effect is changed once.
                settings.content_weight *= 0.3;
                run.set_weights(&settings)?;
            }
            8 => drop(run.end_size()),
            25 => run.checkpoint(),
            30 => {
                settings.learning_rate *= 0.5;
                settings.style_layer_weights = vec![0.7];
                run.set_weights(&settings)?;
            }
            45 => drop(run.finish()),
            _ => {}
        }
        Ok(())
    }

    fn checkpoint(&mut self, _: &mut Run, checkpoint: Checkpoint) -> Result<()> {
        self.checkpoint = Some(checkpoint);
        Ok(())
    }
}

#[test]
fn a_run_that_was_steered_is_repeated_and_resumed_with_the_same_bits() {
    // Two sizes, each of more iterations than it gets.
    let mut setup = Setup::painterly();
    setup.settings.iterations = 500;
    let (content, style) = (Picture::noise(92, 92, 1), Picture::noise(70, 80, 2));
    let begin = |changes: &[Change], checkpoint: Option<&Checkpoint>| {
        let builder =
            Session::builder(&setup.gpu, &setup.vgg).content(&content).style(&style, 1.0).repeat(changes);
        let builder = checkpoint.into_iter().fold(builder, |builder, checkpoint| builder.resume(checkpoint));
        builder.settings(setup.settings.clone()).build().unwrap()
    };
    let mut session = begin(&[], None);
    let mut steerer = Steerer::default();
    assert_eq!(session.run(&mut steerer).unwrap(), Ending::Complete);
    let changes = session.changes().to_vec();
    let ends: Vec<_> = changes.iter().map(|change| change.end).collect();
    assert_eq!(ends, [None, Some(End::Size), None, Some(End::Run)], "{changes:?}");
    assert!(changes[0].tv_weight.is_some() && changes[0].content_weight.is_some());
    let (first, last) = (&session.stages()[0], &session.stages()[1]);
    assert_eq!((first.end(), last.end()), (changes[1].iteration, changes[3].iteration));
    assert_eq!((session.submitted(), steerer.losses.len()), (last.end(), last.end()));
    let expected = bits(&mut session);
    let shown = session.picture().unwrap();

    let mut again = begin(&changes, None);
    let mut losses = Vec::new();
    again.run(&mut |l: &Losses| losses.push(l.clone())).unwrap();
    assert!(bits(&mut again) == expected && losses == steerer.losses && again.changes() == changes);
    assert!(again.picture().unwrap().rgb == shown.rgb);

    // From a checkpoint of the second size, which has the first two changes.
    let bytes = steerer.checkpoint.unwrap().to_bytes().unwrap();
    let checkpoint = Checkpoint::from_bytes("c", &bytes).unwrap();
    assert_eq!(checkpoint.changes(), &changes[..2]);
    assert_eq!(checkpoint.settings(), &setup.settings);
    let mut resumed = begin(&changes, Some(&checkpoint));
    assert_eq!(resumed.settings().tv_weight, 3.0 * setup.settings.tv_weight);
    assert_eq!(resumed.run(&mut ()).unwrap(), Ending::Complete);
    assert!(bits(&mut resumed) == expected && resumed.changes() == changes);
}

/// What the record of an interrupted run says leads to the same picture, whether the run has sizes to come, is in its last
/// size, or has one size, with steps that would fall sooner in a shorter run.
#[test]
fn an_interrupted_run_is_repeated_as_far_as_it_came() {
    let mut setup = Setup::painterly();
    setup.settings.iterations = 500;
    let (content, style) = (Picture::noise(92, 92, 1), Picture::noise(70, 80, 2));
    let input = |name: &str| Input::new(name, name.as_bytes());
    for (first_size, first_iterations, steps) in [(65, vec![20], 9), (65, vec![20], 33), (0, Vec::new(), 14)]
    {
        (setup.settings.first_size, setup.settings.first_iterations) = (first_size, first_iterations);
        let begin = |changes: &[Change]| {
            let builder = Session::builder(&setup.gpu, &setup.vgg).content(&content).style(&style, 1.0);
            builder.repeat(changes).settings(setup.settings.clone()).build().unwrap()
        };
        let mut session = begin(&[]);
        for _ in 0..steps {
            session.step().unwrap();
        }
        session.stop();
        while session.step().unwrap().is_some() {}
        let done = session.submitted();
        assert!((steps..session.iterations()).contains(&done), "{done}");
        let record =
            Record::new(setup.settings.clone(), "a".into(), input("n"), input("c"), vec![input("s")]);
        let record = record.after(done, (92, 92), session.changes());
        assert_eq!((record.done, record.settings.iterations), (Some(done), 500));
        let mut again = begin(&record.repeated());
        assert_eq!(again.run(&mut ()).unwrap(), Ending::Complete);
        assert_eq!(again.submitted(), done);
        assert!(bits(&mut again) == bits(&mut session), "after {done} iterations");
        assert!(again.picture().unwrap().rgb == session.picture().unwrap().rgb, "after {done} iterations");
    }
}

#[test]
fn a_record_has_room_for_so_many_changes() {
    struct Restless(Settings);
    impl Observer for Restless {
        fn steer(&mut self, run: &mut Run) -> Result<()> {
            self.0.tv_weight += 1.0;
            run.set_weights(&self.0).map(drop)
        }
    }
    let mut setup = Setup::new();
    setup.settings.iterations = 2 * MOST_CHANGES;
    let mut session = setup.session(None);
    session.copy_every(1);
    let error = session.run(&mut Restless(setup.settings.clone())).unwrap_err().to_string();
    assert!(error.contains("was changed 200 times"), "{error}");
    // It can be finished all the same.
    session.finish();
    assert_eq!(
        (session.run(&mut ()).unwrap(), session.changes().len()),
        (Ending::Complete, MOST_CHANGES + 1)
    );
}

#[test]
fn errors_end_a_run() {
    let setup = Setup::new();
    // The run's own.
    let mut nonsense = setup.settings.clone();
    nonsense.tv_weight = f64::NAN;
    let mut watch = Watch { change: Some((3, nonsense)), ..Watch::default() };
    let refused = setup.session(None).run(&mut watch);
    assert!(matches!(refused, Err(Error::Setting(_))) && watch.losses.len() == 3, "{refused:?}");
    // The observer's.
    struct Fail(usize);
    impl Observer for Fail {
        fn losses(&mut self, _: &mut Run, losses: &Losses) -> Result<()> {
            self.0 += 1;
            if losses.iteration == 4 { Err(Error::Setting("enough".into())) } else { Ok(()) }
        }
    }
    let mut fail = Fail(0);
    let error = setup.session(None).run(&mut fail).unwrap_err();
    assert_eq!((fail.0, error.to_string().contains("enough")), (5, true));
}

/// Whether a future asked to be polled again.
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Runs a future as an application does that has other things to do: it polls the device without waiting for
/// it, and the future when that asks for it. Returns also how often the future was not ready.
fn beside_other_work<T>(device: &wgpu::Device, future: impl Future<Output = T>) -> (T, usize) {
    let woken = Arc::new(Woken(AtomicBool::new(true)));
    let waker = woken.clone().into();
    let (mut future, mut context, mut pending) = (pin!(future), Context::from_waker(&waker), 0);
    loop {
        if woken.0.swap(false, Ordering::SeqCst) {
            match future.as_mut().poll(&mut context) {
                Poll::Ready(result) => return (result, pending),
                Poll::Pending => pending += 1,
            }
        }
        device.poll(wgpu::PollType::Poll).unwrap();
        std::thread::yield_now();
    }
}

#[test]
fn a_run_need_not_block_the_thread() {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let (device, queue) = pollster::block_on(async {
        let adapter = instance.request_adapter(&wgpu::RequestAdapterOptions::default()).await.unwrap();
        adapter.request_device(&wgpu::DeviceDescriptor::default()).await.unwrap()
    });
    let setup = Setup::on(Gpu::from_device(device.clone(), queue));
    let mut session = setup.session(None);
    let mut expected = Watch { checkpoint_at: Some(9), ..Watch::default() };
    session.run(&mut expected).unwrap();
    let expected_bits = bits(&mut session);

    let mut watch = Watch { checkpoint_at: Some(9), ..Watch::default() };
    let run = async {
        let mut session = setup.begun(None).await?;
        let ending = session.run_async(&mut watch).await?;
        session.picture_async().await?;
        Ok::<_, Error>((ending, session.variable_async().await?, session.gradient_async().await?))
    };
    let (result, pending) = beside_other_work(&device, run);
    let (ending, variable, gradient) = result.unwrap();
    assert!(ending == Ending::Complete && watch.losses == expected.losses && watch.checkpoints.len() == 1);
    assert!(variable.into_iter().map(f64::to_bits).eq(expected_bits));
    assert!(gradient == session.gradient().unwrap());
    assert!(pending > 0, "the device was never waited for");
}
