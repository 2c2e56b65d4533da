//! Drives the stages and waits for reasons to drive them again.

use std::fs::File;
use std::path::PathBuf;
use std::rc::Rc;

use crate::apply::Grace;
use crate::config::{Config, Endpoint};
use crate::failure::Failure;
use crate::load::{Loaded, Way};
use crate::open::{self, Believed};
use crate::pins::{Pins, Side};
use crate::plan::{Device, Host, Local, Plan, Surroundings};
use crate::state::{Accepted, State};
use crate::sys::wake::{Wake, Wakes};
use crate::sys::{self, net};
use crate::{apply, attach, maps};

/// Longest time between two looks at the interfaces, in milliseconds; changes are normally told at once.
const LOOK_AGAIN: i32 = 15_000;

/// What the daemon is told on the command line.
#[derive(Clone, Debug)]
pub struct Options {
    /// The bundle file.
    pub bundle: PathBuf,
    /// Files of the public keys that are trusted.
    pub keys: Vec<PathBuf>,
    /// The configuration file.
    pub config: PathBuf,
    /// Apply once and end.
    pub once: bool,
    /// Accept bundles without a signature.
    pub allow_unsigned: bool,
}

/// Applies the bundle; unless told to do it once, watches interfaces and signals until told to stop.
///
/// `log` gets one line per event.
///
/// # Errors
/// The first failure with `once`, or while nothing is in force; later ones are only logged, and what is in force
/// stays so.
pub fn run(options: Options, log: &mut dyn FnMut(String)) -> Result<(), Failure> {
    let mut daemon = Daemon::new(options)?;
    if daemon.options.once {
        return daemon.first_cycle(log);
    }
    let wakes = Wakes::new()
        .map_err(|error| Failure::internal(format!("signals cannot be awaited: {error}")))?;
    if let Err(failure) = daemon.first_cycle(log) {
        if maps::in_force(&daemon.pins)?.is_none() {
            return Err(failure);
        }
        log(kept(&failure));
        daemon.resume(log);
    }
    daemon.watch(&wakes, log)
}

/// The log line about something that was refused.
fn kept(failure: &Failure) -> String {
    format!("refused, what was in force stays in force: {failure}")
}

/// The log line about the node's own policy.
fn describe(host: &Host<'_>) -> String {
    let devices = host.surroundings.devices.iter();
    let devices: Vec<&str> = devices.map(|device| device.interface.as_str()).collect();
    format!(
        "policies apply to node `{}` itself: enforced at {}, for {} addresses{}",
        host.policy.name,
        devices.join(", "),
        host.addresses.len(),
        if host.audit { ", audit only" } else { "" }
    )
}

/// Where the bundle of a cycle comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    /// The file: somebody says that it is new.
    File,
    /// The one in force: only interfaces have changed.
    Memory,
}

/// What this node is like now.
///
/// # Errors
/// If the kernel does not say.
pub(crate) fn local() -> Result<Local, Failure> {
    sys::local::read().map_err(|error| {
        Failure::internal(format!("the node's own addresses cannot be read: {error}"))
    })
}

struct Daemon {
    options: Options,
    config: Config,
    pins: Pins,
    state: State,
    loaded: Option<Loaded>,
    /// The bundle in force.
    bytes: Option<Rc<Vec<u8>>>,
    /// Interface indexes at the last successful cycle.
    interfaces: Option<Vec<Option<u32>>>,
    /// What the node was like at the last successful cycle, if its own policy is enforced.
    host: Option<Surroundings>,
    /// Keeps other daemons away as long as it lives.
    _lock: File,
}

impl Daemon {
    fn new(options: Options) -> Result<Self, Failure> {
        let config = Config::read(&options.config)?;
        let pins = Pins::new(&config.pin_dir);
        pins.check()?;
        let state = State::new(&config.state_dir);
        let lock = state.lock()?;
        Ok(Self {
            options,
            config,
            pins,
            state,
            loaded: None,
            bytes: None,
            interfaces: None,
            host: None,
            _lock: lock,
        })
    }

    /// A cycle that leaves no trace in the kernel if there was none before and it fails.
    fn first_cycle(&mut self, log: &mut dyn FnMut(String)) -> Result<(), Failure> {
        let was_there = self.pins.exist();
        let result = self.cycle(Source::File, log);
        if result.is_err() && !was_there {
            self.loaded = None;
            self.pins.remove()?;
        }
        result
    }

    /// Looks after what is in force with the copy of its bundle, as the file is no good.
    fn resume(&mut self, log: &mut dyn FnMut(String)) {
        let result = self.state.bundle().and_then(|bytes| {
            self.bytes = bytes.map(Rc::new);
            if self.bytes.is_some() {
                self.cycle(Source::Memory, log)
            } else {
                Ok(())
            }
        });
        if let Err(failure) = result {
            log(kept(&failure));
        }
    }

    /// Opens, plans, applies, attaches.
    fn cycle(&mut self, source: Source, log: &mut dyn FnMut(String)) -> Result<(), Failure> {
        let grace = Grace::begin();
        let bytes = match (source, &self.bytes) {
            (Source::Memory, Some(bytes)) => Rc::clone(bytes),
            _ => Rc::new(open::read(&self.options.bundle)?),
        };
        let believed = Believed::read(&self.options.keys, self.options.allow_unsigned)?;
        let bundle = believed.open(&bytes, self.accepted()?.as_ref())?;
        let interfaces = self.interfaces();
        let plan = Plan::new(&bundle, &self.config, &net::index, &local)?;
        if source == Source::File {
            plan.require_interfaces()?;
        }
        self.enforce(&plan, &bytes, grace, log)?;
        self.interfaces = Some(interfaces);
        self.host = plan.host.as_ref().map(|host| host.surroundings.clone());
        for device in plan.devices().filter(|device| device.ifindex.is_none()) {
            log(format!("device `{}` of the node is gone", device.interface));
        }
        for absent in &plan.absent {
            log(format!(
                "interface `{}` of pod `{}` is gone",
                absent.interface, absent.pod
            ));
        }
        Ok(())
    }

