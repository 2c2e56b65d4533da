//! What a packet costs.

use policyd_e2e::datapath::Datapath;

#[test]
fn programs_stay_small() {
    policyd_e2e::require_root!();
    let datapath = Datapath::load().unwrap();
    for direction in [policyd_e2e::datapath::Direction::Ingress, policyd_e2e::datapath::Direction::Egress] {
        let (verified, translated) = datapath.size(direction).unwrap();
        println!("{direction:?}: {verified} instructions verified, {translated} bytes");
    }
}
