//! The table of all codes, and what each one means.
//!
//! Numbers: E01xx syntax, E02xx validation, E03xx resolution, E04xx verification, E05xx lowering and limits, W1xxx
//! lints, I9xxx internal. A number or name, once released, is never given to something else.
#![expect(
    clippy::zero_prefixed_literal,
    reason = "codes are written with the four digits people see"
)]

use crate::diagnostic::Severity;

/// A stable code: compare and print it, match on the constants of this module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(u16);

/// What the table holds of a code.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The code.
    pub code: Code,
    /// Number as shown, e.g. `E0101`.
    pub number: &'static str,
    /// Name as shown, e.g. `unknown-field`.
    pub name: &'static str,
    /// Severity unless a finding says otherwise.
    pub severity: Severity,
    /// First version that has it.
    pub since: &'static str,
    /// One line for lists and SARIF.
    pub summary: &'static str,
    /// The page that `policyc explain` shows.
    pub page: &'static str,
}

macro_rules! codes {
    ($($ident:ident $digits:literal $prefix:literal $name:literal $severity:ident $since:literal $summary:literal;)*) => {
        $(
            #[doc = concat!("`", $prefix, stringify!($digits), "` ", $name, ": ", $summary, ".")]
            pub const $ident: Code = Code($digits);
        )*
        /// All codes, by number.
        pub const TABLE: &[Entry] = &[$(Entry {
            code: $ident,
            number: concat!($prefix, stringify!($digits)),
            name: $name,
            severity: Severity::$severity,
            since: $since,
            summary: $summary,
            page: include_str!(concat!("../../../docs/diagnostics/", $prefix, stringify!($digits), ".md")),
        }),*];
    };
}

impl Code {
    /// This code's row of [`TABLE`].
    pub fn entry(self) -> &'static Entry {
        // Codes are made only by the table's macro, so one is always found; the first row is never reached.
        TABLE
            .iter()
            .find(|entry| entry.code == self)
            .unwrap_or(&INTERNAL)
    }

    /// Severity unless a finding says otherwise.
    pub fn severity(self) -> Severity {
        self.entry().severity
    }

    /// The code of a number (`E0101`) or a name (`unknown-field`), case apart.
    pub fn parse(text: &str) -> Option<Self> {
        let same = |entry: &&Entry| {
            entry.number.eq_ignore_ascii_case(text) || entry.name.eq_ignore_ascii_case(text)
        };
        TABLE.iter().find(same).map(|entry| entry.code)
    }
}

const INTERNAL: Entry = Entry {
    code: Code(0),
    number: "I9000",
    name: "unlisted",
    severity: Severity::Error,
    since: "0.1.0",
    summary: "a code that is not in the table",
    page: "",
};

