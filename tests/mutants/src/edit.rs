//! Finds the mutants of a file, and adds them to it.

use std::collections::HashSet;
use std::ops::Range;

use quote::ToTokens;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, BinOp, Block, Expr, Pat, Signature, UnOp};

use crate::values;

pub struct Mutant {
    pub number: usize,
    pub line: usize,
    pub change: String,
}

/// The file with its mutants. Numbers are the same, whatever is skipped.
pub fn file(
    source: &str,
    next: &mut usize,
    skipped: &HashSet<usize>,
) -> syn::Result<(String, Vec<Mutant>)> {
    let parsed = syn::parse_file(source)?;
    let mut edit =
        Edit { source, next, skipped, names: Vec::new(), inserts: Vec::new(), found: Vec::new() };
    edit.visit_file(&parsed);
    // Stable: what begins at the same place is in the order of nesting.
    edit.inserts.sort_by_key(|(at, _)| *at);
    let (mut text, mut done) = (String::new(), 0);
    for (at, insert) in &edit.inserts {
        text += &source[done..*at];
        text += insert;
        done = *at;
    }
    text += &source[done..];
    Ok((text, edit.found))
}

struct Edit<'a> {
    source: &'a str,
    next: &'a mut usize,
    skipped: &'a HashSet<usize>,
    /// Types and functions around.
    names: Vec<String>,
    inserts: Vec<(usize, String)>,
    found: Vec<Mutant>,
}

impl Edit<'_> {
    fn text(&self, range: Range<usize>) -> &str {
        &self.source[range]
    }

    fn insert(&mut self, at: usize, text: impl Into<String>) {
        self.inserts.push((at, text.into()));
    }

    /// Counts a mutant. `None`: it does not compile.
    fn add(&mut self, place: Range<usize>, change: &str) -> Option<usize> {
        let number = *self.next;
        *self.next += 1;
        if self.skipped.contains(&number) {
            return None;
        }
        let line = self.source[..place.start].matches('\n').count() + 1;
        let change = format!("{change} in {}", self.names.join("::"));
        self.found.push(Mutant { number, line, change });
        Some(number)
    }

    /// Puts alternatives before an expression, which `close` ends.
    fn choose(&mut self, place: Range<usize>, alternatives: Vec<(String, String)>) -> bool {
        let mut before = String::new();
        for (change, code) in alternatives {
            if let Some(number) = self.add(place.clone(), &change) {
                before += &format!(
                    "if crate::mutants::is({number}) {{ /*<{number}*/ {code} /*>{number}*/ }} else "
                );
            }
        }
        if before.is_empty() {
            return false;
        }
        self.insert(place.start, format!("({before}{{ "));
        true
    }

    fn close(&mut self, place: Range<usize>, is_open: bool) {
        if is_open {
            self.insert(place.end, " })");
        }
    }

    fn function(&mut self, attributes: &[Attribute], signature: &Signature, block: &Block) {
        let is_test = attributes.iter().any(|attribute| attribute.path().is_ident("test"));
        if is_test || is_absent(attributes) || signature.constness.is_some() {
            return;
        }
        self.names.push(signature.ident.to_string());
        let place = block.span().byte_range();
        let body = self.text(place.start + 1..place.end - 1).trim().to_owned();
        if !body.is_empty() && signature.ident != "default" {
            let mut before = String::new();
            for value in values::of(&signature.output).into_iter().filter(|value| *value != body) {
                if let Some(number) = self.add(place.clone(), &format!("return {value}")) {
                    before += &format!(
                        " if crate::mutants::is({number}) {{ /*<{number}*/ return {value}; /*>{number}*/ }}"
                    );
                }
            }
            self.insert(place.start + 1, before);
        }
        self.visit_block(block);
        self.names.pop();
    }

    fn shown(&self, place: Range<usize>) -> String {
        let words: Vec<&str> = self.text(place).split_whitespace().collect();
        let text = words.join(" ");
        match text.char_indices().nth(70) {
            Some((at, _)) => format!("{}...", &text[..at]),
            None => text,
        }
    }
}

