//! Layer 7 of a verdict as JSON.

use policyc_ir::fqdn::Fqdn;
use policyc_ir::l7::{Content, HeaderMatch, Http, Kafka};
use policyc_ir::model::Redirect;
use serde_json::{Map, Value, json};

/// Where a connection goes, and what the proxy looks at.
pub(crate) fn redirect(redirect: &Redirect) -> Value {
    let mut object = Map::new();
    object.insert("parser".to_owned(), redirect.parser.name().into());
    let plain = redirect.plain.into();
    object.insert("plain_allow_also_matches".to_owned(), plain);
    let l7 = &redirect.l7;
    if let Some(listener) = &l7.listener {
        object.insert("listener".to_owned(), (*listener.name).into());
    }
    if !l7.server_names.is_empty() {
        object.insert("server_names".to_owned(), json!(l7.server_names));
    }
    let (name, rules) = match &l7.content {
        Content::None => return Value::Object(object),
        Content::Http(rules) => ("http", rules.iter().map(http).collect()),
        Content::Dns(names) => ("dns", names.iter().map(dns).collect()),
        Content::Kafka(rules) => ("kafka", rules.iter().map(kafka).collect()),
        Content::Generic(generic) => {
            object.insert("l7proto".to_owned(), (*generic.protocol).into());
            let rules = generic.rules.iter();
            let rules = rules.map(|pairs| {
                fields(
                    pairs
                        .iter()
                        .map(|(key, value)| (&**key, Some(json!(value)))),
                )
            });
            ("l7", rules.collect::<Vec<_>>())
        }
    };
    object.insert(name.to_owned(), sorted(rules));
    Value::Object(object)
}

/// Fields in the order in which they are written; absent ones are left out.
type Fields = Vec<(String, Value)>;

fn fields<'a>(fields: impl Iterator<Item = (&'a str, Option<Value>)>) -> Fields {
    fields
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}

/// Rules have no order of their own: they are sorted by their text, so that equal sets read the same.
fn sorted(rules: Vec<Fields>) -> Value {
    let text = |fields: &Fields| {
        let fields = fields
            .iter()
            .map(|(name, value)| format!("\"{name}\":{value}"));
        format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
    };
    let mut rules: Vec<_> = rules
        .into_iter()
        .map(|fields| (text(fields.as_ref()), fields))
        .collect();
    rules.sort_by(|left, right| left.0.cmp(&right.0));
    let rules = rules
        .into_iter()
        .map(|(_, fields)| Value::Object(fields.into_iter().collect()));
    rules.collect()
}

fn text(text: Option<&std::sync::Arc<str>>) -> Option<Value> {
    text.map(|text| json!(text))
}

fn http(rule: &Http) -> Fields {
    let headers = (!rule.headers.is_empty()).then(|| json!(rule.headers));
    let matches: Vec<_> = rule.header_matches.iter().map(header).collect();
    fields(
        [
            ("path", text(rule.path.as_ref())),
            ("method", text(rule.method.as_ref())),
            ("host", text(rule.host.as_ref())),
            ("headers", headers),
            (
                "headerMatches",
                (!matches.is_empty()).then(|| json!(matches)),
            ),
        ]
        .into_iter(),
    )
}

fn header(header: &HeaderMatch) -> Value {
    let secret = header.secret.as_ref().map(|(namespace, name)| {
        let namespace = Some(namespace).filter(|namespace| !namespace.is_empty());
        let parts = [("namespace", namespace), ("name", Some(name))];
        let parts = parts
            .into_iter()
            .map(|(key, value)| (key, value.map(|value| json!(value))));
        Value::Object(fields(parts).into_iter().collect())
    });
    let parts = [
        ("mismatch", text(header.mismatch.as_ref())),
        ("name", Some(json!(header.name))),
        ("secret", secret),
        ("value", text(header.value.as_ref())),
    ];
    Value::Object(fields(parts.into_iter()).into_iter().collect())
}

fn dns(name: &Fqdn) -> Fields {
    fields(
        [
            ("matchName", text(name.name.as_ref())),
            ("matchPattern", text(name.pattern.as_ref())),
        ]
        .into_iter(),
    )
}

fn kafka(rule: &Kafka) -> Fields {
    fields(
        [
            ("role", text(rule.role.as_ref())),
            ("apiKey", text(rule.api_key.as_ref())),
            ("apiVersion", text(rule.api_version.as_ref())),
            ("clientID", text(rule.client.as_ref())),
            ("topic", text(rule.topic.as_ref())),
        ]
        .into_iter(),
    )
}
