//! What an invocation keeps to itself: the variables of a shader's functions, which a compiler puts into registers.

use naga::{Block, Function, Handle, Module, Statement, TypeInner};

/// Lanes that share a cooperative matrix. Subgroups of GPUs with matrix units have 32 or 64.
const LANES: u32 = 32;

/// Bytes of the variables of a function and of all that it calls, each function counted once. A variable that
/// lives in a loop counts as any other; what a compiler adds is unknown here.
pub(super) fn bytes(module: &Module, function: &Function) -> u32 {
    let mut called = Vec::new();
    calls(module, &function.body, &mut called);
    let functions = called.iter().map(|handle| &module.functions[*handle]);
    functions.chain([function]).map(|function| own(module, function)).sum()
}

fn own(module: &Module, function: &Function) -> u32 {
    function.local_variables.iter().map(|(_, variable)| size(module, &module.types[variable.ty].inner)).sum()
}

fn size(module: &Module, inner: &TypeInner) -> u32 {
    match *inner {
        TypeInner::CooperativeMatrix { columns, rows, scalar, .. } => {
            columns as u32 * rows as u32 * u32::from(scalar.width) / LANES
        }
        TypeInner::Array { base, size: naga::ArraySize::Constant(count), .. } => {
            count.get() * size(module, &module.types[base].inner)
        }
        ref other => other.size(module.to_ctx()),
    }
}

/// Adds the functions that a block calls, directly or not.
fn calls(module: &Module, block: &Block, found: &mut Vec<Handle<Function>>) {
    for statement in block.iter() {
        match statement {
            Statement::Call { function, .. } if !found.contains(function) => {
                found.push(*function);
                calls(module, &module.functions[*function].body, found);
            }
            Statement::Block(block) => calls(module, block, found),
            Statement::If { accept, reject, .. } => {
                calls(module, accept, found);
                calls(module, reject, found);
            }
            Statement::Switch { cases, .. } => {
                cases.iter().for_each(|case| calls(module, &case.body, found));
            }
            Statement::Loop { body, continuing, .. } => {
                calls(module, body, found);
                calls(module, continuing, found);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn variables_count_once_wherever_they_stand() {
        let text = "
            enable f16;
            enable wgpu_cooperative_matrix;
            var<workgroup> shared_values: array<f32, 8>;
            fn inner() -> f32 { var a = vec4f(); a.x = shared_values[0]; return a.x; }
            fn outer() -> f32 { var b = mat4x4f(); b[0].x = inner(); return b[0].x + inner(); }
            fn unused() { var c: array<f32, 100>; c[0] = 1.0; }
            @compute @workgroup_size(1)
            fn one() {
                var d: array<vec2f, 3>;
                if d[0].x < 1.0 { loop { d[1].x = outer(); if d[1].x > 0.0 { break; } } }
                shared_values[0] = d[1].x;
            }
            @compute @workgroup_size(32)
            fn matrices() { var e: array<coop_mat8x8<f32, C>, 4>; e[0] = e[1]; }
        ";
        let module = naga::front::wgsl::parse_str(text).unwrap();
        let of = |name: &str| {
            let entry = module.entry_points.iter().find(|entry| entry.name == name).unwrap();
            bytes(&module, &entry.function)
        };
        // Three vectors of 8 bytes, a matrix of 64, a vector of 16.
        assert_eq!(of("one"), 24 + 64 + 16);
        // Four matrices of 64 numbers among 32 lanes.
        assert_eq!(of("matrices"), 4 * 64 * 4 / 32);
    }
}
