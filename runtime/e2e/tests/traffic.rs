//! Namespaces and traffic, with and without the datapath in between.

use policyd_e2e::topology::Topology;
use policyd_e2e::traffic::{Flow, Observed, Servers, observe_all};

#[test]
fn everything_answers_without_policy() {
    policyd_e2e::require_root!();
    let start = std::time::Instant::now();
    let topology = Topology::new(3).unwrap();
    println!("made {:?}", start.elapsed());
    let _servers: Vec<_> = topology
        .pods
        .iter()
        .map(|pod| Servers::start(&pod.namespace, &[80, 81]).unwrap())
        .collect();
    let mut flows = Vec::new();
    for from in &topology.pods {
        for to in &topology.pods {
            for port in [80, 81] {
                flows.push(Flow::tcp(&from.namespace, to.ipv4, port));
                flows.push(Flow::tcp(&from.namespace, to.ipv6, port));
                flows.push(Flow::udp(&from.namespace, to.ipv4, port));
                flows.push(Flow::udp(&from.namespace, to.ipv6, port));
            }
            flows.push(Flow::icmp(&from.namespace, to.ipv4));
            flows.push(Flow::icmp(&from.namespace, to.ipv6));
        }
    }
    for (flow, observed) in flows.iter().zip(observe_all(&flows)) {
        assert_eq!(observed.unwrap(), Observed::Answered, "{flow:?}");
    }
    println!("done {} flows {:?}", flows.len(), start.elapsed());
}
