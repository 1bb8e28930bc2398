//! The forms that multiply on a GPU's matrix units.
//!
//! Few drivers have these; `tools/test --driver mesa26` runs on one that has. It takes more than GPUs do: any
//! place for a matrix in memory, any workgroup. What they demand is read from the text of the shaders here,
//! on every driver.

use std::collections::BTreeMap;

use impasto::Network;
use impasto::cases::{Candidate, Case};
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
use naga::{BuiltIn, Expression, Handle, Literal, Scalar, Statement, TypeInner};

/// Whether a form multiplies on matrix units.
fn on_matrix_units(candidate: &&Candidate) -> bool {
    candidate.name.starts_with("cooperative")
}

/// An adapter with matrix units. Without, says so.
fn gpu() -> Option<Gpu> {
    let gpu = Gpu::new(None).expect("an adapter");
    if gpu.matrix_tile().is_none() {
        println!("NOT TESTED: {} has no matrix units; tools/test --driver mesa26 has", gpu.info().name);
        return None;
    }
    Some(gpu)
}

/// An adapter with matrix units, and the choice to use them for all that can.
pub fn tuned() -> Option<(Gpu, Tuning)> {
    let tuning: Tuning = "conv3x3=cooperative,gram=cooperative".parse().unwrap();
    Some((gpu()?, tuning.in_precision(Precision::Half)))
}

/// The cases in which such a form runs on `gpu`.
fn cases(gpu: &Gpu) -> Vec<Case> {
    let runs = |case: &Case| case.candidates.iter().filter(on_matrix_units).any(|c| c.runs_on(gpu));
    tables()
        .iter()
        .flat_map(|table| table.edges.iter().flat_map(|size| (table.at)(*size)))
        .filter(runs)
        .collect()
}

/// A driver that has matrix units runs their forms, and a driver that has none is not asked to.
#[test]
fn they_run_where_the_driver_has_them_and_only_in_half_precision() {
    let gpu = Gpu::new(None).expect("an adapter");
    let cases = cases(&gpu);
    println!("{} cases on matrix units on {}", cases.len(), gpu.info().name);
    assert_eq!(gpu.matrix_tile().is_some(), !cases.is_empty());
    assert!(cases.iter().all(|case| case.precision() == Precision::Half));
    let software = gpu.is_software() && gpu.info().driver_info.contains("Mesa 26.");
    assert!(!software || gpu.matrix_tile() == Some(8), "this driver lists 8 x 8 x 8");
    // By itself nobody takes them, in neither precision.
    for precision in Precision::ALL {
        let tuning = Tuning::default().in_precision(precision);
        assert!(!tuning.conv3x3(&gpu, 64, 64).is_half() && !tuning.gram(&gpu, 64).is_half());
        let asked: Tuning = "conv3x3=cooperative,gram=cooperative".parse().unwrap();
        assert_eq!(asked.to_string(), "conv3x3=cooperative,gram=cooperative");
        let asked = asked.in_precision(precision);
        let taken = [asked.conv3x3(&gpu, 64, 64).is_half(), asked.gram(&gpu, 64).is_half()];
        assert_eq!(taken, [precision == Precision::Half && gpu.matrix_tile().is_some(); 2]);
    }
}

/// The other side than the one that the driver lists. (What it lists is proven with all other forms, in
/// `gradients.rs`.) Few cases, for software compiles matrices of 16 x 16 slowly.
#[test]
fn matrices_of_the_other_size_agree_with_float64() {
    let Some(gpu) = gpu() else { return };
    let side = if gpu.matrix_tile() == Some(8) { 16 } else { 8 };
    let gpu = gpu.with_matrix_tile(side);
    // With 96 channels, matrices of 16 x 16 leave units without work.
    let wanted = [
        ("conv3x3", "32 20x17 relu pool half", "cooperative_small"),
        ("conv3x3", "32 20x17 relu pool half", "cooperative_tiny"),
        ("conv3x3", "128 5x6 relu half", "cooperative_large"),
        ("gram", "96 3x7 half", "cooperative"),
        ("gram", "32 1x63 half", "cooperative"),
        ("wasserstein", "64 3x5 half", "cooperative"),
    ];
    let cases = cases(&gpu);
    for (op, name, form) in wanted {
        let names: Vec<&str> =
            cases.iter().filter(|case| case.op == op).map(|case| case.name.as_str()).collect();
        let case = cases.iter().find(|case| case.op == op && case.name == name);
        let case = case.unwrap_or_else(|| panic!("no case {name:?} of {op}; there are {names:?}"));
        let candidate = case.candidates.iter().find(|candidate| candidate.name == form).unwrap();
        let proof = case.prove(&gpu, candidate, &case.truth(1));
        proof.unwrap_or_else(|fault| panic!("{side} x {side}: {fault}"));
    }
}

