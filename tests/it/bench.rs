//! `impasto bench`: its numbers are consistent with each other. How fast anything is depends on the machine
//! and is not tested.

use crate::support::studio::Studio;
use impasto::engine::gpu::Gpu;
use impasto::measuring::bench::least;
use serde_json::Value;

/// Whether the adapter in use can store half precision.
fn has_half() -> bool {
    Gpu::new(None).unwrap().has_half()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn the_parts_of_an_iteration_add_up() {
    let studio = Studio::new();
    let output = studio.run("bench --iteration --size 48x32 --json");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let iteration = &report["iteration"];
    assert_eq!((number(&iteration["width"]), number(&iteration["height"])), (48.0, 32.0));
    assert!(number(&iteration["ms"]) > 0.0 && number(&iteration["gflops"]) > 0.0);

    let breakdown = &iteration["breakdown"];
    let whole = number(&breakdown["ms"]);
    for list in ["kernels", "layers"] {
        let parts = breakdown[list].as_array().unwrap();
        let sum: f64 = parts.iter().map(|part| number(&part["ms"])).sum();
        assert!((sum + number(&breakdown["rest"]) - whole).abs() < 1e-6 * whole, "{list}: {breakdown}");
        assert!(parts.iter().all(|part| number(&part["ms"]) >= 0.0 && number(&part["dispatches"]) >= 1.0));
        // Most of the time must be attributed to a kernel. On a GPU, so small a picture is mostly waiting.
        let least = if Gpu::new(None).unwrap().is_software() { 0.5 } else { 0.1 };
        assert!(sum > least * whole, "{list}: {breakdown}");
    }
    let names = |list: &str| -> Vec<&str> {
        breakdown[list].as_array().unwrap().iter().map(|part| part["name"].as_str().unwrap()).collect()
    };
    assert!(names("kernels").contains(&"adam/step"), "{breakdown}");
    assert!(names("layers").contains(&"conv5_1"), "{breakdown}");

    let memory = &iteration["memory"];
    let [network, session, total] = ["network", "session", "total"].map(|key| number(&memory[key]));
    assert_eq!(network + session, total);
    assert!((number(&memory["session_per_pixel"]) * 48.0 * 32.0 - session).abs() < 1.0);
    let transformed = number(&memory["transformed"]);
    assert!((number(&memory["iteration_per_pixel"]) * 48.0 * 32.0 + transformed - session).abs() < 1.0);
    // 36 values for each filter except the first layer's, if the form is Winograd's.
    let winograd = names("kernels").iter().any(|name| name.starts_with("winograd"));
    assert_eq!(transformed, if winograd { 36.0 * 4.0 * 1_437_696.0 } else { 0.0 }, "{memory}");
    // The allocator holds at least what was counted, unless something was counted that was never allocated.
    let allocated = number(&memory["allocated"]);
    assert!(allocated >= total && allocated - total < 16e6, "{memory}");
    assert!(number(&report["startup"]["cold_ms"]) > 0.0 && number(&report["startup"]["warm_ms"]) > 0.0);
    assert_eq!(studio.files(), ["painting.png", "photo.png"]);

    std::fs::write(studio.path("single.json"), report.to_string()).unwrap();
    if !has_half() {
        studio.refuses(2, "cannot store half", "bench --iteration --size 48x32 --precision half");
        return;
    }
    // Each process that measures compiles all shaders anew, so one does both: it compares and tells what half
    // precision needs. The earlier report is that of single precision under another name, so that every line
    // below has a counterpart.
    let mut earlier = report.clone();
    earlier["iteration"]["precision"] = "half".into();
    std::fs::write(studio.path("half.json"), earlier.to_string()).unwrap();
    let output = studio.run("bench --iteration --size 48x32 --precision half --compare half.json");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(iteration["precision"], "single");
    assert!(text.contains("48 x 32, half precision: "), "{text}");
    let mib = |what: &str| -> f64 {
        let after = text.split(what).nth(1).unwrap_or_else(|| panic!("{what}: {text}"));
        after.split(" MiB").next().unwrap().parse().unwrap()
    };
    let own = mib("its weights transformed ") + mib("MiB, iteration ");
    // For such small pictures the maps are the smaller part. The text has one decimal.
    let most = session / f64::from(1 << 20) - 0.1;
    assert!(own < most, "{own} MiB in half precision, {session} bytes in single");
    let table = text.split("times those of the earlier report").nth(1).unwrap();
    for name in ["adam/step", "conv5_1", "one iteration ", "memory", "start, cold", "start, warm"] {
        let line =
            table.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}: {text}"));
        assert!(line.split_whitespace().last().unwrap().parse::<f64>().unwrap() > 0.0, "{line}");
    }
    // The processes whose start is timed must do the same work.
    let first = studio.run("bench --iteration --size 48x32 --precision half --first caches");
    assert_eq!(String::from_utf8(first.stdout).unwrap(), "first in half precision\n");
    let compared = "bench --iteration --size 48x32 --precision half --compare single.json";
    studio.refuses(1, "use --precision single", compared);
}

