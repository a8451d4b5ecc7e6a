//! Probes: what was found, from where, and how long it took.

use crate::admin::metrics::{Labels, Page, flag};
use crate::admin::{Source, State};
use crate::probe::What;

/// Adds them.
pub(super) fn add(page: &mut Page, source: &Source, state: &State) {
    let probed = || state.pops.iter().filter_map(|pop| Some((pop.name.as_str(), pop.probe.as_ref()?)));
    let own = || probed().filter(|(_, probe)| probe.age_seconds.is_some());
    let by = |pop: &str| vec![("pop", pop.to_owned())];
    let outcomes = own().flat_map(|(pop, probe)| {
        What::ALL.map(|what| {
            let n = probe.outcomes.get(what.label()).copied().unwrap_or(0);
            (vec![("pop", pop.to_owned()), ("result", what.label().to_owned())], n)
        })
    });
    page.counter("probe_outcomes", "Probes made here, by what they found", outcomes);
    let took = own().map(|(pop, probe)| (by(pop), probe.took_seconds));
    page.gauge("probe_duration_seconds", "Time that the last probe took", took);
    let places = probed().flat_map(|(pop, probe)| {
        probe.places.iter().map(move |place| {
            let labels = vec![("pop", pop.to_owned()), ("place", place.place.clone())];
            (labels, flag(place.up))
        })
    });
    page.gauge("probe_up", "1 where a place finds the POP up, by rise and fall", places);
    let one = |value| [(Labels::new(), value)];
    let late = "How long after it was due the last probe began: above 0 where [probe] limits what policies ask for";
    page.gauge("probe_delay_seconds", late, one(source.probes.late_secs()));
    let dropped = [(Labels::new(), source.probes.dropped())];
    page.counter("probe_dropped", "Outcomes that the control loop was too late for", dropped);
}
