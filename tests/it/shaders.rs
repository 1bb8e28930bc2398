//! Every shader in every form that the program can create is valid under the capabilities of its tier and no
//! others, can be translated to every backend, and stays inside the limits of its tier. All variants of an op
//! share their interface.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, iter};

use impasto::Network;
use impasto::engine::gpu::Gpu;
use impasto::engine::kernel::Kernel;
use impasto::engine::precision::Precision;
use impasto::network::tuning::Tuning;
use impasto::network::vgg::Vgg;
use impasto::network::weights::Weights;
use impasto::ops::conv3x3::Variant;
use impasto::ops::tables;
use impasto::painting::session::Session;
use impasto::painting::settings::Settings;
use impasto::picture::Picture;
use naga::valid::{Capabilities, ModuleInfo, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator};

/// Op, variant, and one of its kernels.
struct Form {
    op: &'static str,
    variant: &'static str,
    kernel: Kernel,
}

/// Every kernel of every variant that some case records, once for each op and variant. The adapter must have
/// what the variants need. On other adapters those variants are missing here, and the program never creates
/// them there.
fn forms() -> Vec<Form> {
    let mut seen = BTreeSet::new();
    let mut forms = Vec::new();
    // Kernels for matrix units are only text here. Any adapter with half precision can be asked for them.
    let gpus = [8, 16].map(|side| Gpu::new(None).expect("an adapter").with_matrix_tile(side));
    for (table, gpu) in tables().into_iter().flat_map(|table| gpus.iter().map(move |gpu| (table, gpu))) {
        // At most one case of each size; large sizes add no further kernels.
        let cases = table.edges.iter().flat_map(|size| (table.at)(*size));
        for case in cases.filter(|case| case.size.c_in * case.size.c_out <= 4096) {
            for candidate in case.candidates.iter().filter(|candidate| candidate.runs_on(gpu)) {
                for kernel in case.kernels(gpu, candidate).unwrap() {
                    if seen.insert((case.op, candidate.name, kernel.label())) {
                        forms.push(Form { op: case.op, variant: candidate.name, kernel });
                    }
                }
            }
        }
    }
    forms.extend(rulers());
    assert!(forms.len() > 60, "{} forms", forms.len());
    forms
}

/// The shaders with which `impasto bench` measures a device's ceilings, as they stand in the files.
fn rulers() -> Vec<Form> {
    let mut forms = Vec::new();
    for path in files() {
        let stem: &'static str = path.file_stem().unwrap().to_string_lossy().into_owned().leak();
        if !stem.starts_with("bench_") {
            continue;
        }
        let text: &'static str = fs::read_to_string(&path).unwrap().leak();
        let module = naga::front::wgsl::parse_str(text).unwrap();
        for entry in module.entry_points {
            let kernel = Kernel { file: stem, text, entry: entry.name.leak(), constants: Vec::new() };
            forms.push(Form { op: "bench", variant: stem, kernel });
        }
    }
    forms
}

/// All shaders. Their snippets are no shaders by themselves.
fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders");
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.is_file()).collect()
}

/// What a shader needs beyond WebGPU, according to its own text.
fn capabilities(text: &str) -> Capabilities {
    let mut capabilities = Capabilities::empty();
    capabilities.set(Capabilities::SUBGROUP, text.contains("subgroup"));
    capabilities.set(Capabilities::FLOAT64, text.contains("f64;"));
    capabilities.set(Capabilities::SHADER_FLOAT16, text.contains("enable f16;"));
    capabilities.set(Capabilities::COOPERATIVE_MATRIX, text.contains("enable wgpu_cooperative_matrix;"));
    capabilities
}

fn validate(kernel: &Kernel, capabilities: Capabilities) -> (naga::Module, ModuleInfo) {
    let (name, text) = (kernel.label(), kernel.wgsl().unwrap());
    let module = naga::front::wgsl::parse_str(&text)
        .unwrap_or_else(|e| panic!("{}", e.emit_to_string_with_path(&text, &name)));
    let info = Validator::new(ValidationFlags::all(), capabilities)
        .subgroup_stages(ShaderStages::COMPUTE)
        .subgroup_operations(SubgroupOperationSet::all())
        .validate(&module)
        .unwrap_or_else(|e| panic!("{}", e.emit_to_string_with_path(&text, &name)));
    (module, info)
}

/// A device of the base tier: no features, and the limits that every WebGPU device has.
fn base() -> Gpu {
    let mut description = wgpu::InstanceDescriptor::new_without_display_handle();
    description.backends = wgpu::Backends::PRIMARY;
    let instance = wgpu::Instance::new(description);
    let open = async {
        let adapter = instance.request_adapter(&Default::default()).await.unwrap();
        let limits = wgpu::Limits::defaults();
        let request = wgpu::DeviceDescriptor { required_limits: limits, ..Default::default() };
        adapter.request_device(&request).await.unwrap()
    };
    let (device, queue) = pollster::block_on(open);
    Gpu::from_device(device, queue)
}