/// Sums have a fixed order on matrix units, too.
#[test]
fn the_same_bits_every_time() {
    let Some((gpu, tuning)) = tuned() else { return };
    let mut settings = Settings::book();
    (settings.precision, settings.iterations) = (Precision::Half, 3);
    let network = Network::vgg19();
    let weights = Weights::embedded(&network.specs(&settings.taps()).unwrap()).unwrap();
    let vgg = Vgg::new(&gpu, network, &weights, &tuning).unwrap();
    let (photo, painting) = (Picture::noise(37, 29, 1), Picture::noise(31, 23, 2));
    let run = || {
        let builder = Session::builder(&gpu, &vgg).content(&photo).style(&painting, 1.0);
        let mut session = builder.settings(settings.clone()).build().unwrap();
        while session.step().unwrap().is_some() {}
        let used = session.describe().matches("conv3x3_cooperative/").count();
        assert!(used >= 16, "{used} dispatches on matrix units");
        session.variable().unwrap().into_iter().map(f64::to_bits).collect::<Vec<u64>>()
    };
    assert_eq!(run(), run());
    // Nothing is computed more coarsely than a run asks for.
    settings.precision = Precision::Single;
    let builder = Session::builder(&gpu, &vgg).content(&photo).style(&painting, 1.0);
    let refused = builder.settings(settings.clone()).build().err().expect("the run has single precision");
    assert!(refused.to_string().contains("upload it with a tuning for single precision"), "{refused}");
}

/// All kernels that use matrix units, with the side of their matrices.
fn kernels() -> Vec<(usize, Kernel)> {
    let mut kernels = BTreeMap::new();
    for side in [8, 16] {
        // Nothing is compiled.
        let gpu = Gpu::new(None).expect("an adapter").with_matrix_tile(side);
        for case in cases(&gpu) {
            for candidate in case.candidates.iter().filter(on_matrix_units).filter(|c| c.runs_on(&gpu)) {
                let those = case.kernels(&gpu, candidate).unwrap().into_iter();
                let those = those.filter(|kernel| kernel.text.contains("enable wgpu_cooperative_matrix;"));
                kernels.extend(those.map(|kernel| ((side, kernel.label()), kernel)));
            }
        }
    }
    kernels.into_iter().map(|((side, _), kernel)| (side, kernel)).collect()
}

/// What naga makes of a kernel, with its entry point's place in it.
fn parsed(kernel: &Kernel) -> (naga::Module, usize) {
    let module = naga::front::wgsl::parse_str(&kernel.wgsl().unwrap()).unwrap();
    let entry = module.entry_points.iter().position(|entry| entry.name == kernel.entry).unwrap();
    (module, entry)
}

/// Vulkan wants the x side of such workgroups to be a multiple of a subgroup, of which the largest has 128
/// lanes, and that of nearly all 64 at most. Work is shared by the numbers of subgroups, whatever their size.
#[test]
fn workgroups_are_whole_subgroups_of_any_size() {
    let kernels = kernels();
    assert!(kernels.len() >= 24 || !Gpu::new(None).unwrap().has_half(), "{} kernels", kernels.len());
    for (_, kernel) in kernels {
        let name = kernel.label();
        let (module, entry) = parsed(&kernel);
        let entry = &module.entry_points[entry];
        let [x, y, z] = entry.workgroup_size;
        assert!(x % 64 == 0 && y == 1 && z == 1, "{name}: workgroups of {x} x {y} x {z}");
        let builtins: Vec<BuiltIn> = entry
            .function
            .arguments
            .iter()
            .filter_map(|argument| match argument.binding {
                Some(naga::Binding::BuiltIn(builtin)) => Some(builtin),
                _ => None,
            })
            .collect();
        for needed in [BuiltIn::SubgroupId, BuiltIn::NumSubgroups] {
            assert!(builtins.contains(&needed), "{name} does not ask for {needed:?}");
        }
        for size in [BuiltIn::SubgroupSize, BuiltIn::SubgroupInvocationId] {
            assert!(!builtins.contains(&size), "{name} asks for {size:?}");
        }
    }
}

