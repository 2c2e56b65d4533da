//! Services as their backends (Cilium's resolution of `toServices`). The ports of a service play no part.

use crate::cidr::Cidr;
use crate::inventory::{Inventory, Named, Service};
use crate::label::{CLUSTER, Key, Labels, NAMESPACE, Source};
use crate::policy::{self, Which};
use crate::selector::{Requirement, Selector};
use crate::settings::Settings;

use super::k8s_equals;

/// What stands behind a service.
pub(super) enum Backend {
    /// Pods, for a service with a selector.
    Pods(Selector),
    /// An address, for one without.
    Address(Cidr),
}

/// The backends of all services that an element of `toServices` means.
pub(super) fn peers(
    written: &policy::Service,
    inventory: &Inventory,
    settings: &Settings,
) -> Vec<Backend> {
    let found: Vec<_> = match (&written.namespace, &written.which) {
        // Most say both, and there may be very many services.
        (Some(namespace), Which::Named(name)) => {
            let key = (namespace.clone(), name.clone());
            inventory.services.get_key_value(&key).into_iter().collect()
        }
        _ => inventory
            .services
            .iter()
            .filter(|one| means(written, one))
            .collect(),
    };
    let exist = found.into_iter().filter(|(_, service)| service.exists);
    exist
        .flat_map(|((namespace, _), service)| backends(namespace, service, settings))
        .collect()
}

fn means(written: &policy::Service, ((namespace, name), service): &(&Named, &Service)) -> bool {
    written
        .namespace
        .as_ref()
        .is_none_or(|wanted| wanted == namespace)
        && match &written.which {
            Which::Named(wanted) => wanted == name,
            Which::Labelled(selector) => selector.matches(&labels(service)),
        }
}

fn labels(service: &Service) -> Labels {
    let labels = service.labels.iter();
    Labels::new(labels.map(|(name, value)| (Key::new(Source::K8s, name.clone()), value.clone())))
}

fn backends(namespace: &str, service: &Service, settings: &Settings) -> Vec<Backend> {
    let Some(selector) = &service.selector else {
        let addresses = service.backends.iter();
        return addresses
            .map(|address| Backend::Address(Cidr::host(*address)))
            .collect();
    };
    let own = selector
        .iter()
        .map(|(name, value)| Requirement::equals(Key::parse(name), value.clone()));
    let mut scoped = Selector::new(own).and(k8s_equals(NAMESPACE, namespace));
    if settings.default_local_cluster {
        scoped = scoped.and(k8s_equals(CLUSTER, &settings.cluster));
    }
    vec![Backend::Pods(scoped)]
}