#[test]
fn every_form_translates_to_every_backend() {
    let spirv_val = Command::new("spirv-val").arg("--version").output().is_ok();
    println!("spirv-val is {}", if spirv_val { "used" } else { "not installed; SPIR-V is only written" });
    let folder = tempfile::tempdir().unwrap();
    let mut done = BTreeSet::new();
    for (index, Form { kernel, .. }) in forms().iter().enumerate() {
        let name = kernel.label();
        if !done.insert(name.clone()) {
            continue;
        }
        let text = kernel.wgsl().unwrap();
        let (module, info) = validate(kernel, capabilities(&text));
        let on_matrix_units = capabilities(&text).contains(Capabilities::COOPERATIVE_MATRIX);
        let options = naga::back::spv::Options { lang_version: (1, 3), ..Default::default() };
        let words = naga::back::spv::write_vec(&module, &info, &options, None).unwrap();
        // The validators of today's distributions are older than cooperative matrices.
        if spirv_val && !on_matrix_units {
            let path = folder.path().join(format!("{index}.spv"));
            fs::write(&path, bytemuck::cast_slice::<u32, u8>(&words)).unwrap();
            let output =
                Command::new("spirv-val").args(["--target-env", "vulkan1.1"]).arg(&path).output().unwrap();
            assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        }
        if capabilities(&text).contains(Capabilities::FLOAT64) {
            // Neither Metal nor this path of DirectX has float64; `real` stays float32 there.
            continue;
        }
        let options = naga::back::msl::Options {
            lang_version: (2, 4),
            fake_missing_bindings: true,
            ..Default::default()
        };
        let msl = naga::back::msl::write_string(&module, &info, &options, &Default::default())
            .unwrap_or_else(|e| panic!("{name} as MSL: {e}"));
        // Metal multiplies matrices of 8 x 8 only, and lists no others. (Written down, a form for 16 x 16
        // never gets there.)
        let sixteen = text.contains("coop_mat16x16<");
        assert_eq!(
            msl.0.contains("simdgroup_float16x16") || msl.0.contains("simdgroup_half16x16"),
            sixteen,
            "{name}"
        );
        let mut hlsl = String::new();
        let options = naga::back::hlsl::Options {
            shader_model: naga::back::hlsl::ShaderModel::V6_2,
            fake_missing_bindings: true,
            ..Default::default()
        };
        let pipeline = Default::default();
        let mut writer = naga::back::hlsl::Writer::new(&mut hlsl, &options, &pipeline);
        // DX12 has no matrix units here: no adapter lists a size, and naga cannot write them down.
        match writer.write(&module, &info, None) {
            Ok(_) => assert!(!on_matrix_units, "{name} can be written as HLSL, so DX12 might have it"),
            Err(e) => assert!(on_matrix_units, "{name} as HLSL: {e}"),
        }
    }
}

/// Every file is in the program, and every kernel that sessions run is among those the other tests look at.
#[test]
fn the_cases_meet_every_kernel() {
    let forms = forms();
    let gpu = Gpu::new(None).expect("an adapter");
    let posing = Gpu::new(None).expect("an adapter").with_gpu_forms();
    let network = Network::vgg19();
    let mut settings = Settings::book();
    settings.iterations = 1;
    let weights = Weights::embedded(&network.specs(&settings.taps()).unwrap()).unwrap();
    let picture = Picture::new(16, 16, vec![0.5; 3 * 256]);
    let known: BTreeSet<String> = forms.iter().map(|form| form.kernel.label()).collect();
    // The number of dispatches of an iteration. Each line ends in a kernel's label, after the op's.
    let meet = |session: Session| -> usize {
        let text = session.describe();
        let dispatches = text.lines().filter(|line| line.contains(" workgroups  "));
        dispatches
            .inspect(|line| {
                assert!(known.iter().any(|label| line.ends_with(&format!(" {label}"))), "no case has {line}");
            })
            .count()
    };
    let mut count = 0;
    let asked = Variant::ALL.map(|form| format!("conv3x3={}", form.name()).parse().unwrap());
    let asked = asked.map(|tuning: Tuning| (&gpu, tuning, Precision::Single));
    let half = gpu.has_half().then_some(Precision::Half);
    let on_matrix_units =
        Variant::ALL.into_iter().filter(|form| gpu.matrix_tile().is_some() && form.is_half());
    let on_matrix_units = on_matrix_units.map(|form| {
        let tuning: Tuning = format!("conv3x3={}", form.name()).parse().unwrap();
        (&gpu, tuning.in_precision(Precision::Half), Precision::Half)
    });
    let defaults = [Precision::Single].into_iter().chain(half);
    let defaults =
        defaults.flat_map(|precision| [&gpu, &posing].map(|gpu| (gpu, Tuning::default(), precision)));
    for (gpu, tuning, precision) in asked.into_iter().chain(on_matrix_units).chain(defaults) {
        settings.precision = precision;
        let vgg = Vgg::new(gpu, network.clone(), &weights, &tuning).unwrap();
        let builder = Session::builder(gpu, &vgg).content(&picture).style(&picture, 1.0);
        count += meet(builder.settings(settings.clone()).build().unwrap());
    }
    // From 512 x 512 on, weights are transformed in each pass and conv1_1 is computed again; here in bands of
    // rows as well.
    let limited = Gpu::new(None).expect("an adapter").with_binding_limit(32 << 20);
    settings.precision = Precision::Single;
    let vgg = Vgg::new(&limited, network, &weights, &Tuning::default()).unwrap();
    let large = Picture::new(512, 512, vec![0.5; 3 << 18]);
    let builder = Session::builder(&limited, &vgg).content(&large).style(&picture, 1.0);
    count += meet(builder.settings(settings.clone()).build().unwrap());
    assert!(count > 300, "{count} dispatches");
    let gpu_has_all = forms.iter().any(|form| form.variant == "winograd");
    for path in files() {
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).unwrap();
        let met = forms.iter().any(|form| form.kernel.file == stem);
        // Some variants need subgroups of a size that this adapter may not have.
        let with_subgroups = ["winograd", "shifted"].iter().any(|name| stem.starts_with(name));
        let special = !gpu_has_all && (text.contains("subgroup") || with_subgroups);
        assert!(met || special, "no case meets {}", path.display());
    }
}

