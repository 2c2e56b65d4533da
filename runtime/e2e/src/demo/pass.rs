//! Tries of all flows.

use super::cast::Exchange;
use super::node::Node;
use super::table::Row;
use super::{Error, check_stopped};
use crate::traffic::{self, Flow, Observed};

/// Flows tried between two looks for signals.
const GROUP: usize = 64;
/// How often a flow without an answer is tried again. A machine that is busy may answer late; a drop stays a drop.
const REPEATS: usize = 2;

/// Something to be done while flows are under way.
pub(super) type Deed<'d> = dyn FnMut(&mut Node<'_>) -> Result<(), Error> + 'd;

/// What came of all flows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pass {
    pub(super) rows: Vec<Row>,
    /// Flows that only got their answer when asked again.
    pub(super) late: usize,
}

impl Pass {
    /// Flows that did not do what was expected.
    pub(super) fn disagreements(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| !row.agrees())
    }
}

/// Tries all flows. With `meanwhile`, that happens while flows in the middle are under way.
pub(super) fn observe(
    node: &mut Node<'_>,
    exchanges: &[Exchange],
    expected: &[bool],
    mut meanwhile: Option<&mut Deed<'_>>,
) -> Result<Pass, Error> {
    let flows: Vec<Flow> = exchanges
        .iter()
        .map(|exchange| node.flow(exchange))
        .collect();
    let middle = flows.len().div_ceil(GROUP) / 2;
    let mut observed = Vec::with_capacity(flows.len());
    for (number, group) in flows.chunks(GROUP).enumerate() {
        check_stopped()?;
        let act = (number == middle).then(|| meanwhile.take()).flatten();
        observed.extend(observe_group(node, group, act)?);
    }
    let rows = exchanges.iter().zip(expected).zip(observed);
    let mut rows: Vec<Row> = rows
        .map(|((exchange, is_allowed), observed)| Row {
            exchange: *exchange,
            is_allowed: *is_allowed,
            observed,
        })
        .collect();
    let late = ask_again(&mut rows, &flows)?;
    Ok(Pass { rows, late })
}

fn observe_group(
    node: &mut Node<'_>,
    group: &[Flow],
    act: Option<&mut Deed<'_>>,
) -> Result<Vec<Observed>, Error> {
    let outcomes = std::thread::scope(|scope| {
        let under_way = scope.spawn(|| traffic::observe_all(group));
        let acted = act.map_or(Ok(()), |act| act(node));
        let outcomes = under_way
            .join()
            .map_err(|_| Error::Failed("the thread that tries flows failed".to_owned()))?;
        acted.map(|()| outcomes)
    })?;
    outcomes
        .into_iter()
        .zip(group)
        .map(|(outcome, flow)| {
            outcome.map_err(|error| Error::Failed(format!("{flow:?} could not be tried: {error}")))
        })
        .collect()
}

/// Tries flows again that should have been answered and were met by silence. How many were answered now.
fn ask_again(rows: &mut [Row], flows: &[Flow]) -> Result<usize, Error> {
    let mut late = 0;
    for (row, flow) in rows.iter_mut().zip(flows) {
        for _ in 0..REPEATS {
            if !row.is_allowed || row.observed != Observed::Silent {
                break;
            }
            check_stopped()?;
            row.observed = flow.observe()?;
            late += usize::from(row.agrees());
        }
    }
    Ok(late)
}
