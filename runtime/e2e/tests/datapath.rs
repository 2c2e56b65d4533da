#[test]
fn loads() {
    policyd_e2e::require_root!();
    policyd_e2e::datapath::Datapath::load().unwrap();
}
