//! Services as peers: each address of a service has an identity of its own, behind those of the universe.
//!
//! A packet that a pod sends to a service is judged before a backend is put in the service's place. Where all backends
//! of a port are decided alike, the service is decided as they are, which is exact; where they are not, it is denied,
//! and so is a port without backends. So a packet costs the same whether or not it goes to a service.
//!
//! Nobody opens connections from a service's address; towards pods it counts as unknown.

use std::collections::BTreeMap;

use policy_abi::reason::Reason as Cause;
use policyc_ir::frontend::{Frontend, Nodes, Ports};
use policyc_ir::ids::IdentityId;
use policyc_ir::model::Model;
use policyc_ir::port::Protocol;
use policyc_ir::rule::Direction;

use crate::Key;
use crate::classes::{self, Judged};
use crate::records::Record;

/// Backends that are decided differently.
const MIXED: Record = Record::drop(Cause::MixedService);
/// No backend that is known.
const NO_BACKEND: Record = Record::drop(Cause::NoBackend);

/// Index of a service's address among all identities.
pub(crate) fn identity(universe: usize, at: usize) -> u32 {
    u32::try_from(universe.saturating_add(at)).unwrap_or(u32::MAX)
}

/// Whether a table may allow some peers and deny others. If not, services are no exception.
fn is_selective(key: &Key<'_>) -> bool {
    key.direction == Direction::Egress
        && (key.enforced.default_deny || !key.enforced.rules.is_empty())
}

/// What a table says about one service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    /// At ports that are not listed.
    rest: Record,
    at: BTreeMap<(u8, u16), Record>,
}

impl Row {
    /// Puts a row together from what holds at ports with backends. `open`: the backends may be reached at any port of
    /// any protocol, so it does not matter which of them are in use.
    fn new(at: BTreeMap<(u8, u16), Record>, open: bool) -> Self {
        let mut decisions = at.values();
        let first = decisions.next().cloned();
        let alike = first.filter(|first| decisions.all(|other| other == first));
        match alike.filter(|one| open || one.is_no()) {
            // Most services are denied to most pods; these rows then are all the same.
            Some(rest) => Self {
                rest,
                at: BTreeMap::new(),
            },
            None => Self {
                rest: NO_BACKEND,
                at,
            },
        }
    }

    fn decision(&self, protocol: u8, port: u16) -> Record {
        self.at.get(&(protocol, port)).unwrap_or(&self.rest).clone()
    }
}

/// What holds for a service whose backends are decided so: the first's, if packets of all go the same way.
fn common(mut decisions: impl Iterator<Item = Record>) -> Record {
    let Some(first) = decisions.next() else {
        return NO_BACKEND;
    };
    if decisions.all(|other| other.goes_as(&first)) {
        first
    } else {
        MIXED
    }
}

/// Gives every service a class of peers in a table, and their ports classes of ports. `nodes`: where the table is used.
pub(crate) fn extend(judged: &mut Judged, key: &Key<'_>, frontends: &[Frontend], nodes: &Nodes) {
    let unknown = judged.peers.first().copied().unwrap_or(0);
    if !is_selective(key) {
        judged.peers.extend(frontends.iter().map(|_| unknown));
        return;
    }
    let mut rows: BTreeMap<Row, u32> = BTreeMap::new();
    let mut by_ports: BTreeMap<&Ports, u32> = BTreeMap::new();
    let mut classes = Vec::with_capacity(frontends.len());
    for frontend in frontends {
        let class = *by_ports.entry(&frontend.ports).or_insert_with(|| {
            let next = judged.peer_classes.saturating_add(narrow(rows.len()));
            *rows
                .entry(row(judged, &frontend.ports, nodes))
                .or_insert(next)
        });
        classes.push(class);
    }
    let mut ordered: Vec<(u32, Row)> = rows.into_iter().map(|(row, class)| (class, row)).collect();
    ordered.sort_unstable_by_key(|(class, _)| *class);
    let rows: Vec<Row> = ordered.into_iter().map(|(_, row)| row).collect();
    judged.peers.extend(classes);
    split_ports(judged, &rows);
}

