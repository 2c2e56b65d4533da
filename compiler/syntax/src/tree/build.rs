//! From parser events to a tree.

use std::borrow::Cow;
use std::collections::BTreeMap;

use policyc_diag::{Diagnostic, Span, Spanned, codes};
use saphyr_parser::{Event, Parser, ScalarStyle, Span as Marks, Tag};

use super::place::Places;
use super::{Entry, Node, Scalar, Trees, Value, limits};
use crate::stream::Slice;

/// Merging mappings (`<<`) and refusing repeated keys.
mod mapping;

/// Reads one slice. After a syntax error or a limit, what is left of the slice is not read.
pub(crate) fn parse<'s>(slice: &Slice<'s>) -> Trees<'s> {
    let places = Places::new(*slice);
    let mut trees = Trees::default();
    if let Some(fault) = binary(slice, &places) {
        trees.diagnostics.push(fault);
        return trees;
    }
    let mut builder = Builder {
        places,
        stack: Vec::new(),
        anchors: BTreeMap::new(),
        nodes: 0,
        trees,
    };
    if let Err(fault) = builder.run(slice.text) {
        let template = slice.text.contains("{{");
        let help = template.then(|| "this looks like a template: render it first".to_owned());
        builder.trees.diagnostics.push(fault.maybe_help(help));
    }
    builder.trees
}

/// Control characters are not text. The parser would take a NUL for the end and ignore what follows.
fn binary(slice: &Slice<'_>, places: &Places<'_>) -> Option<Diagnostic> {
    let control =
        |byte: u8| (byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r')) || byte == 0x7f;
    let at = slice.text.bytes().position(control)?;
    let byte = slice.text.as_bytes().get(at).copied().unwrap_or(0);
    let message = format!("a control character (0x{byte:02x}) is not allowed in YAML");
    Some(
        Diagnostic::new(codes::YAML_SYNTAX, message).label(places.absolute(at, at + 1), "not text"),
    )
}

/// Size of a value with all its parts.
#[derive(Clone, Copy, Debug, Default)]
struct Size {
    nodes: usize,
    height: usize,
}

/// A list or mapping whose end has not been read.
struct Frame<'s> {
    start: Marks,
    anchor: usize,
    size: Size,
    body: Body<'s>,
}

enum Body<'s> {
    Sequence(Vec<Node<'s>>),
    Mapping {
        entries: Vec<Entry<'s>>,
        merged: Vec<Node<'s>>,
        key: Option<Key<'s>>,
    },
}

enum Key<'s> {
    Plain(Spanned<Cow<'s, str>>),
    /// `<<`, at its place.
    Merge(Span),
}

struct Builder<'s> {
    places: Places<'s>,
    stack: Vec<Frame<'s>>,
    anchors: BTreeMap<usize, (Node<'s>, Size)>,
    nodes: usize,
    trees: Trees<'s>,
}

impl<'s> Builder<'s> {
    fn run(&mut self, text: &'s str) -> Result<(), Diagnostic> {
        let mut parser = Parser::new_from_str(text);
        while let Some(next) = parser.next_event() {
            let (event, marks) = next.map_err(|error| {
                let place = self.places.character(*error.marker());
                // The parser's own limit on flow collections; it looks ahead of our count.
                if error.info().contains("recursion limit") {
                    return too_deep(place);
                }
                syntax(error.info(), place)
            })?;
            if matches!(event, Event::StreamEnd) {
                break;
            }
            self.event(event, marks)?;
        }
        Ok(())
    }