    /// Makes the kernel do what the plan says.
    fn enforce(
        &mut self,
        plan: &Plan<'_>,
        bytes: &Rc<Vec<u8>>,
        grace: Grace,
        log: &mut dyn FnMut(String),
    ) -> Result<(), Failure> {
        let loaded = match self.loaded.take() {
            Some(loaded) => loaded,
            None => Loaded::load(&self.pins)?,
        };
        let loaded = self.loaded.insert(loaded);
        loaded.need(plan.spots().map(|(_, _, side)| side))?;
        let generation = apply::apply(&loaded.maps, plan, grace)?;
        // From here on the bundle is in force, whatever fails.
        self.bytes = Some(Rc::clone(bytes));
        let accepted = Accepted {
            revision: plan.bundle().revision(),
            digest: plan.bundle().digest(),
        };
        if let Err(failure) = self.state.remember(&accepted, bytes) {
            // The kernel's maps know the revision as well.
            log(format!("in force but not written down: {failure}"));
        }
        let outcome = attach::attach(&self.pins, loaded, plan)?;
        let (revision, pods) = (accepted.revision, plan.attachments.len());
        if let Some(host) = &plan.host {
            log(describe(host));
        }
        if plan.bundle().proxies().len() > 0 {
            let proxies: Vec<_> = plan.bundle().proxies().collect();
            log(format!(
                "no proxy runs here: what goes to {} is dropped",
                proxies.join(", ")
            ));
        }
        let audited = plan.attachments.iter().filter(|pod| pod.audit).count();
        if audited > 0 {
            log(format!(
                "{audited} pods are in audit mode: what the policy would drop passes"
            ));
        }
        log(format!(
            "generation {generation} in force: revision {revision}, {pods} pods; links: {} made, {} adopted, {} removed{}",
            outcome.made,
            outcome.adopted,
            outcome.removed,
            if loaded.way() == Way::Clsact {
                " (by clsact: this kernel has no tcx)"
            } else {
                ""
            }
        ));
        Ok(())
    }

    /// The highest revision that the state folder or the kernel knows of.
    fn accepted(&self) -> Result<Option<Accepted>, Failure> {
        let (stored, in_force) = (self.state.accepted()?, maps::in_force(&self.pins)?);
        Ok(stored
            .into_iter()
            .chain(in_force)
            .max_by_key(|accepted| accepted.revision))
    }

    fn interfaces(&self) -> Vec<Option<u32>> {
        self.config
            .endpoints
            .iter()
            .map(|endpoint| net::index(&endpoint.interface))
            .collect()
    }

    /// Whether interfaces and links are as the last cycle left them. Before the first there is nothing to repair.
    fn is_settled(&self) -> bool {
        let Some(known) = &self.interfaces else {
            return true;
        };
        let interfaces = self.interfaces();
        let is_attached = |(endpoint, ifindex): (&Endpoint, &Option<u32>)| {
            ifindex.is_none_or(|ifindex| {
                Side::BOTH
                    .into_iter()
                    .all(|side| attach::is_attached(&self.pins, &endpoint.interface, ifindex, side))
            })
        };
        *known == interfaces
            && self
                .host
                .as_ref()
                .is_none_or(|host| self.is_as_before(host))
            && self
                .config
                .endpoints
                .iter()
                .zip(&interfaces)
                .all(is_attached)
    }

    /// Whether the node has the addresses and devices that it had, and its programs are at these.
    fn is_as_before(&self, host: &Surroundings) -> bool {
        let is_attached = |device: &Device| {
            net::index(&device.interface) == device.ifindex
                && device.ifindex.is_none_or(|ifindex| {
                    let mut sides = Side::DEVICE.into_iter();
                    let interface = &device.interface;
                    sides.all(|side| attach::is_attached(&self.pins, interface, ifindex, side))
                })
        };
        local().is_ok_and(|local| host.is_like(&local)) && host.devices.iter().all(is_attached)
    }

    fn watch(&mut self, wakes: &Wakes, log: &mut dyn FnMut(String)) -> Result<(), Failure> {
        loop {
            let wake = wakes.wait(LOOK_AGAIN).map_err(|error| {
                Failure::internal(format!("waiting for signals failed: {error}"))
            })?;
            let result = match wake {
                Wake::Stop => {
                    log("stopped; what is in force stays in force".to_owned());
                    return Ok(());
                }
                Wake::Reload => self.reload(log),
                Wake::Interfaces if self.is_settled() => Ok(()),
                Wake::Interfaces => self.cycle(Source::Memory, log),
            };
            if let Err(failure) = result {
                log(kept(&failure));
            }
        }
    }

    /// Reads configuration and bundle again. The old configuration stays if either is refused.
    fn reload(&mut self, log: &mut dyn FnMut(String)) -> Result<(), Failure> {
        let config = Config::read(&self.options.config)?;
        if (&config.pin_dir, &config.state_dir) != (&self.config.pin_dir, &self.config.state_dir) {
            return Err(Failure::usage(
                "`pin_dir` and `state_dir` cannot change while the daemon runs",
            ));
        }
        let old = std::mem::replace(&mut self.config, config);
        let result = self.cycle(Source::File, log);
        if result.is_err() {
            self.config = old;
        }
        result
    }
}