impl Visit<'_> for Edit<'_> {
    fn visit_item_mod(&mut self, item: &syn::ItemMod) {
        if !is_absent(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_impl(&mut self, item: &syn::ItemImpl) {
        let of_trait = item.trait_.as_ref().and_then(|(_, path, _)| path.segments.last());
        // What `{:?}` shows is for those who read a failed test.
        if is_absent(&item.attrs) || of_trait.is_some_and(|name| name.ident == "Debug") {
            return;
        }
        let name = item.self_ty.to_token_stream().to_string().replace(' ', "");
        self.names.push(match of_trait {
            Some(of_trait) => format!("<{name} as {}>", of_trait.ident),
            None => name,
        });
        visit::visit_item_impl(self, item);
        self.names.pop();
    }

    fn visit_item_fn(&mut self, item: &syn::ItemFn) {
        self.function(&item.attrs, &item.sig, &item.block);
    }

    fn visit_impl_item_fn(&mut self, item: &syn::ImplItemFn) {
        self.function(&item.attrs, &item.sig, &item.block);
    }

    fn visit_trait_item_fn(&mut self, item: &syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.function(&item.attrs, &item.sig, block);
        }
    }

    // What the compiler evaluates has no switch.
    fn visit_item_const(&mut self, _: &syn::ItemConst) {}
    fn visit_item_static(&mut self, _: &syn::ItemStatic) {}
    fn visit_impl_item_const(&mut self, _: &syn::ImplItemConst) {}
    fn visit_item_enum(&mut self, _: &syn::ItemEnum) {}
    fn visit_expr_const(&mut self, _: &syn::ExprConst) {}
    fn visit_expr_repeat(&mut self, _: &syn::ExprRepeat) {}
    fn visit_type(&mut self, _: &syn::Type) {}
    fn visit_generic_argument(&mut self, _: &syn::GenericArgument) {}
    fn visit_pat(&mut self, _: &Pat) {}
    fn visit_attribute(&mut self, _: &Attribute) {}

    fn visit_expr_binary(&mut self, expression: &syn::ExprBinary) {
        let place = expression.span().byte_range();
        let (left, right) =
            (expression.left.span().byte_range(), expression.right.span().byte_range());
        let operator = self.text(expression.op.span().byte_range()).to_owned();
        let alternatives = others(&expression.op)
            .iter()
            .map(|other| {
                let code =
                    format!("({}) {other} ({})", self.text(left.clone()), self.text(right.clone()));
                (format!("{operator} -> {other} of `{}`", self.shown(place.clone())), code)
            })
            .collect();
        let is_open = self.choose(place.clone(), alternatives);
        visit::visit_expr_binary(self, expression);
        self.close(place, is_open);
    }

    fn visit_expr_call(&mut self, call: &syn::ExprCall) {
        // A capacity changes nothing that can be seen.
        if !call.func.to_token_stream().to_string().ends_with("with_capacity") {
            visit::visit_expr_call(self, call);
        }
    }

    fn visit_expr_unary(&mut self, expression: &syn::ExprUnary) {
        if !matches!(expression.op, UnOp::Not(_) | UnOp::Neg(_)) {
            return visit::visit_expr_unary(self, expression);
        }
        let place = expression.span().byte_range();
        let inner = self.text(expression.expr.span().byte_range()).to_owned();
        let operator = self.text(expression.op.span().byte_range()).to_owned();
        let change = format!("{operator} deleted of `{}`", self.shown(place.clone()));
        let is_open = self.choose(place.clone(), vec![(change, inner)]);
        visit::visit_expr_unary(self, expression);
        self.close(place, is_open);
    }

    fn visit_expr_match(&mut self, expression: &syn::ExprMatch) {
        let has_default = expression
            .arms
            .iter()
            .any(|arm| matches!(arm.pat, Pat::Wild(_)) && arm.guard.is_none());
        self.visit_expr(&expression.expr);
        for arm in expression.arms.iter().filter(|arm| !is_absent(&arm.attrs)) {
            let pattern = arm.pat.span().byte_range();
            let shown = self.shown(pattern.clone());
            let deleted = match has_default && !matches!(arm.pat, Pat::Wild(_)) {
                true => self.add(pattern.clone(), &format!("arm `{shown}` deleted")),
                false => None,
            };
            match &arm.guard {
                Some((_, guard)) => self.guard(&shown, guard, deleted),
                None => {
                    if let Some(number) = deleted {
                        self.insert(
                            pattern.end,
                            format!(
                                " if /*<{number}*/ !crate::mutants::is({number}) /*>{number}*/"
                            ),
                        );
                    }
                }
            }
            self.visit_expr(&arm.body);
        }
    }
}

impl Edit<'_> {
    fn guard(&mut self, arm: &str, guard: &Expr, deleted: Option<usize>) {
        let place = guard.span().byte_range();
        let always = self.add(place.clone(), &format!("guard of `{arm}` true"));
        let never = self.add(place.clone(), &format!("guard of `{arm}` false"));
        let (mut before, mut after) = (String::new(), String::new());
        for number in [deleted, never].into_iter().flatten() {
            before += &format!("!crate::mutants::is({number}) && ");
        }
        if let Some(number) = always {
            before += &format!("(crate::mutants::is({number}) || ");
            after += ")";
        }
        self.insert(place.start, format!("{before}("));
        self.visit_expr(guard);
        self.insert(place.end, format!("){after}"));
    }
}

