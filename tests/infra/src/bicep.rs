//! A Bicep file as far as the checks need it.

use std::collections::BTreeSet;

use tree_sitter::{Node, Parser};

/// A parsed file.
#[derive(Debug, Default)]
pub struct Template {
    /// Lines at which the text is no Bicep.
    pub faults: Vec<usize>,
    /// Parameters, and whether each has a default.
    pub parameters: Vec<(String, bool)>,
    /// Names of outputs.
    pub outputs: BTreeSet<String>,
    /// Modules that are used.
    pub modules: Vec<Module>,
    /// Resources, nested ones too.
    pub resources: Vec<Resource>,
    /// Every name that is declared: parameters, variables, resources, modules, loop and lambda variables.
    pub declared: BTreeSet<String>,
    /// Every name that is used.
    pub used: BTreeSet<String>,
    /// Every `module.outputs.name`.
    pub used_outputs: BTreeSet<(String, String)>,
}

/// A module that a file uses.
#[derive(Debug)]
pub struct Module {
    /// Its name in the file.
    pub symbol: String,
    /// The path, from the file.
    pub path: String,
    /// Names of the parameters it is given.
    pub parameters: BTreeSet<String>,
}

/// A resource.
#[derive(Debug)]
pub struct Resource {
    /// Type, without the version; of a nested one its own part only.
    pub kind: String,
    /// Type with its parents', without the version.
    pub full_kind: String,
    /// The API version, where it says one.
    pub version: Option<String>,
    /// Whether it is there already and only referred to.
    pub existing: bool,
    /// Every property with a value of its own, as `a.b.c` and the value's text. Elements of arrays are `a.0`.
    pub properties: Vec<(String, String)>,
}

impl Resource {
    /// The text of this property's value.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&str> {
        self.properties.iter().find(|(name, _)| name == path).map(|(_, value)| value.as_str())
    }
}

impl Template {
    /// Reads a file. `extension` lines are left out: the grammar does not know them.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let known = |line: &str| if line.starts_with("extension ") { String::new() } else { line.to_owned() };
        let text: String = text.lines().map(known).collect::<Vec<_>>().join("\n");
        let mut parser = Parser::new();
        parser.set_language(&tree_sitter_bicep::LANGUAGE.into()).expect("the grammar fits");
        let tree = parser.parse(&text, None).expect("a parser without a time limit");
        let mut template = Self::default();
        template.walk(tree.root_node(), text.as_bytes());
        template
    }

    fn walk(&mut self, node: Node<'_>, text: &[u8]) {
        if node.is_error() || node.is_missing() {
            self.faults.push(node.start_position().row + 1);
        }
        match node.kind() {
            "parameter_declaration" => {
                let name = first_name(node, text);
                self.parameters.push((name.clone(), node.named_child_count() > 2));
                self.declared.insert(name);
            }
            "variable_declaration" | "lambda_expression" => {
                self.declared.insert(first_name(node, text));
            }
            "output_declaration" => {
                self.outputs.insert(first_name(node, text));
            }
            "resource_declaration" => {
                self.declared.insert(first_name(node, text));
                self.resources.push(resource(node, text));
            }
            "module_declaration" => {
                self.declared.insert(first_name(node, text));
                self.modules.push(module(node, text));
            }
            "loop_variable" | "loop_enumerator" => {
                self.declared.insert(content(node, text));
            }
            "for_statement" => {
                if let Some(variable) = node.child_by_field_name("initializer") {
                    self.declared.insert(content(variable, text));
                }
            }
            "member_expression" => {
                if let Some((module, output)) = module_output(&content(node, text)) {
                    self.used_outputs.insert((module, output));
                }
            }
            // A name with a bracket behind it is a function's, wherever the grammar puts it.
            "identifier" if is_use(node) && text.get(node.end_byte()) != Some(&b'(') => {
                self.used.insert(content(node, text));
            }
            _ => {}
        }
        let mut cursor = node.walk();
        for child in node.children(&mut cursor) {
            self.walk(child, text);
        }
    }
}

/// Whether an identifier stands for a value, and is not a name that is given here, a key, or a function.
fn is_use(node: Node<'_>) -> bool {
    let Some(parent) = node.parent() else { return false };
    let is_first = parent.named_child(0) == Some(node);
    match parent.kind() {
        "parameter_declaration"
        | "variable_declaration"
        | "output_declaration"
        | "resource_declaration"
        | "module_declaration"
        | "object_property"
        | "lambda_expression" => !is_first,
        "call_expression" => parent.child_by_field_name("function") != Some(node),
        "resource_expression" => parent.child_by_field_name("object") == Some(node),
        "type" | "primitive_type" | "loop_variable" | "loop_enumerator" | "target_scope_assignment" => false,
        "for_statement" => parent.child_by_field_name("initializer") != Some(node),
        _ => true,
    }
}

