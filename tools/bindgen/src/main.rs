//! `bindgen MODULE.wasm FOLDER` writes the module, and the script that loads it in a page or a worker, into
//! the folder.

use std::process::ExitCode;

use wasm_bindgen_cli_support::Bindgen;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [module, folder] = arguments.as_slice() else {
        eprintln!("bindgen: write bindgen MODULE.wasm FOLDER");
        return ExitCode::FAILURE;
    };
    let mut bindgen = Bindgen::new();
    bindgen.input_path(module).typescript(false).omit_default_module_path(false);
    let written = bindgen.web(true).and_then(|bindgen| bindgen.generate(folder));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!(
                "bindgen: {module} cannot be bound ({why:#}); build it with the wasm-bindgen of this crate's version"
            );
            ExitCode::FAILURE
        }
    }
}
