//! Runs the program with [`saboteur.rs`](saboteur.rs) between it and the system.
#![allow(dead_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use crate::studio::Studio;

const LAYER: &str = "VK_LAYER_impasto_saboteur";

/// The folder with the library and the manifest that announces it to the Vulkan loader.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("saboteur");
        fs::create_dir_all(&folder).unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/saboteur.rs");
        let compiler = std::env::var_os("RUSTC").unwrap_or("rustc".into());
        let mut command = Command::new(compiler);
        command.args(["--edition", "2024", "-O", "--crate-type", "cdylib", "-o"]);
        let status = command.arg(library(&folder)).arg(source).status().unwrap();
        assert!(status.success(), "the saboteur does not compile");
        let layer = serde_json::json!({
            "name": LAYER, "type": "GLOBAL", "library_path": library(&folder), "api_version": "1.3.0",
            "implementation_version": "1", "description": "makes commands fail",
        });
        let manifest = serde_json::json!({"file_format_version": "1.2.0", "layer": layer});
        fs::write(folder.join("layer.json"), manifest.to_string()).unwrap();
        folder
    })
}

fn library(folder: &Path) -> PathBuf {
    folder.join("libsaboteur.so")
}

/// Makes `fault` happen in the program that `command` starts; see [`saboteur.rs`](saboteur.rs).
pub fn sabotage(command: &mut Command, fault: &str) {
    command.env("FAULT", fault);
    let kind = fault.split(':').next().unwrap();
    match kind {
        "file" | "open" | "clock" => command.env("LD_PRELOAD", library(folder())),
        _ => command.env("VK_LAYER_PATH", folder()).env("VK_INSTANCE_LAYERS", LAYER),
    };
}

/// Runs the program in the studio while `fault` happens.
pub fn run(studio: &Studio, fault: &str, arguments: &str) -> Output {
    let mut command = studio.command(arguments);
    sabotage(&mut command, fault);
    command.output().unwrap()
}

/// The program's message, which must be one sentence about an error, with a remedy.
#[track_caller]
pub fn complaint(output: &Output, fault: &str) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{fault}: {text}");
    let errors: Vec<&str> = text.lines().filter(|line| line.starts_with("error: ")).collect();
    assert!(errors.len() == 1 && errors[0].contains("; "), "{fault}: {text}");
    assert!(!text.contains("panicked") && !text.contains("internal error"), "{fault}: {text}");
    errors[0].to_owned()
}