/// The shaders that a device of the base tier is given compile there, need no capability, and keep WebGPU's
/// default limits.
#[test]
fn the_base_tier_needs_nothing() {
    let gpu = base();
    let limits = wgpu::Limits::defaults();
    let mut done = BTreeSet::new();
    let mut variants = BTreeSet::new();
    for table in tables() {
        for case in table.edges.iter().flat_map(|size| (table.at)(*size)) {
            for candidate in case.candidates.iter().filter(|candidate| candidate.runs_on(&gpu)) {
                if case.size.c_in * case.size.c_out > 4096 {
                    continue;
                }
                variants.insert(format!("{} {}", case.op, candidate.name));
                let kernels = case.kernels(&gpu, candidate).unwrap();
                if !kernels.iter().any(|kernel| done.insert(kernel.label())) {
                    continue;
                }
                for kernel in &kernels {
                    let (module, info) = validate(kernel, Capabilities::empty());
                    inside(kernel, &module, &info, &limits);
                }
                // wgpu checks the pipelines against the device's limits itself.
                let proved = case.prove(&gpu, candidate, &case.truth(1));
                proved.unwrap_or_else(|fault| panic!("{fault}"));
            }
        }
    }
    for expected in [
        "affine plain",
        "conv3x3 naive",
        "conv3x3 tiled",
        "conv3x3 few",
        "conv3x3 winograd_tiled",
        "gram naive",
        "gram tiled",
        "nearest naive",
        "nearest tiled",
        "adam f32",
    ] {
        assert!(variants.contains(expected), "{expected} does not run on the base tier");
    }
    assert!(!variants.contains("adam f64"));
}

/// The other tiers have more features, but no larger limits.
#[test]
fn every_form_stays_inside_webgpus_default_limits() {
    for Form { kernel, .. } in forms() {
        let (module, info) = validate(&kernel, capabilities(&kernel.wgsl().unwrap()));
        inside(&kernel, &module, &info, &wgpu::Limits::defaults());
    }
}

fn inside(kernel: &Kernel, module: &naga::Module, info: &ModuleInfo, limits: &wgpu::Limits) {
    let name = kernel.label();
    let index = module.entry_points.iter().position(|entry| entry.name == kernel.entry).unwrap();
    let (entry, usage) = (&module.entry_points[index], info.get_entry_point(index));
    let (mut storage, mut textures, mut uniforms, mut workgroup) = (0, 0, 0, 0);
    for (_, global) in module.global_variables.iter().filter(|(h, _)| !usage[*h].is_empty()) {
        match global.space {
            naga::AddressSpace::Storage { .. } => storage += 1,
            naga::AddressSpace::Uniform => {
                uniforms += 1;
                let bytes = u64::from(module.types[global.ty].inner.size(module.to_ctx()));
                assert!(bytes <= limits.max_uniform_buffer_binding_size, "{name}: {bytes} uniform bytes");
            }
            naga::AddressSpace::Handle => textures += 1,
            naga::AddressSpace::WorkGroup => workgroup += module.types[global.ty].inner.size(module.to_ctx()),
            _ => {}
        }
    }
    let [x, y, z] = entry.workgroup_size;
    assert!(x * y * z <= limits.max_compute_invocations_per_workgroup, "{name}: {x} x {y} x {z} invocations");
    assert!(x <= limits.max_compute_workgroup_size_x, "{name}: {x} wide");
    assert!(y <= limits.max_compute_workgroup_size_y, "{name}: {y} high");
    assert!(z <= limits.max_compute_workgroup_size_z, "{name}: {z} deep");
    assert!(workgroup <= limits.max_compute_workgroup_storage_size, "{name}: {workgroup} bytes shared");
    assert!(storage <= limits.max_storage_buffers_per_shader_stage, "{name}: {storage} storage buffers");
    assert!(textures <= limits.max_storage_textures_per_shader_stage, "{name}: {textures} textures");
    assert!(uniforms <= limits.max_uniform_buffers_per_shader_stage, "{name}: {uniforms} uniform blocks");
}