/// `module.outputs.name` or `module!.outputs.name`.
fn module_output(text: &str) -> Option<(String, String)> {
    let (module, output) = text.split_once(".outputs.")?;
    let module = module.trim_end_matches('!');
    let word =
        |text: &str| !text.is_empty() && text.chars().all(|character| character.is_alphanumeric() || character == '_');
    (word(module) && word(output)).then(|| (module.to_owned(), output.to_owned()))
}

fn module(node: Node<'_>, text: &[u8]) -> Module {
    let path = descendant(node, "string").map(|path| unquoted(path, text)).unwrap_or_default();
    let mut properties = Vec::new();
    if let Some(object) = descendant(node, "object") {
        flatten(object, text, "", &mut properties);
    }
    let parameters = properties
        .iter()
        .filter_map(|(name, _)| name.strip_prefix("params."))
        .map(|name| name.split('.').next().unwrap_or_default().to_owned())
        .collect();
    Module { symbol: first_name(node, text), path, parameters }
}

fn resource(node: Node<'_>, text: &[u8]) -> Resource {
    let (kind, version) = kind_of(node, text);
    let mut full_kind = kind.clone();
    let mut parent = node.parent();
    while let Some(node) = parent {
        if node.kind() == "resource_declaration" {
            full_kind = format!("{}/{full_kind}", kind_of(node, text).0);
        }
        parent = node.parent();
    }
    let mut properties = Vec::new();
    let object = descendant(node, "object");
    if let Some(object) = object {
        flatten(object, text, "", &mut properties);
    }
    let head = object.map_or(node.end_byte(), |object| object.start_byte());
    let head = text.get(node.start_byte()..head).unwrap_or_default();
    let existing = String::from_utf8_lossy(head).contains(" existing ");
    Resource { kind, full_kind, version, existing, properties }
}

/// A resource's own type and version.
fn kind_of(node: Node<'_>, text: &[u8]) -> (String, Option<String>) {
    let quoted = descendant(node, "string").map(|kind| unquoted(kind, text)).unwrap_or_default();
    match quoted.split_once('@') {
        Some((kind, version)) => (kind.to_owned(), Some(version.to_owned())),
        None => (quoted, None),
    }
}

/// Every value below an object or array, by its path.
fn flatten(node: Node<'_>, text: &[u8], path: &str, properties: &mut Vec<(String, String)>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match node.kind() {
        "object" => {
            let mut cursor = node.walk();
            for property in node.named_children(&mut cursor).filter(|child| child.kind() == "object_property") {
                let (Some(key), Some(value)) = (property.named_child(0), property.named_child(1)) else { continue };
                flatten(value, text, &below(content(key, text).trim_matches('\'')), properties);
            }
            properties.push((path.to_owned(), content(node, text)));
        }
        "array" => {
            let mut cursor = node.walk();
            for (at, element) in node.named_children(&mut cursor).enumerate() {
                flatten(element, text, &below(&at.to_string()), properties);
            }
            properties.push((path.to_owned(), content(node, text)));
        }
        _ => properties.push((path.to_owned(), content(node, text))),
    }
}

fn first_name(node: Node<'_>, text: &[u8]) -> String {
    node.named_child(0).map(|name| content(name, text)).unwrap_or_default()
}

/// The first node of this kind below, not into nested declarations' own.
fn descendant<'tree>(node: Node<'tree>, kind: &str) -> Option<Node<'tree>> {
    let mut cursor = node.walk();
    let children: Vec<Node<'tree>> = node.named_children(&mut cursor).collect();
    children.iter().find(|child| child.kind() == kind).copied().or_else(|| {
        children
            .into_iter()
            .filter(|child| child.kind() == "if_statement" || child.kind() == "for_statement")
            .find_map(|child| descendant(child, kind))
    })
}

fn unquoted(node: Node<'_>, text: &[u8]) -> String {
    content(node, text).trim_matches('\'').to_owned()
}

fn content(node: Node<'_>, text: &[u8]) -> String {
    node.utf8_text(text).unwrap_or_default().to_owned()
}
