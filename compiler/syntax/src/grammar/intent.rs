//! Statements of what must never be possible.
//!
//! The grammar is `grammar/intent.pest`. Lines are read one by one, so a fault in one hides none in another.

use policyc_diag::{Diagnostic, Source, Span, Spanned, codes};

/// Faults in plain words.
mod fault;
/// From parse pairs to the tree.
mod read;

/// Longest statement, in bytes.
const LINE_BYTES: usize = 4096;
/// Most statements of a file.
const STATEMENTS: usize = 10_000;

/// `deny from <end> to <end> [on <services>]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// The statement as written, without comment.
    pub text: Spanned<String>,
    /// Who opens connections.
    pub from: Spanned<End>,
    /// Who they go to.
    pub to: Spanned<End>,
    /// On what; every protocol and port if `None`.
    pub services: Option<Vec<Spanned<Service>>>,
}

/// One end of an intent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// `any`.
    Any,
    /// Label requirements; none for `any in namespace NAME`.
    Pods {
        /// All of them must hold.
        requirements: Vec<Requirement>,
        /// `in namespace NAME`.
        namespace: Option<String>,
    },
    /// `entity NAME`, `world` or `host`.
    Entity(String),
    /// `cidr PREFIX`.
    Cidr(String),
}

/// A requirement on a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The key as written, perhaps with its source.
    pub key: String,
    /// What is asked.
    pub test: Test,
    /// For `In` and `NotIn`.
    pub values: Vec<String>,
}

/// What a requirement asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    /// One of the values.
    In,
    /// Absent, or none of the values.
    NotIn,
    /// Present.
    Exists,
    /// Absent.
    Absent,
}

/// `protocol[/ports]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// The protocol as written.
    pub protocol: String,
    /// A number, a range or a name, as written.
    pub ports: Option<String>,
}

/// Reads a file of intents: every statement that can be read, and every fault in the others.
pub fn parse(source: &Source) -> (Vec<Intent>, Vec<Diagnostic>) {
    let (mut intents, mut faults) = (Vec::new(), Vec::new());
    let mut start = 0;
    for line in source.text.split_inclusive('\n') {
        let statement = line.split('#').next().unwrap_or("").trim_end();
        let indent = statement.len() - statement.trim_start().len();
        let place = Place {
            source,
            start: start + indent,
        };
        start += line.len();
        let statement = statement.trim_start();
        if statement.is_empty() {
            continue;
        }
        let read = if statement.len() > LINE_BYTES || intents.len() >= STATEMENTS {
            Err(limit(place, statement))
        } else {
            read::statement(place, statement)
        };
        match read {
            Ok(intent) => intents.push(intent),
            Err(fault) => faults.push(fault),
        }
        if intents.len() + faults.len() > STATEMENTS {
            break;
        }
    }
    (intents, faults)
}

fn limit(place: Place<'_>, statement: &str) -> Diagnostic {
    let message =
        format!("an intent is longer than {LINE_BYTES} bytes, or there are more than {STATEMENTS}");
    Diagnostic::new(codes::INPUT_LIMIT, message).label(place.span(0, statement.len().min(40)), "")
}

/// Where a statement stands.
#[derive(Clone, Copy, Debug)]
struct Place<'a> {
    source: &'a Source,
    /// Its first byte in the file.
    start: usize,
}

impl Place<'_> {
    /// The span of some bytes of the statement.
    fn span(self, from: usize, to: usize) -> Span {
        let at = |offset: usize| u32::try_from(self.start + offset).unwrap_or(u32::MAX);
        Span::new(self.source.id, at(from), at(to))
    }
}

#[cfg(test)]
mod tests {
    use policyc_diag::SourceMap;
    use policyc_diag::render::{Format, Style, render};

    use super::*;

    fn read(text: &str) -> (Vec<Intent>, String) {
        let mut sources = SourceMap::new();
        let source = sources.add("intents", text);
        let (intents, faults) = parse(&source);
        for intent in &intents {
            assert_eq!(sources.text(intent.text.span), intent.text.value);
        }
        let shown = render(Format::Plain, &faults, &sources, Style::default());
        (intents, shown)
    }

    fn one(text: &str) -> Intent {
        let (mut intents, faults) = read(text);
        assert_eq!((intents.len(), faults.as_str()), (1, ""), "{text}");
        intents.remove(0)
    }

    fn requirement(key: &str, test: Test, values: &[&str]) -> Requirement {
        Requirement {
            key: key.to_owned(),
            test,
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        }
    }

    #[test]
    fn every_form_is_read() {
        let intent = one(
            "  deny from k8s:app=web, tier in (a, b),!old,zone!=x,run notin (y),here in namespace shop to any on tcp/80, udp # why",
        );
        let wanted = End::Pods {
            requirements: vec![
                requirement("k8s:app", Test::In, &["web"]),
                requirement("tier", Test::In, &["a", "b"]),
                requirement("old", Test::Absent, &[]),
                requirement("zone", Test::NotIn, &["x"]),
                requirement("run", Test::NotIn, &["y"]),
                requirement("here", Test::Exists, &[]),
            ],
            namespace: Some("shop".to_owned()),
        };
        assert_eq!(intent.from.value, wanted);
        assert_eq!(intent.to.value, End::Any);
        let services: Vec<_> = intent.services.into_iter().flatten().collect();
        let parts: Vec<_> = services
            .iter()
            .map(|one| (one.protocol.as_str(), one.ports.as_deref()))
            .collect();
        assert_eq!(parts, [("tcp", Some("80")), ("udp", None)]);
    }

    #[test]
    fn keywords_are_labels_where_they_are_compared() {
        for (text, key) in [
            ("world=1", "world"),
            ("any in (x)", "any"),
            ("entity!=x", "entity"),
            ("on=1", "on"),
        ] {
            let intent = one(&format!("deny from {text} to world"));
            let End::Pods { requirements, .. } = intent.from.value else {
                panic!("{text} is a label");
            };
            assert_eq!(requirements[0].key, key);
            assert_eq!(intent.to.value, End::Entity("world".to_owned()));
        }
        let intent = one("deny from any in namespace a to cidr 2001:db8::/32 on any/53");
        let namespace = Some("a".to_owned());
        let requirements = Vec::new();
        assert_eq!(
            intent.from.value,
            End::Pods {
                requirements,
                namespace
            }
        );
        assert_eq!(intent.to.value, End::Cidr("2001:db8::/32".to_owned()));
    }

    #[test]
    fn faults_say_what_was_expected_and_where() {
        let text = "deny form any to world
deny from app=web on tcp
deny from to world
deny from app=web to app in (a,b on tcp
deny from any to any on tcp/
allow from any to world
block from any to world
deyn from any to world
deny from any to world at noon
deny from cidr ten to world
";
        let (intents, faults) = read(text);
        assert_eq!(intents, []);
        insta::assert_snapshot!(faults);
    }
}
