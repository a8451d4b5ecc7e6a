//! What the loop has learnt, on the page: forecasts, lags, gains, reserves.

use crate::admin::metrics::{Labels, Page};
use crate::control::foresight::{Foresight, LAGS, LeadForesight};
use crate::forecast::anomaly::Kind;

/// Adds how good forecasts are, by group and lead, and what they cost.
pub(super) fn add(page: &mut Page, seen: &Foresight) {
    let rows = |value: fn(&LeadForesight) -> Option<f64>| {
        let leads = seen.groups.iter().flat_map(|g| g.leads.iter().map(move |l| (&g.group, l)));
        let labels = |group: &str, lead: u32| -> Labels {
            vec![("group", group.to_owned()), ("lead_seconds", lead.to_string())]
        };
        leads.filter_map(|(group, l)| Some((labels(group, l.lead_seconds), value(l)?))).collect::<Vec<_>>()
    };
    page.gauge("forecast_accuracy_ratio", "1 - MAPE of the median over the last day", rows(|l| l.accuracy));
    page.gauge("forecast_mase_ratio", "Mean absolute error over that of: as a day before", rows(|l| l.mase));
    page.gauge("forecast_pinball_requests_per_second", "Mean pinball loss over all levels", rows(|l| Some(l.pinball)));
    page.gauge("forecast_covered_80_ratio", "Share of outcomes in the 80 % interval", rows(|l| Some(l.covered_80)));
    page.gauge("forecast_covered_95_ratio", "Share of outcomes in the 95 % interval", rows(|l| Some(l.covered_95)));
    page.gauge("forecast_above_99_ratio", "Share of outcomes above the 0.99 quantile", rows(|l| Some(l.above_99)));
    let weights = seen.groups.iter().flat_map(|g| {
        g.leads.iter().flat_map(move |l| {
            l.members.iter().map(move |m| {
                let lead = l.lead_seconds.to_string();
                (vec![("group", g.group.clone()), ("lead_seconds", lead), ("member", m.member.clone())], m.weight)
            })
        })
    });
    page.gauge("forecast_weight_ratio", "Weight of each member in the forecast", weights);
    let promotions = seen.groups.iter().flat_map(|g| {
        g.leads.iter().map(move |l| {
            (vec![("group", g.group.clone()), ("lead_seconds", l.lead_seconds.to_string())], l.promotions.into())
        })
    });
    page.counter("forecast_promotions", "Times that another way of combining members took over", promotions);
    let anomalies = seen.groups.iter().flat_map(|g| {
        Kind::ALL.map(|kind| {
            let is = g.anomaly.as_ref().is_some_and(|a| a.kind == kind.name());
            (vec![("group", g.group.clone()), ("kind", kind.name().to_owned())], f64::from(u8::from(is)))
        })
    });
    page.gauge("demand_anomaly", "1 for what is wrong with the demand of a group", anomalies);
    let lags = seen.groups.iter().flat_map(|g| {
        let row =
            move |(part, secs): (f64, f64)| (vec![("group", g.group.clone()), ("quantile", part.to_string())], secs);
        LAGS.into_iter().zip(g.lag_seconds).map(row)
    });
    page.gauge("lag_seconds", "Until this part of a group's requests goes by a new plan, as learned", lags);
    let gains = seen.groups.iter().flat_map(|g| {
        g.gains.iter().map(move |(member, gain)| (vec![("group", g.group.clone()), ("member", member.clone())], *gain))
    });
    page.gauge("member_gain_ratio", "Share of the load over the share of answers, as learned", gains);
    let reserves = seen.reserves.iter().map(|(pop, reserve)| (vec![("pop", pop.clone())], *reserve));
    page.gauge("pop_reserve_ratio", "Part of a POP's capacity that is kept free", reserves);
    page.counter("forecast_fits", "Fits made", [(Labels::new(), seen.fits)]);
    page.counter("forecast_failed_fits", "Fits that panicked", [(Labels::new(), seen.failed_fits)]);
    page.gauge("forecast_fit_cpu_seconds", "CPU time of all fits since the start", [(Labels::new(), seen.fit_seconds)]);
    page.gauge("forecast_bytes", "Memory of all forecasters, about", [(Labels::new(), seen.bytes as f64)]);
}