/// What a table's cells for the backends make of a service.
fn row(judged: &Judged, ports: &Ports, nodes: &Nodes) -> Row {
    let mut at = BTreeMap::new();
    let mut open = true;
    for ((protocol, port), backends) in ports {
        let seen = || backends.iter().flat_map(|backend| backend.seen_from(nodes));
        let decisions = seen().map(|(peer, target)| judged.decision(peer, protocol.0, target));
        at.insert((protocol.0, *port), common(decisions));
        open = open && seen().all(|(peer, _)| judged.is_open(peer));
    }
    Row::new(at, open)
}

/// Makes room for the rows of services: classes of ports that tell their ports from others, and the cells.
fn split_ports(judged: &mut Judged, rows: &[Row]) {
    let old_width = judged.l4_classes as usize;
    let mut points: BTreeMap<(u8, u16), Vec<Record>> = BTreeMap::new();
    for (protocol, port) in rows.iter().flat_map(|row| row.at.keys()) {
        points.entry((*protocol, *port)).or_insert_with(|| {
            let column = rows.iter().map(|row| row.decision(*protocol, *port));
            column.collect()
        });
    }
    // A new class of ports: what it was among, and what services say there.
    let mut fresh: BTreeMap<(u32, Vec<Record>), u32> = BTreeMap::new();
    let mut columns: Vec<(u32, Vec<Record>)> = Vec::new();
    for ((protocol, port), column) in points {
        let Some(intervals) = judged
            .slots
            .get_mut(policy_abi::proto::slot(protocol) as usize)
        else {
            continue;
        };
        let old = class_at(intervals, port);
        let class = *fresh.entry((old, column.clone())).or_insert_with(|| {
            columns.push((old, column));
            judged
                .l4_classes
                .saturating_add(narrow(columns.len().saturating_sub(1)))
        });
        cut(intervals, port, class);
    }
    let mut cells = Vec::new();
    for old in judged.cells.chunks(old_width.max(1)) {
        cells.extend_from_slice(old);
        let more = columns.iter().map(|(class, _)| old.get(*class as usize));
        cells.extend(more.map(|cell| cell.cloned().unwrap_or(NO_BACKEND)));
    }
    for (at, row) in rows.iter().enumerate() {
        cells.extend(std::iter::repeat_n(row.rest.clone(), old_width));
        let more = columns.iter().map(|(_, column)| column.get(at));
        cells.extend(more.map(|cell| cell.cloned().unwrap_or(NO_BACKEND)));
    }
    judged.cells = cells;
    judged.peer_classes = judged.peer_classes.saturating_add(narrow(rows.len()));
    judged.l4_classes = judged.l4_classes.saturating_add(narrow(columns.len()));
}

/// Counts here stay far below this; what does not fit a table is refused when it is laid out.
fn narrow(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

pub(crate) fn class_at(intervals: &[(u16, u32)], port: u16) -> u32 {
    let at = intervals.partition_point(|(start, _)| *start <= port);
    let interval = intervals.get(at.wrapping_sub(1));
    interval.map_or(0, |(_, class)| *class)
}

/// Gives one port a class of its own.
fn cut(intervals: &mut Vec<(u16, u32)>, port: u16, class: u32) {
    let old = class_at(intervals, port);
    let next = port.checked_add(1);
    let at = intervals.partition_point(|(start, _)| *start < port);
    let behind = intervals.get(at).filter(|(start, _)| *start == port);
    let end = at + usize::from(behind.is_some());
    let has_next = intervals
        .get(end)
        .is_some_and(|(start, _)| Some(*start) == next);
    let rest = next.filter(|_| !has_next).map(|next| (next, old));
    intervals.splice(at..end, [(port, class)].into_iter().chain(rest));
}

/// What a table must say about a service, from the model and without any table.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    model: &'a Model<'a>,
    key: &'a Key<'a>,
    /// `None`: the same as about unknown addresses.
    row: Option<Row>,
}

impl Wanted<'_> {
    /// At one port.
    pub(crate) fn decision(&self, protocol: Protocol, port: u16) -> Record {
        if let Some(row) = &self.row {
            return row.decision(protocol.0, port);
        }
        let unknown = IdentityId::UNKNOWN;
        let verdict = classes::verdict(self.model, self.key, unknown, protocol, port);
        Record::new(self.model, &verdict)
    }
}

/// What the model makes of a service. `points` are all protocols and ports at which something can change.
pub(crate) fn wanted<'a>(
    model: &'a Model<'a>,
    key: &'a Key<'a>,
    ports: &Ports,
    points: &[(Protocol, u16)],
    nodes: &Nodes,
) -> Wanted<'a> {
    let row = is_selective(key).then(|| wanted_row(model, key, ports, points, nodes));
    Wanted { model, key, row }
}