codes! {
    UNREADABLE_INPUT 0100 "E" "unreadable-input" Error "0.1.0" "a file cannot be read, is not text, or is too large";
    UNKNOWN_FIELD 0101 "E" "unknown-field" Error "0.1.0" "a field that the object does not have";
    DUPLICATE_KEY 0102 "E" "duplicate-key" Error "0.1.0" "a key that stands twice in one mapping";
    YAML_SYNTAX 0103 "E" "yaml-syntax" Error "0.1.0" "text that is not YAML";
    WRONG_TYPE 0104 "E" "wrong-type" Error "0.1.0" "a value of another type than the field takes";
    MISSING_FIELD 0105 "E" "missing-field" Error "0.1.0" "a field that must be present";
    INPUT_LIMIT 0106 "E" "input-limit" Error "0.1.0" "nesting, size or aliases beyond the limits";
    UNKNOWN_KIND 0107 "E" "unknown-kind" Error "0.1.0" "a document that is no policy this tool knows";
    INTENT_SYNTAX 0110 "E" "intent-syntax" Error "0.1.0" "an intent that cannot be parsed";
    INTENT_GROUP 0111 "E" "intent-group" Error "0.1.0" "a group of parties that is not defined, or not as groups are";
    INTENT_INVENTORY 0112 "E" "intent-inventory" Error "0.1.0" "an intent that only an inventory can answer";
    EMPTY_POLICY 0201 "E" "empty-policy" Error "0.1.0" "a policy with neither `spec` nor `specs`";
    SUBJECT_SELECTOR 0202 "E" "subject-selector" Error "0.1.0" "a rule with no subject selector, or with two";
    NODE_SELECTOR_IN_CNP 0203 "E" "node-selector-in-cnp" Error "0.1.0" "a `nodeSelector` in a namespaced policy";
    NO_RULES 0204 "E" "no-rules" Error "0.1.0" "a rule without a non-empty section";
    COMBINED_PEERS 0205 "E" "combined-peers" Error "0.1.0" "two kinds of peers in one rule entry";
    INVALID_SELECTOR 0206 "E" "invalid-selector" Error "0.1.0" "a selector operator or its values are wrong";
    INVALID_LABEL 0207 "E" "invalid-label" Error "0.1.0" "a label key or value that Kubernetes does not allow";
    INVALID_PORT 0208 "E" "invalid-port" Error "0.1.0" "a port that is neither a number nor a name";
    INVALID_PROTOCOL 0209 "E" "invalid-protocol" Error "0.1.0" "a protocol that policies cannot name";
    TOO_MANY_ITEMS 0210 "E" "too-many-items" Error "0.1.0" "a list longer than Cilium accepts";
    PORTS_AND_ICMPS 0211 "E" "ports-and-icmps" Error "0.1.0" "`toPorts` and `icmps` in one rule entry";
    INVALID_ICMP 0212 "E" "invalid-icmp" Error "0.1.0" "an ICMP family or type that does not exist";
    INVALID_CIDR 0213 "E" "invalid-cidr" Error "0.1.0" "text that is no address prefix";
    EXCEPT_OUTSIDE 0214 "E" "except-outside-cidr" Error "0.1.0" "an `except` that lies outside its `cidr`";
    CIDR_CHOICE 0215 "E" "cidr-choice" Error "0.1.0" "a CIDR rule without exactly one source of prefixes";
    UNKNOWN_ENTITY 0216 "E" "unknown-entity" Error "0.1.0" "an entity that Cilium does not know";
    INVALID_NAME 0217 "E" "invalid-name" Error "0.1.0" "a missing or malformed object name or namespace";
    INVALID_PEER 0218 "E" "invalid-peer" Error "0.1.0" "a peer of a Kubernetes policy with no or conflicting members";
    L7_PROTOCOL 0219 "E" "l7-protocol" Error "0.1.0" "layer 7 rules where Cilium does not take them";
    INVALID_VALUE 0220 "E" "invalid-value" Error "0.1.0" "a value outside the set that the field takes";
    FEATURE_DISABLED 0221 "E" "feature-disabled" Error "0.1.0" "a field or a kind of policy that a cluster setting switches off";
    REMOVED_FIELD 0222 "E" "removed-field" Error "0.1.0" "a field that this version of Cilium no longer has";
    NEWER_FIELD 0223 "E" "newer-field" Error "0.1.0" "something that this version of Cilium does not take yet";
    NOT_SUPPORTED 0290 "E" "not-supported-yet" Error "0.1.0" "valid for Cilium, not yet compiled by this tool";
    INVALID_INVENTORY 0301 "E" "invalid-inventory" Error "0.1.0" "an inventory object that cannot be used";
    DUPLICATE_OBJECT 0302 "E" "duplicate-object" Error "0.1.0" "two objects of one kind with one name";
    INVALID_FLOW 0303 "E" "invalid-flow" Error "0.1.0" "a flow that names nothing in the inventory";
    OPEN_SERVICE 0304 "E" "open-service" Error "0.1.0" "a service that does not exist, so that the rule speaks of everyone";
    CONFLICTING_RULES 0305 "E" "conflicting-rules" Error "0.1.0" "rules that exclude each other, so that their subjects have no policy";
    CLUSTER_CONFIG 0310 "E" "cluster-config" Error "0.1.0" "cluster settings that cannot be read";
    SETTING_NOT_MODELLED 0311 "E" "setting-not-modelled" Error "0.1.0" "a cluster setting that changes what policies mean in a way this tool does not model";
    INTENT_VIOLATED 0401 "E" "intent-violated" Error "0.1.0" "an intent that does not hold for every possible flow";
    UNDECIDED 0402 "E" "undecided" Error "0.1.0" "a question that the solver did not answer within its limits";
    EXPECTED_FAILURE 0403 "E" "expected-failure-holds" Error "0.1.0" "an intent that was expected to fail and holds";
    GUARD_VIOLATED 0404 "E" "guard-violated" Error "0.1.0" "a policy that does what a guard forbids";
    TABLE_LIMIT 0501 "E" "table-limit" Error "0.1.0" "tables that do not fit the maps of the datapath";
    POD_RANGES 0502 "E" "pod-ranges-unknown" Error "0.1.0" "no pod address ranges, so unknown pods would count as world";
    OBJECT_MISMATCH 0503 "E" "object-mismatch" Error "0.1.0" "an eBPF object whose maps have other shapes";
    SELF_CHECK 0504 "E" "self-check-failed" Error "0.1.0" "tables that decide otherwise than the model";
    POLICY_MAP_OVERFLOW 0505 "E" "policy-map-overflow" Error "0.1.0" "an endpoint with more entries than Cilium's policy map has room for";
    IMPOSSIBLE_SELECTOR 1001 "W" "impossible-selector" Warning "0.1.0" "a selector that no possible pod or peer can match";
    SHADOWED_RULE 1002 "W" "shadowed-rule" Warning "0.1.0" "a rule that can never matter, because others cover it";
    DENIED_RULE 1003 "W" "denied-rule" Warning "0.1.0" "an allow that can never matter, because denies defeat it";
    ALLOW_DENY_OVERLAP 1004 "W" "allow-deny-overlap" Note "0.1.0" "an allow that a deny defeats for part of its flows";
    SELECTS_NO_POD 1005 "W" "selects-no-pod" Warning "0.1.0" "a policy that selects nothing in the inventory";
    DANGLING_PEER 1006 "W" "dangling-peer" Warning "0.1.0" "a peer selector that matches nothing in the inventory";
    POINTLESS_L7 1007 "W" "pointless-l7" Warning "0.1.0" "layer 7 rules that refuse nothing, because a plain allow lets the same connections through";
    DUPLICATE_RULE 1008 "W" "duplicate-rule" Warning "0.1.0" "a rule that says the same as another";
    ICMP_TYPE_ZERO 1010 "W" "icmp-type-zero" Warning "0.1.0" "an ICMP echo reply rule that covers every ICMP type";
    PORT_ZERO_RANGE 1011 "W" "port-zero-range" Warning "0.1.0" "a range from port 0, which means every port";
    END_PORT_BELOW 1012 "W" "end-port-below-port" Warning "0.1.0" "an `endPort` below `port`, which is ignored";
    EMPTY_MATCH 1013 "W" "empty-match" Warning "0.1.0" "a peer or port list that matches nothing";
    PORT_NOTATION 1014 "W" "port-notation" Warning "0.1.0" "a port in octal or with separators";
    UNLISTED_DIRECTION 1015 "W" "unlisted-direction" Warning "0.1.0" "NetworkPolicy rules in a direction that `policyTypes` leaves out";
    DENY_ONLY 1016 "W" "deny-only-default-deny" Note "0.1.0" "denies alone also switch on default deny";
    MIXED_SERVICE 1020 "W" "mixed-service" Warning "0.1.0" "a service whose backends a policy tells apart";
    SETTING_BESIDE 1030 "W" "setting-beside-policies" Note "0.1.0" "a cluster setting that decides about packets beside policies";
    POLICY_MAP_PRESSURE 1040 "W" "policy-map-pressure" Warning "0.1.0" "an endpoint whose entries nearly fill Cilium's policy map";
    AUTH_NEVER_GIVEN 1042 "W" "authentication-never-given" Warning "0.1.0" "a rule that demands authentication, which policyd cannot give";
    NO_PROXY 1043 "W" "no-proxy" Warning "0.1.0" "a rule for layer 7 or DNS names, for which policyd has no proxy";
    INTERNAL_ERROR 9001 "I" "internal-error" Error "0.1.0" "a fault in this tool";
    COUNTEREXAMPLE 9002 "I" "counterexample-not-replayed" Error "0.1.0" "a counterexample that the model does not confirm";
}
