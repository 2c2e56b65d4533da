//! The datapath loaded without a daemon, and packets put through it.

use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use aya::maps::lpm_trie::{Key as LpmKey, LpmTrie};
use aya::maps::{Array, HashMap, MapData, PerCpuArray, RingBuf};
use aya::programs::{SchedClassifier, TcAttachType, TestRun, TestRunOptions};
use aya::{Ebpf, EbpfLoader};
use policy_abi::conntrack::{Entry, Key};
use policy_abi::control::Control;
use policy_abi::event::Event;
use policy_abi::ipcache::{HostKey, PREFIX_BASE, PrefixKey, V4, V6};
use policy_abi::reason::{self, Counter, RECORDS_COUNTED, Reason};

use crate::arena::Arena;
use crate::sys::{self, Mapping};
use crate::topology::{self, Pod, Topology};

/// The object that is checked in.
pub const OBJECT: &[u8] = include_bytes!("../../../ebpf/policy.o");
/// Interface that packets put through a program by hand are on: loopback, which every namespace has.
pub const TEST_INTERFACE: u32 = 1;
/// What a program returns for a packet that passes ("next").
pub const PASS: i32 = -1;
/// What a program returns for a packet that is dropped.
pub const DROP: i32 = 2;
/// Where `ingress_ifindex` and `ifindex` stand in the context of a classifier, and how long that context is.
const CONTEXT_CAME_BY: std::ops::Range<usize> = 36..40;
const CONTEXT_INTERFACE: std::ops::Range<usize> = 40..44;
const CONTEXT_BYTES: usize = 192;

/// Which of the two programs of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// `to_pod`, `to_node`: packets to the pod or node.
    Ingress,
    /// `from_pod`, `from_node`: packets from the pod or node.
    Egress,
}

impl Direction {
    /// The other way.
    #[must_use]
    pub fn reversed(self) -> Self {
        match self {
            Self::Ingress => Self::Egress,
            Self::Egress => Self::Ingress,
        }
    }

    /// Name of the program of a pod.
    pub fn program(self) -> &'static str {
        match self {
            Self::Ingress => "to_pod",
            Self::Egress => "from_pod",
        }
    }
}

/// How a packet meets a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meeting {
    /// Which of the two programs.
    pub direction: Direction,
    /// Whether it is that of a device of the node's rather than that of a pod.
    pub at_device: bool,
    /// Index of the interface that the packet came in by, 0 if it was made on the node.
    pub came_by: u32,
}

impl Meeting {
    /// At a device of the node's, a packet of the node's own.
    pub fn at_device(direction: Direction) -> Self {
        Self {
            at_device: true,
            ..direction.into()
        }
    }

    /// The same for a packet that came in by an interface.
    #[must_use]
    pub fn forwarded(self) -> Self {
        Self {
            came_by: TEST_INTERFACE,
            ..self
        }
    }

    fn program(self) -> &'static str {
        match (self.at_device, self.direction) {
            (false, direction) => direction.program(),
            (true, Direction::Ingress) => "to_node",
            (true, Direction::Egress) => "from_node",
        }
    }
}

impl From<Direction> for Meeting {
    fn from(direction: Direction) -> Self {
        Self {
            direction,
            at_device: false,
            came_by: 0,
        }
    }
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// [`PASS`] or [`DROP`].
    pub action: i32,
    /// The reason whose counter went up.
    pub reason: Reason,
}

/// The programs and maps of the datapath, in nobody's way: nothing is pinned or attached.
#[derive(Debug)]
pub struct Datapath {
    ebpf: Ebpf,
    /// Nanoseconds of a tick as the kernel has it, and as the programs are told.
    kernel_tick: u64,
    tick: u64,
    events: u32,
}

impl Datapath {
    /// Loads the checked-in object.
    pub fn load() -> io::Result<Self> {
        let mut ebpf = EbpfLoader::new().load(OBJECT).map_err(io::Error::other)?;
        for (name, program) in ebpf.programs_mut() {
            let program: &mut SchedClassifier = program.try_into().map_err(io::Error::other)?;
            program
                .load()
                .map_err(|error| io::Error::other(format!("`{name}`: {error:?}")))?;
        }
        let tick = sys::tick()?;
        Ok(Self {
            ebpf,
            kernel_tick: tick,
            tick,
            events: 0,
        })
    }

    /// Nanoseconds of a tick of the kernel's timer, by which the programs tell time.
    pub fn tick(&self) -> u64 {
        self.tick
    }