/// Nobody else compares the sides of matrices, neither with each other nor with what the adapter lists; nor
/// their numbers with what is stored.
#[test]
fn matrices_have_the_side_that_is_listed() {
    for (side, kernel) in kernels() {
        let name = kernel.label();
        let (module, _) = parsed(&kernel);
        let mut roles = Vec::new();
        for (_, kind) in module.types.iter() {
            if let TypeInner::CooperativeMatrix { columns, rows, scalar, role } = kind.inner {
                assert_eq!([columns as usize, rows as usize], [side; 2], "{name}");
                let expected = if role == naga::CooperativeRole::C { Scalar::F32 } else { Scalar::F16 };
                assert_eq!(scalar, expected, "{name}: {role:?}");
                roles.push(role);
            }
        }
        assert_eq!(roles.len(), 3, "{name} has {roles:?}");
        assert!(kernel.wgsl().unwrap().contains(&format!("const TILE: u32 = {side}u;")), "{name}");
    }
}

/// Vulkan wants a matrix, and each of its rows, to begin at a multiple of 16 bytes: of 8 values of float16,
/// of 4 of float32.
#[test]
fn matrices_begin_at_multiples_of_16_bytes() {
    for (_, kernel) in kernels() {
        let name = kernel.label();
        let (module, entry) = parsed(&kernel);
        let mut count = 0;
        let bodies = module.functions.iter().map(|(handle, function)| (Some(handle), function));
        for (at, function) in bodies.chain([(None, &module.entry_points[entry].function)]) {
            let divisors = Divisors { module: &module, entry: &module.entry_points[entry].function };
            for data in matrices(function) {
                let Expression::Access { base, index } = function.expressions[data.pointer] else {
                    panic!("{name}: a matrix at no index");
                };
                let Expression::GlobalVariable(global) = function.expressions[base] else {
                    panic!("{name}: a matrix in no buffer");
                };
                let TypeInner::Array { base, .. } = module.types[module.global_variables[global].ty].inner
                else {
                    panic!("{name}: a matrix in no array");
                };
                let width = u64::from(module.types[base].inner.size(module.to_ctx()));
                let [offset, stride] = [index, data.stride].map(|e| width * divisors.of(at, e, 0));
                assert!(offset % 16 == 0, "{name}: a matrix begins at a multiple of {offset} bytes");
                assert!(stride % 16 == 0, "{name}: rows of a matrix begin at multiples of {stride} bytes");
                count += 1;
            }
        }
        assert!(count >= 3, "{name} has {count} matrices in memory");
    }
}

/// Where a function loads and stores matrices.
fn matrices(function: &naga::Function) -> Vec<naga::CooperativeData> {
    let mut found: Vec<_> = function
        .expressions
        .iter()
        .filter_map(|(_, expression)| match expression {
            Expression::CooperativeLoad { data, .. } => Some(*data),
            _ => None,
        })
        .collect();
    statements(&function.body, &mut |statement| {
        if let Statement::CooperativeStore { data, .. } = statement {
            found.push(*data);
        }
    });
    found
}

/// Calls `each` with every statement of a block and of the blocks in it.
fn statements(block: &naga::Block, each: &mut impl FnMut(&Statement)) {
    for statement in block.iter() {
        each(statement);
        match statement {
            Statement::Block(block) => statements(block, each),
            Statement::If { accept, reject, .. } => {
                [accept, reject].into_iter().for_each(|b| statements(b, each))
            }
            Statement::Loop { body, continuing, .. } => {
                [body, continuing].into_iter().for_each(|b| statements(b, each));
            }
            Statement::Switch { cases, .. } => cases.iter().for_each(|case| statements(&case.body, each)),
            _ => {}
        }
    }
}

/// Numbers that divide the values of a shader's expressions, whatever its inputs are.
struct Divisors<'a> {
    module: &'a naga::Module,
    entry: &'a naga::Function,
}

/// How deep expressions lie in each other at most.
const DEEP: usize = 40;

