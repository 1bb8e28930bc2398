//! Every shader in every form the program creates: valid, translatable to every backend, inside the base limits.

use std::fs;
use std::path::Path;
use std::process::Command;

use naga::valid::{Capabilities, ModuleInfo, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator};

/// File name without its ending, and text.
fn shaders() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders");
    let mut shaders: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            (path.file_stem().unwrap().to_string_lossy().into_owned(), fs::read_to_string(path).unwrap())
        })
        .collect();
    shaders.sort();
    assert!(shaders.len() >= 10);
    shaders
}

/// The text with each switch on and off, in both precisions.
fn forms(text: &str) -> Vec<String> {
    let mut forms = vec![text.to_owned()];
    for (from, to) in [
        ("const RELU: bool = true;", "const RELU: bool = false;"),
        ("const ACCUMULATE: bool = false;", "const ACCUMULATE: bool = true;"),
        ("const ALIGNED: bool = true;", "const ALIGNED: bool = false;"),
        ("alias real = f32;", "alias real = f64;"),
    ] {
        let changed: Vec<_> =
            forms.iter().filter(|f| f.contains(from)).map(|f| f.replace(from, to)).collect();
        forms.extend(changed);
    }
    forms
}

fn validate(name: &str, text: &str) -> (naga::Module, ModuleInfo) {
    let module = naga::front::wgsl::parse_str(text)
        .unwrap_or_else(|e| panic!("{}", e.emit_to_string_with_path(text, name)));
    // The base tier has no capabilities at all; what a file needs beyond it shows in its text.
    let mut capabilities = Capabilities::empty();
    capabilities.set(Capabilities::SUBGROUP, text.contains("subgroup"));
    capabilities.set(Capabilities::FLOAT64, text.contains("alias real = f64"));
    let info = Validator::new(ValidationFlags::all(), capabilities)
        .subgroup_stages(ShaderStages::COMPUTE)
        .subgroup_operations(SubgroupOperationSet::all())
        .validate(&module)
        .unwrap_or_else(|e| panic!("{}", e.emit_to_string_with_path(text, name)));
    (module, info)
}

#[test]
fn every_form_translates_to_every_backend() {
    let spirv_val = Command::new("spirv-val").arg("--version").output().is_ok();
    println!("spirv-val is {}", if spirv_val { "used" } else { "not installed; SPIR-V is only written" });
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in shaders() {
        for (index, form) in forms(&text).iter().enumerate() {
            let (module, info) = validate(&name, form);
            let options = naga::back::spv::Options { lang_version: (1, 3), ..Default::default() };
            let words = naga::back::spv::write_vec(&module, &info, &options, None).unwrap();
            if spirv_val {
                let path = folder.path().join(format!("{name}.{index}.spv"));
                fs::write(&path, bytemuck::cast_slice::<u32, u8>(&words)).unwrap();
                let output = Command::new("spirv-val")
                    .args(["--target-env", "vulkan1.1"])
                    .arg(&path)
                    .output()
                    .unwrap();
                assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
            }
            if form.contains("alias real = f64") {
                // Neither Metal nor this path of DirectX has float64; there `real` stays float32.
                continue;
            }
            let options = naga::back::msl::Options {
                lang_version: (2, 4),
                fake_missing_bindings: true,
                ..Default::default()
            };
            naga::back::msl::write_string(&module, &info, &options, &Default::default())
                .unwrap_or_else(|e| panic!("{name} as MSL: {e}"));
            let mut hlsl = String::new();
            let options = naga::back::hlsl::Options {
                shader_model: naga::back::hlsl::ShaderModel::V6_0,
                fake_missing_bindings: true,
                ..Default::default()
            };
            naga::back::hlsl::Writer::new(&mut hlsl, &options, &Default::default())
                .write(&module, &info, None)
                .unwrap_or_else(|e| panic!("{name} as HLSL: {e}"));
        }
    }
}

#[test]
fn every_shader_stays_inside_webgpus_defaults() {
    let limits = wgpu::Limits::defaults();
    for (name, text) in shaders() {
        let (module, info) = validate(&name, &text);
        for (index, entry) in module.entry_points.iter().enumerate() {
            let usage = info.get_entry_point(index);
            let (mut storage, mut uniforms, mut workgroup) = (0, 0, 0);
            for (_, global) in module.global_variables.iter().filter(|(h, _)| !usage[*h].is_empty()) {
                match global.space {
                    naga::AddressSpace::Storage { .. } => storage += 1,
                    naga::AddressSpace::Uniform => uniforms += 1,
                    naga::AddressSpace::WorkGroup => {
                        workgroup += module.types[global.ty].inner.size(module.to_ctx());
                    }
                    _ => {}
                }
            }
            let invocations: u32 = entry.workgroup_size.iter().product();
            assert!(
                invocations <= limits.max_compute_invocations_per_workgroup,
                "{name}: {invocations} invocations"
            );
            assert!(
                workgroup <= limits.max_compute_workgroup_storage_size,
                "{name}: {workgroup} bytes of workgroup memory"
            );
            assert!(
                storage <= limits.max_storage_buffers_per_shader_stage && uniforms <= 1,
                "{name}: {storage} storage buffers, {uniforms} uniform blocks"
            );
        }
    }
}

#[test]
fn variants_share_names_and_entry_points() {
    let all = shaders();
    let interface = |name: &str| {
        let text = &all.iter().find(|(n, _)| n == name).unwrap().1;
        let (module, _) = validate(name, text);
        let mut names: Vec<String> =
            module.global_variables.iter().filter_map(|(_, g)| g.name.clone()).collect();
        names.retain(|n| !["filters", "pixels", "left", "right", "sums", "s"].contains(&n.as_str()));
        names.sort();
        let mut entries: Vec<String> = module.entry_points.iter().map(|e| e.name.clone()).collect();
        entries.retain(|n| n != "symmetrize");
        (names, entries)
    };
    assert_eq!(interface("conv3x3"), interface("conv3x3_tiled"));
    assert_eq!(interface("gram"), interface("gram_tiled"));
    assert_eq!(interface("gram"), interface("gram_subgroup"));
}
