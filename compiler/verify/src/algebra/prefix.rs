//! Prefixes minus exceptions.

use policyc_ir::cidr::Cidr;

/// Whether exceptions leave nothing of a prefix.
pub(crate) fn is_covered(cidr: &Cidr, except: &[Cidr]) -> bool {
    let mut inner: Vec<&Cidr> = except.iter().filter(|one| cidr.covers(one)).collect();
    if except.iter().any(|one| one.covers(cidr)) {
        return true;
    }
    inner.sort_unstable();
    // Count in halves: a prefix is covered if both halves are. Only exceptions inside it can help.
    let longest = if cidr.is_ipv4() { 32 } else { 128 };
    if inner.is_empty() || cidr.bits() >= longest {
        return false;
    }
    let inside: Vec<Cidr> = inner.into_iter().copied().collect();
    halves(cidr).is_some_and(|halves| halves.iter().all(|half| is_covered(half, &inside)))
}

fn halves(cidr: &Cidr) -> Option<[Cidr; 2]> {
    let len = cidr.bits() + 1;
    let low = Cidr::new(cidr.address(), len)?;
    let high = match cidr.address() {
        std::net::IpAddr::V4(address) => {
            let bit = 1_u32.checked_shl(32 - u32::from(len))?;
            Cidr::new(
                std::net::Ipv4Addr::from_bits(address.to_bits() | bit).into(),
                len,
            )?
        }
        std::net::IpAddr::V6(address) => {
            let bit = 1_u128.checked_shl(128 - u32::from(len))?;
            Cidr::new(
                std::net::Ipv6Addr::from_bits(address.to_bits() | bit).into(),
                len,
            )?
        }
    };
    Some([low, high])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_cover_a_prefix_only_together() {
        let cidr = |text| Cidr::parse(text).unwrap();
        let all = cidr("10.0.0.0/8");
        assert!(is_covered(&all, &[all]));
        assert!(is_covered(
            &all,
            &[cidr("10.0.0.0/9"), cidr("10.128.0.0/9")]
        ));
        assert!(!is_covered(
            &all,
            &[cidr("10.0.0.0/9"), cidr("10.128.0.0/10")]
        ));
        assert!(!is_covered(&all, &[]));
        assert!(!is_covered(&cidr("::/0"), &[cidr("0.0.0.0/0")]));
    }
}
