// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! What is the node's own at its devices. All else there is forwarded: it has been judged, or will be, at a pod.

use policy_abi::arena::Read;
use policy_abi::conntrack::PASSING;
use policy_abi::ipcache::{HostKey, V4, V6};
use policy_abi::reason::Reason;
use policy_abi::{endpoint, proto};

use crate::Direction;
use crate::conntrack::{self, Connection, Sighting};
use crate::network::{self, Network, Part};
use crate::policy::{Generation, is_on_link};
use crate::sys::{self, Frame, Scratch};
use crate::transport::{self, Transport};

/// Type of the ICMPv6 error "packet too big".
const TOO_BIG: u16 = 2;

/// Whether a packet is none that the node's network layer gets or has sent: one for a VLAN, which is a device of its
/// own, or one about the link itself.
#[inline(always)]
pub(crate) fn is_beside(frame: &Frame<'_>, direction: Direction) -> bool {
    frame.is_of_vlan()
        || network::is_of_link(frame)
        || (direction == Direction::Egress && network::has_inner_tag(frame))
}

/// Ends the checks of a packet whose near end is no address of the node's. Those are what the ipcache has under the
/// node's identity.
#[inline(always)]
pub(crate) fn admit(
    frame: &Frame<'_>,
    generation: &Generation,
    scratch: &mut Scratch,
) -> Result<(), Reason> {
    let family = match frame.ethertype() {
        0x0800 => V4,
        0x86dd => V6,
        _ => return Ok(()),
    };
    scratch.host = HostKey {
        address: scratch.connection.local,
        family,
        slot: generation.slot() as u8,
        pad: [0; 6],
    };
    // A node has addresses, no prefixes.
    let identity = sys::identity_of_host(&scratch.host);
    let own = generation
        .tables
        .u32(generation.endpoint + endpoint::IDENTITY);
    if identity == Some(own) {
        Ok(())
    } else {
        Err(Reason::Unjudged)
    }
}

/// Whether a packet is one of IPv6's own that others than the node depend on: it keeps up memberships in groups of the
/// link itself, without which neighbours are not found, or tells whose packets the node forwards that they are too big.
#[inline(always)]
pub(crate) fn is_essential(
    network: &Network,
    transport: &Transport,
    connection: &Connection,
    direction: Direction,
) -> bool {
    if network.family != V6 || transport.protocol != proto::ICMPV6 || network.part != Part::Whole {
        return false;
    }
    let is_membership = network.hop_limit == 1
        && matches!(transport.destination, 130..=132 | 143)
        && (is_on_link(&connection.key.remote) || is_on_link(&connection.local));
    is_membership || (direction == Direction::Egress && transport.destination == TOO_BIG)
}

/// Takes note of a forwarded packet that bears the node's address, so that what comes back to that address passes. No
/// policy is asked.
#[inline(always)]
pub(crate) fn let_pass(
    frame: &Frame<'_>,
    generation: &Generation,
    scratch: &mut Scratch,
    network: Result<Network, Reason>,
) -> Result<Reason, Reason> {
    let direction = Direction::Egress;
    let network = network.map_err(|_| Reason::Unjudged)?;
    let network = sys::settle(&mut scratch.network, network);
    let transport = transport::parse(frame, &network).map_err(|_| Reason::Unjudged)?;
    let Scratch {
        connection,
        fragment,
        ..
    } = scratch;
    let scope = generation.scope;
    let transport =
        transport::join_fragments(scope, &network, transport, connection, fragment, direction)
            .map_err(|_| Reason::Unjudged)?;
    let transport = sys::settle(&mut scratch.transport, transport);
    let key = &mut scratch.connection.key;
    conntrack::complete(key, scope, &network, &transport, direction);
    note(generation, scratch, &transport);
    Ok(Reason::Unjudged)
}

/// A connection that somebody else has opened is only kept; one that the policy has allowed is the node's own, and what
/// is said of it stays.
#[inline(always)]
fn note(generation: &Generation, scratch: &mut Scratch, transport: &Transport) {
    let (direction, now) = (Direction::Egress, generation.now);
    let entry = sys::connection(&scratch.connection.key);
    if let Some(entry) = entry {
        for opener in [Direction::Ingress, Direction::Egress] {
            if conntrack::is_open(entry, opener, now)
                && (opener == Direction::Ingress || conntrack::is_passing(entry, opener))
            {
                conntrack::prolong(entry, transport, direction, opener, now);
                return;
            }
        }
        if conntrack::is_open(entry, direction, now) {
            return;
        }
    }
    if !conntrack::can_open(transport) {
        return;
    }
    let sighting = Sighting {
        direction,
        opener: direction,
        generation: generation.number,
        record: PASSING,
        now,
    };
    let entry = sys::connection(&scratch.connection.key);
    let Scratch {
        connection,
        entry: fresh,
        ..
    } = scratch;
    // Without room the answers are judged as the node's.
    let _noted = conntrack::open(entry, &connection.key, fresh, transport, &sighting);
}
