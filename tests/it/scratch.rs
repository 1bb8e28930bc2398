//! Pictures in tiles whose state lies in files, because the machine's memory is too small for it.

use std::fs;
use std::path::Path;

use impasto::painting::checkpoint::Checkpoint;
use impasto::painting::choices::Optimizer;
use impasto::painting::session::Losses;
use impasto::painting::tiling::Tiling;
use impasto::{Picture, Settings, Store};
use tempfile::TempDir;

use crate::support::studio::Studio;
use crate::tiling::{Setup, plain};

fn files(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

/// Runs to the end. Returns losses, picture, and the checkpoint's bytes after each iteration.
fn run(
    setup: &Setup,
    settings: &Settings,
    store: Store,
    from: Option<&Checkpoint>,
) -> (Vec<Losses>, Picture, Vec<Vec<u8>>) {
    let mut builder = setup.builder(settings, Tiling::Side(32)).store(store);
    if let Some(checkpoint) = from {
        builder = builder.resume(checkpoint);
    }
    let mut session = builder.build().unwrap();
    let mut checkpoints = Vec::new();
    while session.step().unwrap().is_some() {
        checkpoints.push(session.checkpoint().unwrap().to_bytes().unwrap());
    }
    (session.losses().collect(), session.picture().unwrap(), checkpoints)
}

/// Two sizes, of which the first fits as a whole, a margin, an average and the finish; and both optimisers.
#[test]
fn files_have_the_bits_of_memory() {
    let setup = Setup::new(411, 93);
    for optimizer in [Optimizer::Adam, Optimizer::Lbfgs] {
        let mut settings = plain(2);
        (settings.first_size, settings.first_iterations) = (290, vec![1]);
        (settings.average, settings.finish, settings.optimizer) = (0.5, 0.5, optimizer);
        settings.margin = 5;
        let folder = TempDir::new().unwrap();
        let store = Store::folder(folder.path());
        let (losses, picture, checkpoints) = run(&setup, &settings, Store::memory(), None);
        assert_eq!((losses.len(), checkpoints.len()), (3, 3));
        let kept = run(&setup, &settings, store.clone(), None);
        assert!(kept.0 == losses && kept.1 == picture, "{optimizer:?}: other bits");
        // The tables of a header are in no order, so that what they mean is compared.
        let of = |bytes: &[u8]| {
            let file = safetensors::SafeTensors::deserialize(bytes).unwrap();
            let mut tensors = file.tensors().into_iter().map(|(name, view)| (name, view.data().to_vec()));
            let mut tensors: Vec<_> = tensors.by_ref().collect();
            tensors.sort();
            tensors
        };
        for (found, expected) in kept.2.iter().zip(&checkpoints) {
            assert!(of(found) == of(expected), "{optimizer:?}: another checkpoint");
        }

        // From the end of the first size, and from within the second; from memory to files.
        let path = folder.path().join("run.checkpoint");
        fs::write(&path, &checkpoints[usize::from(optimizer == Optimizer::Lbfgs)]).unwrap();
        let checkpoint = Checkpoint::open_in(&path, &store).unwrap();
        let (resumed, end, _) = run(&setup, &settings, store, Some(&checkpoint));
        assert!(resumed == losses && end == picture, "{optimizer:?}: resumed to other bits");
        assert_eq!(files(folder.path()), 1, "files were left");
    }
}

#[test]
fn the_program_keeps_nothing_of_its_scratch_folder() {
    let studio = Studio::new();
    studio.paint("wide.png", 370, 40);
    fs::create_dir(studio.path("scratch")).unwrap();
    let run = "stylize wide.png painting.png --tile 16 --size 370 --iterations 2";
    let succeeds = |arguments: &str| {
        let output = studio.run(arguments);
        let talk = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{talk}");
        talk
    };
    succeeds(&format!("{run} -o memory.png"));
    let talk = succeeds(&format!("{run} -o files.png --scratch scratch -v"));
    assert!(talk.contains("of the machine's own memory and "), "{talk}");
    assert!(talk.contains("of the disk of scratch"), "{talk}");
    let pixels = |name: &str| image::open(studio.path(name)).unwrap().into_rgb8();
    assert!(pixels("files.png") == pixels("memory.png"), "other pixels");
    assert_eq!(files(&studio.path("scratch")), 0);

    let run = format!("{run} -o refused.png --scratch");
    studio.refuses(1, "there is no such folder", &format!("{run} none"));
    studio.refuses(1, "it is a file", &format!("{run} wide.png"));
}
