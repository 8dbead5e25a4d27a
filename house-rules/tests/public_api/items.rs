//! Lines of one item: its signature, its public fields, variants and methods.

use quote::ToTokens;
use syn::{Attribute, Fields, Generics, ImplItem, Item, Signature, TraitItem, Visibility};

use crate::print::{tidy, tokens};
use crate::tree::is_public;

/// Lines of an item, and the path below which those of its impls stand.
pub(crate) struct Named {
    pub(crate) path: String,
    pub(crate) lines: Vec<String>,
}

pub(crate) fn name_of(item: &Item) -> Option<String> {
    Some(match item {
        Item::Const(item) => item.ident.to_string(),
        Item::Enum(item) => item.ident.to_string(),
        Item::Fn(item) => item.sig.ident.to_string(),
        Item::Macro(item) => item.ident.as_ref()?.to_string(),
        Item::Mod(item) => item.ident.to_string(),
        Item::Static(item) => item.ident.to_string(),
        Item::Struct(item) => item.ident.to_string(),
        Item::Trait(item) => item.ident.to_string(),
        Item::Type(item) => item.ident.to_string(),
        Item::Union(item) => item.ident.to_string(),
        _ => return None,
    })
}

pub(crate) fn visibility_of(item: &Item) -> Option<&Visibility> {
    Some(match item {
        Item::Const(item) => &item.vis,
        Item::Enum(item) => &item.vis,
        Item::Fn(item) => &item.vis,
        Item::Mod(item) => &item.vis,
        Item::Static(item) => &item.vis,
        Item::Struct(item) => &item.vis,
        Item::Trait(item) => &item.vis,
        Item::Type(item) => &item.vis,
        Item::Union(item) => &item.vis,
        Item::Use(item) => &item.vis,
        _ => return None,
    })
}

/// Returns the lines of an item that is seen at a path.
pub(crate) fn own_lines(item: &Item, seen: &str) -> Named {
    let mut lines = Vec::new();
    let mut path = seen.to_owned();
    match item {
        Item::Const(item) => lines.push(format!("{seen}: const {}", tokens(&item.ty))),
        Item::Static(item) => lines.push(format!("{seen}: static {}", tokens(&item.ty))),
        Item::Fn(item) => lines.push(format!("{seen}: {}", function(&item.sig))),
        Item::Macro(_) => lines.push(format!("{seen}: macro")),
        Item::Type(item) => {
            lines.push(format!("{seen}{}: type = {}", tokens(&item.generics), tokens(&item.ty)));
        }
        Item::Struct(item) => {
            path = head(&mut lines, "struct", seen, &item.generics, &item.attrs);
            fields(&item.fields, &path, &mut lines);
        }
        Item::Enum(item) => {
            path = head(&mut lines, "enum", seen, &item.generics, &item.attrs);
            for variant in &item.variants {
                let variant = syn::Variant { attrs: Vec::new(), ..variant.clone() };
                lines.push(format!("{path}::{}", tokens(&without_docs(variant))));
            }
        }
        Item::Trait(item) => {
            path = head(&mut lines, "trait", seen, &item.generics, &item.attrs);
            if !item.supertraits.is_empty() {
                lines.push(format!("{path}: above it {}", tokens(&item.supertraits)));
            }
            lines.extend(item.items.iter().filter_map(|inner| trait_item(inner, &path)));
        }
        _ => {}
    }
    Named { path, lines }
}

/// Adds the first line of a type and the traits that it derives; returns its path with its parameters.
fn head(
    lines: &mut Vec<String>,
    kind: &str,
    seen: &str,
    generics: &Generics,
    attributes: &[Attribute],
) -> String {
    let path = format!("{seen}{}", tokens(generics));
    let is_open = attributes.iter().any(|attribute| attribute.path().is_ident("non_exhaustive"));
    let open = if is_open { "#[non_exhaustive] " } else { "" };
    let bounds =
        generics.where_clause.as_ref().map(|bounds| format!(" {}", tokens(bounds))).unwrap_or_default();
    lines.push(format!("{path}: {open}{kind}{bounds}"));
    for derive in attributes.iter().filter(|attribute| attribute.path().is_ident("derive")) {
        let list = derive.meta.require_list().unwrap().tokens.to_string();
        lines.extend(
            list.split(',')
                .map(str::trim)
                .filter(|name| !name.is_empty())
                .map(|name| format!("{path}: impl {}", tidy(name))),
        );
    }
    path
}

fn fields(fields: &Fields, path: &str, lines: &mut Vec<String>) {
    for (number, field) in fields.iter().enumerate().filter(|(_, field)| is_public(&field.vis)) {
        let name = field.ident.as_ref().map_or_else(|| number.to_string(), ToString::to_string);
        lines.push(format!("{path}::{name}: {}", tokens(&field.ty)));
    }
}

/// Takes the comments of a variant's fields away.
fn without_docs(mut variant: syn::Variant) -> syn::Variant {
    variant.fields.iter_mut().for_each(|field| field.attrs.clear());
    variant
}

fn trait_item(item: &TraitItem, path: &str) -> Option<String> {
    Some(match item {
        TraitItem::Fn(item) => {
            let provided = if item.default.is_some() { " { … }" } else { "" };
            format!("{path}::{}: {}{provided}", item.sig.ident, function(&item.sig))
        }
        TraitItem::Const(item) => format!("{path}::{}: const {}", item.ident, tokens(&item.ty)),
        TraitItem::Type(item) => format!("{path}::{}: type: {}", item.ident, tokens(&item.bounds)),
        _ => return None,
    })
}

/// Returns the public methods and constants of an impl.
pub(crate) fn methods(items: &[ImplItem], path: &str) -> Vec<String> {
    let line = |item: &ImplItem| match item {
        ImplItem::Fn(item) if is_public(&item.vis) => {
            Some(format!("{path}::{}: {}", item.sig.ident, function(&item.sig)))
        }
        ImplItem::Const(item) if is_public(&item.vis) => {
            Some(format!("{path}::{}: const {}", item.ident, tokens(&item.ty)))
        }
        _ => None,
    };
    items.iter().filter_map(line).collect()
}

/// Returns a signature without the function's name.
fn function(signature: &Signature) -> String {
    let text = tokens(&signature.to_token_stream());
    let name = format!("fn {}", signature.ident);
    let bounds = signature.generics.where_clause.as_ref().map(tokens);
    let text = text.replacen(&name, "fn", 1);
    match bounds {
        Some(bounds) if !text.contains(&bounds) => format!("{text} {bounds}"),
        _ => text,
    }
}