/// Whether a part is not in the library that is tested: tests, their support, other systems.
fn is_absent(attributes: &[Attribute]) -> bool {
    attributes.iter().filter(|attribute| attribute.path().is_ident("cfg")).any(|attribute| {
        let condition = attribute.meta.to_token_stream().to_string().replace(' ', "");
        let is_of_tests = condition.contains("test") && !condition.contains("redis");
        is_of_tests || condition.contains("not(") || condition.contains("aarch64")
    })
}

fn others(operator: &BinOp) -> &'static [&'static str] {
    match operator {
        BinOp::Eq(_) => &["!="],
        BinOp::Ne(_) => &["=="],
        BinOp::And(_) => &["||"],
        BinOp::Or(_) => &["&&"],
        BinOp::Lt(_) => &["==", ">", "<="],
        BinOp::Gt(_) => &["==", "<", ">="],
        BinOp::Le(_) => &[">"],
        BinOp::Ge(_) => &["<"],
        BinOp::Add(_) => &["-", "*"],
        BinOp::Sub(_) => &["+", "/"],
        BinOp::Mul(_) => &["+", "/"],
        BinOp::Div(_) => &["%", "*"],
        BinOp::Rem(_) => &["/", "+"],
        BinOp::BitAnd(_) => &["|", "^"],
        // Not "^": what is combined has no bit in common.
        BinOp::BitOr(_) => &["&"],
        BinOp::BitXor(_) => &["|", "&"],
        BinOp::Shl(_) => &[">>"],
        BinOp::Shr(_) => &["<<"],
        BinOp::AddAssign(_) => &["-=", "*="],
        BinOp::SubAssign(_) => &["+=", "/="],
        BinOp::MulAssign(_) => &["+=", "/="],
        BinOp::DivAssign(_) => &["%=", "*="],
        BinOp::RemAssign(_) => &["/=", "+="],
        BinOp::BitAndAssign(_) => &["|=", "^="],
        BinOp::BitOrAssign(_) => &["&=", "^="],
        BinOp::BitXorAssign(_) => &["|=", "&="],
        BinOp::ShlAssign(_) => &[">>="],
        BinOp::ShrAssign(_) => &["<<="],
        _ => &[],
    }
}