    fn event(&mut self, event: Event<'s>, marks: Marks) -> Result<(), Diagnostic> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.scalar(text, style, anchor, tag.as_deref(), marks)
            }
            Event::Alias(id) => self.alias(id, marks),
            Event::SequenceStart(anchor, _) => self.open(Body::Sequence(Vec::new()), anchor, marks),
            Event::MappingStart(anchor, _) => self.open(
                Body::Mapping {
                    entries: Vec::new(),
                    merged: Vec::new(),
                    key: None,
                },
                anchor,
                marks,
            ),
            Event::SequenceEnd | Event::MappingEnd => self.close(marks),
            Event::DocumentStart(_) => {
                self.nodes = 0;
                self.anchors.clear();
                Ok(())
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    fn scalar(
        &mut self,
        text: Cow<'s, str>,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        marks: Marks,
    ) -> Result<(), Diagnostic> {
        let span = self.places.between(marks.start, marks.end);
        let size = Size {
            nodes: 1 + text.len() / limits::TEXT_UNIT,
            height: 0,
        };
        self.count(size.nodes, span)?;
        let missing = marks.is_empty() && style == ScalarStyle::Plain;
        let merge = style == ScalarStyle::Plain && &*text == "<<";
        let text_tag = tag.is_some_and(|tag| {
            (tag.is_yaml_core_schema() && tag.suffix == "str") || tag.suffix.is_empty()
        });
        let scalar = if missing && !text_tag {
            Scalar::Null
        } else if style == ScalarStyle::Plain && !text_tag {
            Scalar::plain(text)
        } else {
            Scalar::Text(text)
        };
        if merge
            && let Some(Frame {
                body: Body::Mapping {
                    key: key @ None, ..
                },
                ..
            }) = self.stack.last_mut()
        {
            *key = Some(Key::Merge(span));
            return Ok(());
        }
        self.add(
            Node {
                span,
                value: Value::Scalar(scalar),
            },
            size,
            anchor,
            missing,
        )
    }

    fn alias(&mut self, id: usize, marks: Marks) -> Result<(), Diagnostic> {
        let span = self.places.between(marks.start, marks.end);
        let Some((node, size)) = self
            .anchors
            .get(&id)
            .map(|(node, size)| (node.value.clone(), *size))
        else {
            // The parser knows the name, but the anchored value is still open: it would contain itself.
            let message = "an alias inside the value it stands for";
            return Err(
                Diagnostic::new(codes::YAML_SYNTAX, message).label(span, "not defined yet here")
            );
        };
        self.count(size.nodes, span)?;
        if self.stack.len() + size.height > limits::DEPTH {
            return Err(too_deep(span));
        }
        self.add(Node { span, value: node }, size, 0, false)
    }

    fn open(&mut self, body: Body<'s>, anchor: usize, marks: Marks) -> Result<(), Diagnostic> {
        let span = self.places.character(marks.start);
        self.count(1, span)?;
        if self.wants_key() {
            let message = "a key must be a scalar, not a list or a mapping";
            return Err(Diagnostic::new(codes::YAML_SYNTAX, message).label(span, ""));
        }
        if self.stack.len() >= limits::DEPTH {
            return Err(too_deep(span));
        }
        self.stack.push(Frame {
            start: marks,
            anchor,
            size: Size {
                nodes: 1,
                height: 0,
            },
            body,
        });
        Ok(())
    }

    fn close(&mut self, marks: Marks) -> Result<(), Diagnostic> {
        let Some(frame) = self.stack.pop() else {
            return Ok(());
        };
        let start = self.places.between(frame.start.start, frame.start.end);
        // Only a flow collection's end mark is a character; a block's is wherever the next token starts.
        let end = if marks.is_empty() {
            frame.body.last()
        } else {
            Some(self.places.between(marks.start, marks.end))
        };
        let span = end.map_or(start, |end| Span {
            end: end.end.max(start.end),
            ..start
        });
        let value = match frame.body {
            Body::Sequence(items) => Value::Sequence(items.into()),
            Body::Mapping {
                entries, merged, ..
            } => Value::Mapping(
                mapping::finish(entries, &merged, &mut self.trees.diagnostics).into(),
            ),
        };
        self.add(Node { span, value }, frame.size, frame.anchor, false)
    }

    /// Puts a finished value where it belongs. A `missing` value takes its key's place.
    fn add(
        &mut self,
        mut node: Node<'s>,
        size: Size,
        anchor: usize,
        missing: bool,
    ) -> Result<(), Diagnostic> {
        let Some(frame) = self.stack.last_mut() else {
            self.trees.roots.push(node);
            return Ok(());
        };
        frame.size.nodes += size.nodes;
        frame.size.height = frame.size.height.max(size.height + 1);
        if missing
            && let Body::Mapping {
                key: Some(Key::Plain(key)),
                ..
            } = &frame.body
        {
            node.span = key.span;
        }
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), size));
        }
        match &mut frame.body {
            Body::Sequence(items) => items.push(node),
            Body::Mapping {
                entries,
                merged,
                key,
            } => match key.take() {
                Some(Key::Plain(key)) => entries.push(Entry { key, value: node }),
                Some(Key::Merge(_)) => mapping::merge(node, merged)?,
                None => *key = Some(Key::Plain(plain_key(node)?)),
            },
        }
        Ok(())
    }

    fn wants_key(&self) -> bool {
        matches!(
            self.stack.last(),
            Some(Frame {
                body: Body::Mapping { key: None, .. },
                ..
            })
        )
    }

    fn count(&mut self, nodes: usize, span: Span) -> Result<(), Diagnostic> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes <= limits::NODES {
            return Ok(());
        }
        let message = format!(
            "the document has more than {} values, aliases expanded",
            limits::NODES
        );
        Err(Diagnostic::new(codes::INPUT_LIMIT, message).label(span, "the limit is passed here"))
    }
}

impl Body<'_> {
    /// Where the last part ends.
    fn last(&self) -> Option<Span> {
        match self {
            Self::Sequence(items) => items.last().map(|node| node.span),
            Self::Mapping { entries, key, .. } => {
                let merge = match key {
                    Some(Key::Merge(span)) => Some(*span),
                    _ => None,
                };
                merge.or_else(|| {
                    entries
                        .last()
                        .map(|entry| entry.key.span.join(entry.value.span))
                })
            }
        }
    }
}

fn plain_key(node: Node<'_>) -> Result<Spanned<Cow<'_, str>>, Diagnostic> {
    let span = node.span;
    let key = match node.value {
        Value::Scalar(scalar) => scalar.into_key(),
        Value::Sequence(_) | Value::Mapping(_) => None,
    };
    let fault = || Diagnostic::new(codes::YAML_SYNTAX, "a key must be text").label(span, "");
    key.map(|key| Spanned::new(key, span)).ok_or_else(fault)
}

/// A syntax error. The parser's commonest message says what it looked for, not what is wrong.
fn syntax(reason: &str, place: Span) -> Diagnostic {
    let reason = match reason {
        "simple key expect ':'" | "simple key expected" => {
            "a line that is neither a key with `:` nor a list element"
        }
        "while parsing node, found unknown anchor" => "an alias of an anchor that does not exist",
        other => other,
    };
    Diagnostic::new(codes::YAML_SYNTAX, format!("not YAML: {reason}"))
        .label(place, "the text cannot be read from here on")
}

fn too_deep(span: Span) -> Diagnostic {
    let message = format!("values are nested deeper than {} levels", limits::DEPTH);
    Diagnostic::new(codes::INPUT_LIMIT, message).label(span, "the limit is passed here")
}
