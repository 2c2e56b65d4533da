//! Statements as they were written.

use policyc_diag::{Span, Spanned};

/// One line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// `group NAME = END`.
    Group(Group),
    /// Who must, may or must not reach whom.
    Intent(Box<Intent>),
    /// What policies may not say.
    Guard(Box<Guard>),
}

/// `group NAME = END`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: Spanned<String>,
    /// What it stands for.
    pub end: Spanned<End>,
}

/// Who must, may or must not reach whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// The statement as written, without comment.
    pub text: Spanned<String>,
    /// `expect failure:` stands before it.
    pub fails: bool,
    /// What is claimed.
    pub claim: Claim,
    /// Who opens connections.
    pub from: Spanned<End>,
    /// Who they go to.
    pub to: Spanned<End>,
    /// On what; every protocol and port if `None`.
    pub services: Option<Spanned<Services>>,
    /// What is asked once connected.
    pub request: Option<Spanned<Request>>,
    /// `through …`.
    pub hops: Option<Spanned<Hops>>,
    /// `in inventory`.
    pub inventory: Option<Span>,
}

/// What an intent claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// `deny from A to B`, `A must not reach B`.
    Never,
    /// `allow from A to B`, `A must reach B`.
    Must,
    /// `A may reach B`.
    May,
    /// `only A may reach B`, `nobody but A may reach B`.
    OnlyFrom,
    /// `A may reach only B`.
    OnlyTo,
}

/// How many connections in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hops {
    /// At most this many.
    AtMost(u32),
    /// Any number.
    Any,
}

/// One end of an intent: some parties, and those of them that are not meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// Alternatives, at least one.
    pub parties: Vec<Spanned<Party>>,
    /// `except …`.
    pub except: Vec<Spanned<Party>>,
}

/// One alternative of an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Party {
    /// `any`.
    Any,
    /// Label requirements; none for `any in namespace NAME`.
    Pods {
        /// All of them must hold.
        requirements: Vec<Requirement>,
        /// `in …`.
        scope: Option<Scope>,
    },
    /// `entity NAME`, `world` or `host`.
    Entity(String),
    /// `cidr PREFIX`.
    Cidr(String),
    /// `the internet`.
    Internet,
    /// `dns NAME`.
    Dns(String),
    /// `group NAME`.
    Group(String),
}

/// The namespaces that pods are in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// `in namespace NAME`, `in namespaces (NAME, …)`.
    Named(Vec<String>),
    /// `in namespaces labelled …`.
    Labelled(Vec<Requirement>),
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

/// `on …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Services {
    /// `on all but …`: every other one is meant.
    pub except: bool,
    /// The list.
    pub list: Vec<Spanned<Service>>,
}

/// `protocol[/ports]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// The protocol as written.
    pub protocol: String,
    /// A number, a range or a name, as written.
    pub ports: Option<String>,
}

/// `with …`; texts may have `*` in them, which stands for anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// `http METHOD [PATH] [host HOST]`.
    Http {
        /// The method, `*` for any.
        method: String,
        /// The path; any if `None`.
        path: Option<String>,
        /// The authority; any if `None`.
        host: Option<String>,
    },
    /// `dns NAME`.
    Dns(String),
    /// `tls NAME`.
    Tls(String),
}

/// `guard NAME: policies … may not …` or `… may only …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// The statement as written, without comment.
    pub text: Spanned<String>,
    /// Its name.
    pub name: String,
    /// Whose policies.
    pub authors: Authors,
    /// Whether everything else is forbidden (`may only`) instead of this (`may not`).
    pub only: bool,
    /// What it is about.
    pub act: Spanned<Act>,
    /// Who opens connections.
    pub from: Option<Spanned<End>>,
    /// Who they go to; for `select`, who is selected.
    pub to: Option<Spanned<End>>,
    /// On what; every protocol and port if `None`.
    pub services: Option<Spanned<Services>>,
}

/// Whose policies a guard is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authors {
    /// Only those that are in no namespace.
    pub clusterwide: bool,
    /// Only those in these namespaces, or in none of them.
    pub namespaces: Option<(bool, Vec<String>)>,
}

/// What policies do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// `allow`.
    Allow,
    /// `deny`.
    Deny,
    /// `pass`.
    Pass,
    /// `select`.
    Select,
}