impl Divisors<'_> {
    /// A divisor of an expression of a function, or of the entry point. 0 has all of them, and so says that
    /// it is 0.
    fn of(
        &self,
        function: Option<Handle<naga::Function>>,
        expression: Handle<Expression>,
        depth: usize,
    ) -> u64 {
        if depth > DEEP {
            return 1;
        }
        let body = function.map_or(self.entry, |function| &self.module.functions[function]);
        let of = |expression| self.of(function, expression, depth + 1);
        match body.expressions[expression] {
            Expression::Literal(Literal::U32(value)) => value.into(),
            Expression::Constant(constant) => {
                match self.module.global_expressions[self.module.constants[constant].init] {
                    Expression::Literal(Literal::U32(value)) => value.into(),
                    _ => 1,
                }
            }
            Expression::Binary { op, left, right } => match op {
                naga::BinaryOperator::Add | naga::BinaryOperator::Subtract => gcd(of(left), of(right)),
                naga::BinaryOperator::Multiply => of(left).saturating_mul(of(right)),
                _ => 1,
            },
            Expression::Select { accept, reject, .. } => gcd(of(accept), of(reject)),
            // A counter: what it starts with and what it is set to. Its steps are its own divisor.
            Expression::Load { pointer } => match body.expressions[pointer] {
                Expression::LocalVariable(variable) => {
                    let mut divisor = body.local_variables[variable].init.map_or(0, of);
                    statements(&body.body, &mut |statement| {
                        if let Statement::Store { pointer: to, value } = statement
                            && matches!(body.expressions[*to], Expression::LocalVariable(other) if other == variable)
                        {
                            divisor = gcd(
                                divisor,
                                match body.expressions[*value] {
                                    Expression::Binary { op: naga::BinaryOperator::Add, left, right }
                                        if matches!(body.expressions[left], Expression::Load { pointer: from } if from == pointer
                                        || body.expressions[from] == body.expressions[pointer]) =>
                                    {
                                        of(right)
                                    }
                                    _ => of(*value),
                                },
                            );
                        }
                    });
                    divisor
                }
                // Channels: `supports` wants multiples of 16.
                Expression::AccessIndex { base, index } => match body.expressions[base] {
                    Expression::GlobalVariable(global) => self.parameter(global, index),
                    _ => 1,
                },
                _ => 1,
            },
            // Of all calls.
            Expression::FunctionArgument(argument) => {
                let Some(function) = function else { return 1 };
                let mut divisor = 0;
                let others = self.module.functions.iter().map(|(handle, body)| (Some(handle), body));
                for (caller, body) in others.chain([(None, self.entry)]) {
                    statements(&body.body, &mut |statement| {
                        if let Statement::Call { function: called, arguments, .. } = statement
                            && *called == function
                        {
                            let given = arguments[argument as usize];
                            divisor = gcd(divisor, self.of(caller, given, depth + 1));
                        }
                    });
                }
                divisor
            }
            Expression::CallResult(called) => {
                let mut divisor = 0;
                statements(&self.module.functions[called].body, &mut |statement| {
                    if let Statement::Return { value: Some(value) } = statement {
                        divisor = gcd(divisor, self.of(Some(called), *value, depth + 1));
                    }
                });
                divisor
            }
            _ => 1,
        }
    }

    /// Member `index` of the parameters.
    fn parameter(&self, global: Handle<naga::GlobalVariable>, index: u32) -> u64 {
        let TypeInner::Struct { members, .. } =
            &self.module.types[self.module.global_variables[global].ty].inner
        else {
            return 1;
        };
        let name = members[index as usize].name.as_deref();
        if matches!(name, Some("c_in" | "c_out" | "c")) { 16 } else { 1 }
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Channels that do not fill whole matrices, in either direction, are for other forms.
#[test]
fn only_whole_matrices() {
    for side in [8, 16] {
        let gpu = Gpu::new(None).expect("an adapter").with_matrix_tile(side);
        for (form, channels) in [(Variant::Cooperative, 2), (Variant::CooperativeLarge, 8)] {
            let whole = channels * side;
            assert!(form.supports(&gpu, whole, 3 * whole));
            for odd in [3, 8, whole - 8, whole + 8, whole + 1] {
                assert!(
                    !form.supports(&gpu, whole, odd) && !form.supports(&gpu, odd, whole),
                    "{odd} channels"
                );
            }
        }
    }
}
