//! What the grammar names, in words.

use super::Rule;

/// What can be a party.
const PARTY: &str =
    "labels, `pods`, `any`, `group …`, `the internet`, `world`, `entity …`, `dns …` or `cidr …`";

/// The word that a rule stands for, if it stands for one.
pub(super) const fn keyword(rule: Rule) -> Option<&'static str> {
    Some(match rule {
        Rule::deny => "deny",
        Rule::allow => "allow",
        Rule::pass => "pass",
        Rule::from => "from",
        Rule::to => "to",
        Rule::on | Rule::services => "on",
        Rule::or => "or",
        Rule::except | Rule::excepted => "except",
        Rule::must | Rule::must_reach | Rule::never_reach => "must",
        Rule::may | Rule::may_reach | Rule::may_only | Rule::modal => "may",
        Rule::not => "not",
        Rule::never => "never",
        Rule::reach => "reach",
        Rule::only | Rule::bounded => "only",
        Rule::nobody => "nobody",
        Rule::but => "but",
        Rule::group => "group",
        Rule::guarding => "guard",
        Rule::expect => "expect",
        Rule::failure => "failure",
        Rule::with | Rule::request => "with",
        Rule::through | Rule::hops => "through",
        Rule::number => "number",
        Rule::of => "of",
        Rule::at => "at",
        Rule::most => "most",
        Rule::hop => "hops",
        Rule::policies => "policies",
        Rule::clusterwide => "cluster-wide",
        Rule::keyword_http | Rule::http => "http",
        Rule::keyword_tls | Rule::hello => "tls",
        Rule::query => "dns",
        Rule::keyword_host => "host",
        _ => return None,
    })
}

fn phrase(rule: Rule) -> Option<&'static str> {
    Some(match rule {
        Rule::colon => "`:`",
        Rule::equals => "`=`",
        Rule::EOI => "the end of the line",
        Rule::source
        | Rule::destination
        | Rule::end
        | Rule::party
        | Rule::labels
        | Rule::anyone
        | Rule::any
        | Rule::short
        | Rule::cidr
        | Rule::entity
        | Rule::dns
        | Rule::grouped
        | Rule::internet
        | Rule::the_internet
        | Rule::pods
        | Rule::keyword_pods
        | Rule::keyword_group
        | Rule::keyword_dns
        | Rule::keyword_cidr
        | Rule::keyword_entity => PARTY,
        Rule::requirement
        | Rule::absent
        | Rule::set
        | Rule::compared
        | Rule::present
        | Rule::key => "a label",
        Rule::value => "a label's value",
        Rule::sign | Rule::member | Rule::comparison => "a comparison such as `=`",
        Rule::namespaces
        | Rule::in_namespace
        | Rule::in_namespaces
        | Rule::labelled
        | Rule::nearby
        | Rule::within => "`in namespace …`",
        Rule::keyword_labelled => "`labelled …`",
        Rule::inventory | Rule::in_inventory => "`in inventory`",
        Rule::name => "a name",
        Rule::pattern => "a DNS name",
        Rule::address => "an address prefix such as `10.0.0.0/8`",
        Rule::service | Rule::protocol => "a protocol such as `tcp/443`",
        Rule::all_but => "`all but`",
        Rule::ports => "a port",
        Rule::method => "a method such as `GET`, or `*`",
        Rule::path => "a path such as `/orders/*`",
        Rule::authority => "a host's name",
        Rule::count => "a number",
        Rule::act | Rule::speaks | Rule::select | Rule::selects | Rule::forbidden | Rule::limit => {
            "`allow`, `deny`, `pass` or `select`"
        }
        Rule::authors => "`policies`",
        Rule::statement
        | Rule::definition
        | Rule::guard
        | Rule::expected
        | Rule::sentence
        | Rule::denied
        | Rule::allowed
        | Rule::only_these
        | Rule::reaches => "a statement",
        _ => return None,
    })
}

/// A list of what could stand here, each said once.
pub(super) fn expected(rules: &[Rule]) -> String {
    let mut parts: Vec<String> = Vec::new();
    for rule in rules {
        let part = keyword(*rule).map(|word| format!("`{word}`"));
        let Some(part) = part.or_else(|| phrase(*rule).map(str::to_owned)) else {
            continue;
        };
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    // Labels are part of what an end can be, and after `cidr` nothing but a prefix is meant.
    let has = |wanted: &str| parts.iter().any(|part| part.starts_with(wanted));
    if has("an address") {
        parts.retain(|part| part.starts_with("an address"));
    } else if has("labels") {
        parts.retain(|part| part != "a label");
    }
    parts.sort_by_key(|part| part.starts_with("the end"));
    match parts.as_slice() {
        [] => "`,` or `)`".to_owned(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}
