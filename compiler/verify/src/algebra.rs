//! Set algebra on selectors, prefixes and ports: what needs no solver.
//!
//! "May meet" answers err on the side of yes; "impossible" answers are exact reasons.

/// Which rules match all that another matches.
mod contain;
/// Which kinds of peers there are, and their reserved labels.
pub(crate) mod kind;
/// Which rules can concern one flow.
pub(crate) mod overlap;
/// Prefixes minus exceptions.
pub(crate) mod prefix;
/// Which pods and reserved identities a selector can match.
pub(crate) mod selector;
/// Rules by subject, and which subjects may be one endpoint.
mod subjects;
/// Sets of label values.
pub(crate) mod values;