    /// Attaches both programs to every pod of a topology. They are detached when this is dropped.
    pub fn attach(&mut self, topology: &Topology) -> io::Result<()> {
        let sides = [
            (Direction::Egress, TcAttachType::Ingress),
            (Direction::Ingress, TcAttachType::Egress),
        ];
        for (direction, side) in sides {
            let program = self
                .ebpf
                .program_mut(direction.program())
                .ok_or_else(missing)?;
            let program: &mut SchedClassifier = program.try_into().map_err(io::Error::other)?;
            // Interfaces are found by name in the namespace of the calling thread.
            topology::within(&topology.node, || {
                let attach = |pod: &Pod| program.attach(&pod.interface, side).map(|_| ());
                topology
                    .pods
                    .iter()
                    .try_for_each(attach)
                    .map_err(io::Error::other)
            })?;
        }
        Ok(())
    }

    /// Has the generations that are put into force from now on report this many events per second and CPU.
    pub fn report(&mut self, events: u32) {
        self.events = events;
    }

    /// Events since the last call.
    pub fn events(&mut self) -> io::Result<Vec<Event>> {
        let map = self.ebpf.map_mut("EVENTS").ok_or_else(missing)?;
        let mut ring = RingBuf::try_from(map).map_err(io::Error::other)?;
        let mut events = Vec::new();
        while let Some(item) = ring.next() {
            events.push(Event::from_bytes(&item).ok_or_else(missing)?);
        }
        Ok(events)
    }

    /// Puts tables into a slot and, with `generation` not 0, into force.
    pub fn install(&mut self, generation: u64, arena: &Arena) -> io::Result<()> {
        let slot = usize::try_from(generation & 1).map_err(io::Error::other)?;
        let bytes = arena.bytes();
        let mut mapping = Mapping::new(self.data("ARENA")?.fd().as_fd(), 2 * bytes.len())?;
        mapping.write(slot * bytes.len(), bytes)?;
        let control = Control {
            generation,
            tick: self.tick,
            events: self.events,
            ..Control::default()
        };
        self.array::<Control>("CONTROL")?
            .set(0, control, 0)
            .map_err(io::Error::other)
    }

    /// Tells which identity index an address has in the slot of a generation.
    pub fn learn(&mut self, generation: u64, address: IpAddr, identity: u32) -> io::Result<()> {
        let (family, address, _) = spread(address);
        let key = HostKey {
            address,
            family,
            slot: (generation & 1) as u8,
            pad: [0; 6],
        };
        let map = self.ebpf.map_mut("IPCACHE_HOST").ok_or_else(missing)?;
        let mut map = HashMap::<_, HostKey, u32>::try_from(map).map_err(io::Error::other)?;
        map.insert(key, identity, 0).map_err(io::Error::other)
    }

    /// Tells which identity index a prefix has in the slot of a generation.
    pub fn learn_prefix(
        &mut self,
        generation: u64,
        address: IpAddr,
        bits: u32,
        identity: u32,
    ) -> io::Result<()> {
        let (family, address, _) = spread(address);
        let data = PrefixKey {
            slot: (generation & 1) as u8,
            family,
            pad: [0; 2],
            address,
        };
        let map = self.ebpf.map_mut("IPCACHE_PREFIX").ok_or_else(missing)?;
        let mut map = LpmTrie::<_, PrefixKey, u32>::try_from(map).map_err(io::Error::other)?;
        map.insert(&LpmKey::new(PREFIX_BASE + bits, data), identity, 0)
            .map_err(io::Error::other)
    }

    /// All connections known.
    pub fn connections(&self) -> io::Result<Vec<(Key, Entry)>> {
        let map = self.ebpf.map("CONNTRACK").ok_or_else(missing)?;
        let map = HashMap::<_, Key, Entry>::try_from(map).map_err(io::Error::other)?;
        map.iter()
            .collect::<Result<_, _>>()
            .map_err(io::Error::other)
    }

    /// Overwrites what is known about a connection.
    pub fn set_connection(&mut self, key: Key, entry: Entry) -> io::Result<()> {
        let map = self.ebpf.map_mut("CONNTRACK").ok_or_else(missing)?;
        let mut map = HashMap::<_, Key, Entry>::try_from(map).map_err(io::Error::other)?;
        map.insert(key, entry, 0).map_err(io::Error::other)
    }

    /// Puts one packet on [`TEST_INTERFACE`] through a program.
    pub fn run(&mut self, meeting: impl Into<Meeting>, packet: &[u8]) -> io::Result<Outcome> {
        let meeting = meeting.into();
        let direction = meeting.direction;
        let before = self.reasons(direction)?;
        let (action, _) = self.repeat(meeting, packet, 1)?;
        let after = self.reasons(direction)?;
        let mut counted = reason::ALL
            .iter()
            .zip(before.iter().zip(&after))
            .filter(|(_, (old, new))| old != new);
        let (Some(((reason, _), _)), None) = (counted.next(), counted.next()) else {
            return Err(io::Error::other("not exactly one reason was counted"));
        };
        Ok(Outcome {
            action,
            reason: *reason,
        })
    }

