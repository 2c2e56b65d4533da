//! What the model says about each flow: the questions for `policyc verdicts`, and its answers.

use serde_json::{Value, json};

use super::Error;
use super::cast::{Exchange, Family, Kind, Party};
use crate::traffic::Protocol;

/// The questions about all exchanges, as JSON lines: a pod's own egress policies and the other pod's ingress
/// policies both have a say. A question's number is twice that of the exchange, plus one for ingress.
pub(super) fn questions(exchanges: &[Exchange]) -> String {
    let lines = exchanges.iter().enumerate().flat_map(|(number, exchange)| {
        let (from, to) = (&exchange.pair.from, &exchange.pair.to);
        let egress =
            (from.kind == Kind::Pod).then(|| question(2 * number, "egress", from, to, exchange));
        let ingress =
            (to.kind == Kind::Pod).then(|| question(2 * number + 1, "ingress", to, from, exchange));
        egress.into_iter().chain(ingress)
    });
    let lines: Vec<String> = lines.map(|line| line.to_string()).collect();
    lines.join("\n")
}

fn question(
    id: usize,
    direction: &str,
    subject: &Party,
    peer: &Party,
    exchange: &Exchange,
) -> Value {
    let family = exchange.pair.family;
    let peer = match peer.kind {
        Kind::Pod => peer.name.to_owned(),
        Kind::Outside => format!("ip:{}", peer.address(family)),
        Kind::Node => "host".to_owned(),
    };
    // For ICMP the type takes the port's place; these are the echo requests.
    let (protocol, port) = match (exchange.probe.protocol, family) {
        (Protocol::Tcp, _) => ("TCP", exchange.probe.port),
        (Protocol::Udp, _) => ("UDP", exchange.probe.port),
        (Protocol::Icmp, Family::V4) => ("ICMP", 8),
        (Protocol::Icmp, Family::V6) => ("ICMPv6", 128),
    };
    json!({
        "id": id,
        "direction": direction,
        "subject": subject.name,
        "peer": peer,
        "protocol": protocol,
        "port": port,
    })
}

/// Whether each exchange is allowed: everybody who was asked must say so.
///
/// # Errors
/// If an answer is missing, comes twice, or is anything but allow or deny.
pub(super) fn verdicts(exchanges: &[Exchange], answers: &str) -> Result<Vec<bool>, Error> {
    let mut sides: Vec<[Option<bool>; 2]> = vec![[None; 2]; exchanges.len()];
    for line in answers.lines() {
        let refuse = |why| Error::Failed(format!("`policyc verdicts` {why}: {line}"));
        let (id, allowed) = answer(line).ok_or_else(|| refuse("gave an answer that is none"))?;
        let side = sides
            .get_mut(id / 2)
            .and_then(|sides| sides.get_mut(id % 2))
            .ok_or_else(|| refuse("answered what nobody asked"))?;
        if side.replace(allowed).is_some() {
            return Err(refuse("answered twice"));
        }
    }
    let both = exchanges.iter().zip(sides);
    both.map(|(exchange, [egress, ingress])| verdict(exchange, egress, ingress))
        .collect()
}

/// The number and whether it is an allow.
fn answer(line: &str) -> Option<(usize, bool)> {
    let value: Value = serde_json::from_str(line).ok()?;
    let id = usize::try_from(value.get("id")?.as_u64()?).ok()?;
    match value.get("verdict")?.as_str()? {
        "allow" => Some((id, true)),
        "deny" => Some((id, false)),
        _ => None,
    }
}

fn verdict(
    exchange: &Exchange,
    egress: Option<bool>,
    ingress: Option<bool>,
) -> Result<bool, Error> {
    let (from, to) = (exchange.pair.from.kind, exchange.pair.to.kind);
    let asked = [(from == Kind::Pod, egress), (to == Kind::Pod, ingress)];
    if asked
        .iter()
        .any(|(is_asked, answer)| *is_asked != answer.is_some())
    {
        return Err(Error::Failed(format!(
            "`policyc verdicts` did not answer exactly what was asked about {exchange}"
        )));
    }
    Ok(asked.iter().all(|(_, answer)| answer.unwrap_or(true)))
}

#[cfg(test)]
mod tests {
    use super::super::cast::{PARTIES, PROBES, Pair};
    use super::*;

    /// From and to by position in the cast, then the probe.
    fn exchange(from: usize, to: usize, probe: usize, family: Family) -> Exchange {
        let pair = Pair {
            from: PARTIES[from],
            to: PARTIES[to],
            family,
        };
        Exchange {
            pair,
            probe: PROBES[probe],
        }
    }

    fn lines(exchanges: &[Exchange]) -> Vec<Value> {
        questions(exchanges)
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn both_pods_are_asked() {
        let lines = lines(&[exchange(4, 0, 0, Family::V6), exchange(0, 1, 7, Family::V6)]);
        assert_eq!(
            lines,
            [
                json!({"id": 1, "direction": "ingress", "subject": "shop/web", "peer": "ip:2001:db8:b::20", "protocol": "TCP", "port": 443}),
                json!({"id": 2, "direction": "egress", "subject": "shop/web", "peer": "shop/api", "protocol": "ICMPv6", "port": 128}),
                json!({"id": 3, "direction": "ingress", "subject": "shop/api", "peer": "shop/web", "protocol": "ICMPv6", "port": 128}),
            ]
        );
    }

    #[test]
    fn the_node_is_the_host() {
        let lines = lines(&[exchange(6, 0, 7, Family::V4), exchange(0, 6, 5, Family::V4)]);
        assert_eq!(lines.len(), 2);
        assert_eq!(
            (&lines[0]["peer"], &lines[0]["protocol"], &lines[0]["port"]),
            (&json!("host"), &json!("ICMP"), &json!(8))
        );
        assert_eq!(
            (&lines[1]["direction"], &lines[1]["peer"]),
            (&json!("egress"), &json!("host"))
        );
    }

    #[test]
    fn one_no_is_enough() {
        let pods = [exchange(0, 1, 0, Family::V4)];
        let say = |egress, ingress| {
            let text = format!(
                "{{\"id\":1,\"verdict\":\"{ingress}\"}}\n{{\"id\":0,\"verdict\":\"{egress}\"}}\n"
            );
            verdicts(&pods, &text).unwrap()
        };
        assert_eq!(say("allow", "allow"), [true]);
        assert_eq!(say("allow", "deny"), [false]);
        assert_eq!(say("deny", "allow"), [false]);
    }

    #[test]
    fn anything_else_is_an_error() {
        let pods = [exchange(0, 1, 0, Family::V4)];
        let error = |text: &str| verdicts(&pods, text).unwrap_err().to_string();
        let (egress, ingress) = (
            "{\"id\":0,\"verdict\":\"allow\"}",
            "{\"id\":1,\"verdict\":\"allow\"}",
        );
        assert!(error("").contains("did not answer exactly"));
        assert!(error(egress).contains("did not answer exactly"));
        assert!(error(&format!("{egress}\n{egress}\n{ingress}")).contains("twice"));
        assert!(error("{\"id\":2,\"verdict\":\"allow\"}").contains("nobody asked"));
        assert!(error("{\"id\":0,\"verdict\":\"error\"}").contains("is none"));
        assert!(error("{\"rejected\":{}}").contains("is none"));
    }
}