#[test]
fn every_variant_of_an_op_is_measured_and_compared() {
    let studio = Studio::new();
    let run = |arguments: &str| -> Value {
        let output = studio.run(&format!("bench --size 32x16 --time 1 {arguments} --json"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let report = run("--op gram");
    let ops = report["ops"].as_array().unwrap();
    let ceilings = ["gflops", "gbps"].map(|key| number(&report["ceilings"][key]));
    assert!(ceilings.iter().all(|ceiling| *ceiling > 0.0));
    for variant in ["naive", "tiled"] {
        for pass in ["forward", "backward"] {
            let found = ops.iter().filter(|op| op["variant"] == variant && op["pass"] == pass).count();
            assert_eq!(found, 5, "{variant} {pass}, one per block of the network");
        }
    }
    for op in ops {
        assert_eq!([&op["op"], &op["precision"]], ["gram", "single"]);
        let [us, gflops, gbps, share] = ["us", "gflops", "gbps", "share"].map(|key| number(&op[key]));
        let nearer = (gflops / ceilings[0]).max(gbps / ceilings[1]);
        assert!(us > 0.0 && number(&op["runs"]) >= 1.0 && (share - nearer).abs() <= 1e-9 * nearer, "{op}");
    }
    // The first block's map has 64 channels of 16 rows and 32 columns; its Gram matrix has 64 x 64 values.
    let first = ops.iter().find(|op| op["variant"] == "naive" && op["pass"] == "forward").unwrap();
    let moved = number(&first["gbps"]) * number(&first["us"]) * 1e3;
    assert!((moved - 4.0 * (64.0 * 16.0 * 32.0 + 64.0 * 64.0)).abs() < 1.0, "{moved} bytes");
    assert_eq!([&first["bytes"], &first["multiply_adds"]], [147_456, 64 * 64 * 16 * 32]);
    // An invocation sums one value of the matrix, 64 are a workgroup. The tiles pass through workgroup memory.
    assert!(first["workgroup_bytes"] == 0 && number(&first["workgroups"]) >= 64.0, "{first}");
    let tiled = ops.iter().filter(|op| op["variant"] == "tiled" && op["pass"] == "forward");
    assert!(tiled.clone().count() > 0 && tiled.clone().all(|op| number(&op["workgroup_bytes"]) > 0.0));
    // A sum and what counts; 4 x 4 sums of four bytes, and the values that they are made of.
    let own = |op: &Value| number(&op["private_bytes"]);
    assert!((4.0..64.0).contains(&own(first)) && tiled.clone().all(|op| own(op) >= 64.0), "{first}");

    std::fs::write(studio.path("earlier.json"), report.to_string()).unwrap();
    let compared = run("--op gram --compare earlier.json");
    for op in compared["ops"].as_array().unwrap() {
        let same = |then: &&Value| ["case", "variant", "pass"].iter().all(|key| then[key] == op[key]);
        let then = ops.iter().find(same).unwrap();
        let expected = number(&op["us"]) / number(&then["us"]);
        assert!((number(&op["ratio"]) - expected).abs() <= 1e-9 * expected, "{op}");
    }
    studio.refuses(1, "about 32 x 16", "bench --op gram --size 16 --compare earlier.json");
    studio.refuses(1, "bench --iteration --json", "bench --iteration --size 16 --compare earlier.json");
}

#[test]
fn half_precision_is_measured_at_the_same_sizes() {
    let studio = Studio::new();
    if !has_half() {
        studio.refuses(2, "cannot store half", "bench --op gram --precision half");
        return;
    }
    let run = |arguments: &str| -> Vec<Value> {
        let output = studio.run(&format!("bench --size 48x32 --time 1 {arguments} --json"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        std::fs::write(studio.path("report.json"), &output.stdout).unwrap();
        let mut report: Value = serde_json::from_slice(&output.stdout).unwrap();
        std::mem::take(report["ops"].as_array_mut().unwrap())
    };
    // Maps that are too large to be proven in half precision, and a convolution with its weights.
    let (mut single, mut half) = (Vec::new(), Vec::new());
    for ops in ["gram tiled", "conv3x3 tiled 64 32x48"] {
        // The filter contains a space.
        let run = |precision: &str| -> Value {
            let mut command = studio.command("bench --size 48x32 --time 1 --json --precision");
            let output = command.args([precision, "--op", ops]).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            serde_json::from_slice(&output.stdout).unwrap()
        };
        let report = run("single");
        std::fs::write(studio.path("single.json"), report.to_string()).unwrap();
        single.extend(report["ops"].as_array().unwrap().clone());
        half.extend(run("half")["ops"].as_array().unwrap().clone());
    }
    let compared = "bench --size 48x32 --op gram --precision half --compare single.json";
    studio.refuses(1, "use --precision single", compared);
    assert_eq!(single.len(), half.len());
    for (single, half) in single.iter().zip(&half) {
        assert_eq!(half["precision"], "half");
        assert_eq!(half["case"], format!("{} half", single["case"].as_str().unwrap()));
        assert!(["op", "variant", "pass"].iter().all(|key| single[key] == half[key]), "{single} {half}");
        let bytes = |op: &Value| number(&op["gbps"]) * number(&op["us"]);
        assert!(bytes(half) < bytes(single), "{single} {half}");
    }
    // What a run in half precision computes in float32 anyway is listed unchanged.
    let adam = run("--op adam --precision half");
    assert!(!adam.is_empty() && adam.iter().all(|op| op["precision"] == "single"), "{adam:?}");
    let again = run("--op adam --precision half --compare report.json");
    assert!(again.iter().all(|op| number(&op["ratio"]) > 0.0), "{again:?}");
}

#[test]
fn useless_requests_are_refused() {
    let studio = Studio::new();
    studio.refuses(2, "16 x 16", "bench --iteration --size 8");
    for small in ["15", "16x15", "1"] {
        studio.refuses(2, "16 x 16", &format!("bench --op relu --size {small}"));
    }
    studio.refuses(2, "size", "bench --iteration --size big");
    studio.refuses(2, "--variant goes with --iteration", "bench --op gram --variant conv3x3=tiled");
    studio.refuses(2, "--retune goes with --iteration", "bench --op gram --retune");
    studio.refuses(2, "no op", "bench --op sculpture");
    // The refusal comes before so large a picture, or one of its maps, is made.
    studio.refuses(1, "largest", "bench --iteration --size 65536");
    studio.refuses(1, "use a smaller --size", "bench --op adam --size 65536");
    studio.refuses(2, "--cache goes with --iteration", "bench --op gram --cache here");
    studio.refuses(2, "quarter", "bench --op gram --precision quarter");
    studio.refuses(2, "--op", "bench --iteration --op gram");
    studio.refuses(1, "missing.json", "bench --compare missing.json");
    std::fs::write(studio.path("other.json"), "[1, 2]").unwrap();
    studio.refuses(1, "no report", "bench --compare other.json");
    let mut report: Value =
        serde_json::from_slice(&studio.run("bench --op adam --size 16 --time 1 --json").stdout).unwrap();
    report["ops"][0]["us"] = (-1.0).into();
    std::fs::write(studio.path("never.json"), report.to_string()).unwrap();
    studio.refuses(1, "that cannot be measurements", "bench --op adam --size 16 --compare never.json");
    studio.refuses(1, "no adapter is called", "bench --iteration --size 32 --adapter voodoo");
}

/// docs/lab/performance.md has the least times that `bench` prints, each rounded as it stands there.
#[test]
fn the_page_has_the_least_times() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/lab/performance.md");
    let page = std::fs::read_to_string(path).unwrap();
    for least in least() {
        let row = page.lines().find(|line| line.starts_with(&format!("| {} |", least.adapter)));
        let row = row.unwrap_or_else(|| panic!("{path} has no row of {}", least.adapter));
        let cells: Vec<&str> = row.split('|').skip(3).collect();
        for (cell, figures) in cells.iter().zip([least.float32, least.float16, least.traffic]) {
            let stated: Vec<&str> = cell.split(',').map(str::trim).collect();
            assert_eq!(stated.len(), figures.len(), "{row}");
            for (stated, figure) in stated.iter().zip(figures) {
                let decimals = stated.split_once('.').map_or(0, |(_, behind)| behind.len());
                let off = (stated.parse::<f64>().unwrap() - figure).abs();
                assert!(
                    off <= 0.5001 * 0.1f64.powi(decimals as i32),
                    "{}: {stated}, not {figure}",
                    least.adapter
                );
            }
        }
    }
}