    /// Puts one packet through a program many times. Returns the last action and the mean time of a run.
    pub fn repeat(
        &self,
        meeting: impl Into<Meeting>,
        packet: &[u8],
        times: u32,
    ) -> io::Result<(i32, Duration)> {
        let meeting = meeting.into();
        let program = self.program(meeting)?;
        let mut context = [0; CONTEXT_BYTES];
        context[CONTEXT_CAME_BY].copy_from_slice(&meeting.came_by.to_ne_bytes());
        context[CONTEXT_INTERFACE].copy_from_slice(&TEST_INTERFACE.to_ne_bytes());
        let mut options = TestRunOptions::new();
        options.data_in = Some(packet);
        options.ctx_in = Some(&context);
        options.repeat = times;
        let result = program.test_run(options).map_err(io::Error::other)?;
        Ok((result.return_value.cast_signed(), result.duration))
    }

    /// Instructions that the verifier went through for a program, and the program's bytes as the kernel runs it.
    pub fn size(&self, meeting: impl Into<Meeting>) -> io::Result<(u32, u32)> {
        let info = self
            .program(meeting.into())?
            .info()
            .map_err(io::Error::other)?;
        Ok((
            info.verified_instruction_count().unwrap_or_default(),
            info.size_jitted(),
        ))
    }

    /// Packets counted per reason, all CPUs together.
    pub fn reasons(&self, direction: Direction) -> io::Result<Vec<u64>> {
        let base = if direction == Direction::Egress {
            reason::COUNT
        } else {
            0
        };
        (0..reason::COUNT)
            .map(|reason| self.counter("REASON_COUNTERS", base + reason))
            .collect()
    }

    /// Packets counted under one reason, all CPUs together.
    pub fn reason(&self, direction: Direction, reason: Reason) -> io::Result<u64> {
        let base = if direction == Direction::Egress {
            reason::COUNT
        } else {
            0
        };
        self.counter("REASON_COUNTERS", base + reason as u32)
    }

    /// Has the datapath's clock jump ahead. Returns by how much, which is a multiple of about four seconds.
    pub fn pass_time(&mut self, least: Duration) -> io::Result<Duration> {
        let up = sys::monotonic()?;
        // The kernel's count of ticks starts five minutes before its 32-bit counter is full.
        let ticks = (1 << 32) + up.saturating_sub(300_000_000_000) / self.kernel_tick;
        let more = u64::try_from(least.as_nanos())
            .map_err(io::Error::other)?
            .div_ceil(ticks);
        self.tick += more;
        let mut control = self.array::<Control>("CONTROL")?;
        let now = control.get(&0, 0).map_err(io::Error::other)?;
        let tick = now.tick + more;
        control
            .set(0, Control { tick, ..now }, 0)
            .map_err(io::Error::other)?;
        Ok(Duration::from_nanos(more * ticks))
    }

    /// Packets counted for a record in the slot of a generation, all CPUs together.
    pub fn record(&self, generation: u64, record: u32) -> io::Result<u64> {
        let slot = u32::try_from(generation & 1).map_err(io::Error::other)?;
        self.counter("RECORD_COUNTERS", slot * RECORDS_COUNTED + record)
    }

    fn program(&self, meeting: Meeting) -> io::Result<&SchedClassifier> {
        let program = self.ebpf.program(meeting.program()).ok_or_else(missing)?;
        program.try_into().map_err(io::Error::other)
    }

    fn counter(&self, name: &str, index: u32) -> io::Result<u64> {
        let map = self.ebpf.map(name).ok_or_else(missing)?;
        let map = PerCpuArray::<_, Counter>::try_from(map).map_err(io::Error::other)?;
        let values = map.get(&index, 0).map_err(io::Error::other)?;
        Ok(values.iter().map(|counter| counter.packets).sum())
    }

    fn array<T: aya::Pod>(&mut self, name: &str) -> io::Result<Array<&mut MapData, T>> {
        Array::try_from(self.ebpf.map_mut(name).ok_or_else(missing)?).map_err(io::Error::other)
    }

    fn data(&self, name: &str) -> io::Result<&MapData> {
        match self.ebpf.map(name) {
            Some(aya::maps::Map::Array(data)) => Ok(data),
            _ => Err(missing()),
        }
    }
}

/// Family, address and its length in bits, as keys want them.
pub fn spread(address: IpAddr) -> (u8, [u8; 16], u32) {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            (V4, [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 32)
        }
        IpAddr::V6(address) => (V6, address.octets(), 128),
    }
}

fn missing() -> io::Error {
    io::Error::other("the object lacks a program or map")
}