fn wanted_row(
    model: &Model<'_>,
    key: &Key<'_>,
    ports: &Ports,
    points: &[(Protocol, u16)],
    nodes: &Nodes,
) -> Row {
    let judge = |peer: IdentityId, protocol, port| {
        Record::new(model, &classes::verdict(model, key, peer, protocol, port))
    };
    let at = ports.iter().map(|((protocol, port), backends)| {
        let seen = backends.iter().flat_map(|backend| backend.seen_from(nodes));
        let decisions = seen.map(|(peer, target)| judge(peer, *protocol, target));
        ((protocol.0, *port), common(decisions))
    });
    let backends = ports.values().flatten();
    let mut seen = backends.flat_map(|backend| backend.seen_from(nodes));
    let open = seen.all(|(peer, _)| {
        let mut points = points.iter();
        points.all(|(protocol, port)| judge(peer, *protocol, *port).passes())
    });
    Row::new(at.collect(), open)
}

#[cfg(test)]
mod tests {
    use policy_abi::arena::record;

    use super::*;

    #[test]
    fn one_port_is_cut_out_of_its_interval() {
        let cut_at = |port| {
            let mut intervals = vec![(0, 7), (80, 8), (81, 7)];
            cut(&mut intervals, port, 9);
            intervals
        };
        assert_eq!(cut_at(0), [(0, 9), (1, 7), (80, 8), (81, 7)]);
        assert_eq!(cut_at(79), [(0, 7), (79, 9), (80, 8), (81, 7)]);
        assert_eq!(cut_at(80), [(0, 7), (80, 9), (81, 7)]);
        assert_eq!(cut_at(81), [(0, 7), (80, 8), (81, 9), (82, 7)]);
        assert_eq!(cut_at(65_535), [(0, 7), (80, 8), (81, 7), (65_535, 9)]);
    }

    #[test]
    fn rows_of_denied_services_are_alike() {
        let denied = Record::drop(Cause::DefaultDeny);
        let allowed = Record {
            action: record::ALLOW,
            cause: Cause::Allowed,
            rule: 3,
            ..denied.clone()
        };
        let asking = Record {
            auth: record::AUTH_REQUIRED,
            ..allowed.clone()
        };
        let row = |one: &Record, other: &Record, open| {
            Row::new(
                [((6, 80), one.clone()), ((6, 81), other.clone())].into(),
                open,
            )
        };
        assert_eq!(row(&denied, &denied, false).at.len(), 0);
        assert_eq!(row(&denied, &denied, false).decision(17, 5), denied);
        // Whoever may be reached at these ports only is not to be reached at others.
        assert_eq!(row(&allowed, &allowed, false).decision(6, 82), NO_BACKEND);
        assert_eq!(row(&allowed, &allowed, true).decision(6, 82), allowed);
        assert_eq!(row(&allowed, &denied, false).decision(6, 81), denied);
        assert_eq!(row(&MIXED, &denied, false).decision(6, 80), MIXED);
        assert_eq!(Row::new(BTreeMap::new(), true).decision(6, 80), NO_BACKEND);
        let of = |all: [&Record; 2]| common(all.into_iter().cloned());
        assert_eq!(of([&allowed, &denied]), MIXED);
        // Authentication that nobody gives is as good as a no.
        assert_eq!(of([&allowed, &asking]), MIXED);
        assert_eq!(of([&asking, &denied]), asking);
        // A proxy may say yes, and another may say something else.
        let to = |proxy: &str| Record {
            action: record::REDIRECT,
            cause: Cause::NoProxy,
            proxy: proxy.to_owned(),
            ..denied.clone()
        };
        assert_eq!(of([&to("http"), &to("http")]), to("http"));
        assert_eq!(of([&to("http"), &to("dns")]), MIXED);
        assert_eq!(of([&to("http"), &denied]), MIXED);
        assert_eq!(of([&allowed, &to("http")]), MIXED);
        let proxied = row(&to("http"), &to("http"), false);
        assert_eq!(proxied.decision(6, 82), NO_BACKEND);
        assert_eq!(common(std::iter::empty()), NO_BACKEND);
    }
}
