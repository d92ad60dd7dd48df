//! What a function may return instead.

use quote::ToTokens;
use syn::{GenericArgument, PathArguments, ReturnType, Type, TypePath};

/// Expressions of a function's type; some of them do not compile.
pub fn of(output: &ReturnType) -> Vec<String> {
    match output {
        ReturnType::Default => vec!["()".to_owned()],
        ReturnType::Type(_, kind) => of_type(kind),
    }
}

fn of_type(kind: &Type) -> Vec<String> {
    let texts = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
    match kind {
        Type::Never(_) | Type::ImplTrait(_) => Vec::new(),
        Type::Tuple(tuple) if tuple.elems.is_empty() => texts(&["()"]),
        Type::Tuple(tuple) => {
            let firsts: Vec<String> = tuple
                .elems
                .iter()
                .map(|part| of_type(part).into_iter().next().unwrap_or_default())
                .collect();
            vec![format!("({})", firsts.join(", "))]
        }
        Type::Reference(to) if to.elem.to_token_stream().to_string() == "str" => {
            texts(&["\"\"", "\"xyzzy\""])
        }
        Type::Reference(to) => of_type(&to.elem)
            .into_iter()
            .map(|value| format!("Box::leak(Box::new({value}))"))
            .collect(),
        Type::Path(path) => of_path(path),
        _ => texts(&["Default::default()"]),
    }
}

fn of_path(path: &TypePath) -> Vec<String> {
    let Some(last) = path.path.segments.last() else { return Vec::new() };
    let inner = match &last.arguments {
        PathArguments::AngleBracketed(all) => all.args.iter().find_map(|argument| match argument {
            GenericArgument::Type(kind) => Some(of_type(kind)),
            _ => None,
        }),
        _ => None,
    };
    let wrapped = |name: &str| -> Vec<String> {
        let inner = inner.clone().unwrap_or_else(|| vec!["Default::default()".to_owned()]);
        inner.into_iter().map(|value| format!("{name}({value})")).collect()
    };
    let texts = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
    match last.ident.to_string().as_str() {
        "bool" => texts(&["true", "false"]),
        "u8" | "u16" | "u32" | "u64" | "u128" | "usize" => texts(&["0", "1"]),
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => texts(&["0", "1", "-1"]),
        "f32" | "f64" => texts(&["0.0", "1.0", "-1.0"]),
        "String" => texts(&["String::new()", "\"xyzzy\".into()"]),
        "Vec" => texts(&["Vec::new()"]),
        "Option" => [vec!["None".to_owned()], wrapped("Some")].concat(),
        "Result" => wrapped("Ok"),
        "Box" => wrapped("Box::new"),
        "Arc" => wrapped("Arc::new"),
        _ => texts(&["Default::default()"]),
    }
}
