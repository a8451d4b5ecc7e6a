//! The named methods of the field, each behind [`Member`](crate::forecast::member::Member).
//!
//! | name | module | what it is |
//! |---|---|---|
//! | drift, yesterday, last week | [`naive`] | the methods to beat |
//! | ets | [`ets`] | exponential smoothing: level, linear or damped trend by AICc |
//! | holt-winters, mstl | [`seasonal`] | the season taken out by smoothing or by loess, ETS on the rest |
//! | arima | [`arima`] | conditional least squares, order by AICc |
//! | theta | [`theta`] | dynamic optimised theta |
//! | additive | [`additive`] | trend, Fourier seasons and known events, with errors that fade |
//! | gru | [`gru`] | small recurrent network, trained across series |
//!
//! All but the network say one value per lead ([`spread::Course`]) and get their quantiles from their own past errors in
//! local scales ([`spread`]). Their states follow from a bounded stretch of history, so a new value needs no new
//! fit. A fit reads at most some hundreds of values, or four weeks for the seasons: milliseconds each.

pub mod additive;
pub mod arima;
pub mod ets;
pub mod gru;
#[cfg(test)]
mod laws;
pub mod naive;
#[cfg(test)]
mod reference;
pub mod search;
pub mod seasonal;
pub mod spread;
pub mod theta;

use crate::forecast::member::Method;

/// Every method with its default settings, the cheap ones first.
pub fn all() -> Vec<Box<dyn Method>> {
    vec![
        Box::new(naive::Drift),
        Box::new(naive::SeasonalNaive::Day),
        Box::new(naive::SeasonalNaive::Week),
        Box::new(theta::Theta),
        Box::new(ets::Ets::Auto),
        Box::new(seasonal::HoltWinters),
        Box::new(additive::Additive),
        Box::new(arima::Arima::Auto),
        Box::new(seasonal::Mstl),
        Box::new(gru::Gru::default()),
    ]
}

/// The method of that name.
pub fn named(name: &str) -> Option<Box<dyn Method>> {
    all().into_iter().find(|m| m.name() == name)
}
