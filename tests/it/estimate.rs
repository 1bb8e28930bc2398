//! Compares what `impasto estimate` says with what then happens. Memory is compared exactly. Times are not,
//! because other programs may be running.

use crate::support::studio::Studio;
use serde_json::Value;

fn json(studio: &Studio, code: i32, arguments: &str) -> Vec<Value> {
    let output = studio.run(arguments);
    let talk = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments}: {talk}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn memory_is_what_the_run_then_has() {
    let studio = Studio::new();
    for size in ["24x16", "40x33", "64x48"] {
        let estimate = json(&studio, 0, &format!("estimate photo.png painting.png --size {size} --json"));
        let estimate = &estimate[0];
        let run = format!("stylize photo.png painting.png --size {size} --iterations 2 -o out.png --json -q");
        let events = json(&studio, 0, &run);
        let start = events.iter().find(|event| event["event"] == "start").unwrap();
        for member in ["memory_bytes", "network_bytes", "width", "height"] {
            assert!(start[member].as_u64().unwrap() > 0);
            assert_eq!(estimate[member], start[member], "{size} {member}");
        }
        let during = events.iter().find(|event| event["event"] == "estimate").unwrap();
        for member in ["memory_bytes", "network_bytes", "adapter_bytes"] {
            assert_eq!(estimate[member], during[member], "{size} {member}");
        }
    }
}

#[test]
fn times_add_up_and_grow_with_the_iterations() {
    let studio = Studio::new();
    let run = "estimate photo.png painting.png --size 32 --json --iterations";
    for iterations in [0, 100] {
        let estimate = json(&studio, 0, &format!("{run} {iterations}")).remove(0);
        let value = |member: &str| estimate[member].as_f64().unwrap();
        assert!(value("start_seconds") > 0.0 && value("iteration_seconds") > 0.0, "{estimate}");
        let sum = value("start_seconds") + f64::from(iterations) * value("iteration_seconds");
        assert!((value("seconds") - sum).abs() < 1e-9 * sum, "{estimate}");
        assert_eq!(estimate["measured"], serde_json::json!([32, 26]));
        assert_eq!((&estimate["fits"], &estimate["iterations"]), (&true.into(), &iterations.into()));
    }
    // A number for each size, of which the measurement has only one.
    let estimate = json(&studio, 0, &format!("{run} 1,3")).remove(0);
    assert!(estimate["iteration_seconds"].as_f64().unwrap() > 0.0, "{estimate}");
}

#[test]
fn people_read_size_memory_time_and_the_largest_that_fits() {
    let studio = Studio::new();
    let output = studio.run("estimate photo.png painting.png --size 20");
    let text = String::from_utf8(output.stdout).unwrap();
    for word in ["size      20 x 17", "memory ", "largest ", "--size ", "time ", "500 iterations"] {
        assert!(text.contains(word), "{word:?} is not in {text}");
    }
    // A run says the same once, as soon as it knows.
    let output = studio.run("stylize photo.png painting.png --size 20 --iterations 3 -o out.png");
    let talk = String::from_utf8(output.stderr).unwrap();
    assert_eq!(talk.matches("estimate ").count(), 1, "{talk}");
    assert!(talk.contains("3 iterations (") && talk.contains("of the adapter's memory"), "{talk}");
}

#[test]
fn what_cannot_be_is_refused_as_by_the_run_itself() {
    let studio = Studio::new();
    for (code, why, arguments) in [
        (1, "the largest that fits is", "photo.png painting.png --size 65536x65536"),
        (1, "missing.png", "missing.png painting.png"),
        (2, "16 x 16", "photo.png painting.png --size 8"),
        (2, "nothing to do", "photo.png painting.png --content-weight 0 --style-weight 0 --tv-weight 0"),
    ] {
        studio.refuses(code, why, &format!("estimate {arguments}"));
    }
}