/// Name and declaration, without its number, of each of a kernel's bindings. Aliases are resolved unless
/// something replaces them.
fn declarations(kernel: &Kernel) -> Vec<(String, String)> {
    let lines = || kernel.text.lines();
    let alias = |line: &str| -> Option<(String, String)> {
        let (name, rest) = line.strip_prefix("alias ")?.split_once(" = ")?;
        Some((format!("<{name}>"), format!("<{}>", rest.split_once(';')?.0)))
    };
    let aliases: Vec<(String, String)> = lines().filter_map(alias).collect();
    let declared = lines().filter(|line| line.starts_with("@group")).filter_map(|line| {
        let declaration = line.split_once(" var")?.1.split_once(';')?.0;
        let (space, rest) = declaration.rsplit_once("> ").or_else(|| declaration.split_once(' '))?;
        let (name, kind) = rest.split_once(':')?;
        let kind = aliases.iter().fold(kind.to_owned(), |kind, (name, is)| kind.replace(name, is));
        Some((name.trim().to_owned(), format!("var{space} {kind}")))
    });
    declared.collect()
}

#[test]
fn variants_share_their_interface() {
    let mut ops: BTreeMap<&str, BTreeMap<&str, BTreeMap<String, String>>> = BTreeMap::new();
    let mut entries: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    let forms = forms();
    for Form { op, variant, kernel } in forms.iter().filter(|form| form.op != "bench") {
        entries.entry((op, variant)).or_default().insert(kernel.entry);
        ops.entry(op).or_default().entry(variant).or_default().extend(declarations(kernel));
    }
    for (op, variants) in &ops {
        // The part of the interface that the op's neighbours use.
        let outer = ["x", "y", "dx", "dy", "kept", "bias", "dg", "reference", "losses"];
        for name in outer {
            let kinds: BTreeSet<&String> = variants.values().filter_map(|names| names.get(name)).collect();
            assert!(kinds.len() <= 1, "{op}: {name} is declared as {kinds:?}");
        }
        for variant in variants.keys() {
            let found = &entries[&(*op, *variant)];
            let complete = match *op {
                "adam" => &["advance", "step"][..],
                "average" => &["forward", "rounded"],
                // These have no gradient.
                "log" | "widened" | "owned" | "mean_square" | "cholesky" | "mixture" => &[],
                _ => &["forward", "backward"],
            };
            assert!(complete.iter().all(|entry| found.contains(entry)), "{op} {variant} has {found:?}");
        }
    }
    // The tiles made for GPUs have the specification's interface, except that one bit per pixel is kept
    // instead of the map.
    for (op, [naive, tiled], own) in [
        (
            "conv3x3",
            ["conv3x3", "conv3x3_tiled"],
            &["kept", "gates", "own_gates", "gate_rows", "gate_top"][..],
        ),
        ("gram", ["gram", "gram_tiled"], &[]),
        ("nearest", ["nearest_search", "nearest_search_tiled"], &[]),
    ] {
        let shared = |variant: &str| -> Vec<(&String, &String)> {
            ops[op][variant].iter().filter(|(name, _)| !own.contains(&name.as_str())).collect()
        };
        assert_eq!(shared("naive"), shared("tiled"), "{op}");
        let members = |file: &str| -> Vec<String> {
            let form = forms.iter().find(|form| form.kernel.file == file).unwrap();
            let text = form.kernel.wgsl().unwrap();
            let block = text.split_once("struct Params {").unwrap().1.split_once('}').unwrap().0;
            let member = |line: &str| line.split(',').next().unwrap_or("").trim().to_owned();
            let declared = |line: &String| !own.iter().any(|name| line.starts_with(&format!("{name}:")));
            iter::once(op.to_owned()).chain(block.lines().map(member).filter(declared)).collect()
        };
        assert_eq!(members(naive), members(tiled));
    }
}
