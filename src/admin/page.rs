//! Families of series on their way into OpenMetrics text.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet as NoExemplar};
use prometheus_client::metrics::MetricType;
use std::fmt;

/// Names and values that tell the series of a family apart.
pub(super) type Labels = Vec<(&'static str, String)>;

/// Families of series, in the order they are added.
#[derive(Debug, Default)]
pub(super) struct Page(Vec<Series>);

#[derive(Debug)]
struct Series {
    name: String,
    help: &'static str,
    rows: Rows,
}

#[derive(Debug)]
enum Rows {
    Gauge(Vec<(Labels, f64)>),
    Counter(Vec<(Labels, u64)>),
    /// A counter of time.
    Seconds(f64),
}

impl Page {
    /// A gauge with one value per row of labels. `name` ends in its unit.
    pub(super) fn gauge(&mut self, name: &str, help: &'static str, rows: impl IntoIterator<Item = (Labels, f64)>) {
        let rows = Rows::Gauge(rows.into_iter().collect());
        self.0.push(Series { name: format!("floodway_{name}"), help, rows });
    }

    /// A counter likewise; the text adds `_total` to its name.
    pub(super) fn counter(&mut self, name: &str, help: &'static str, rows: impl IntoIterator<Item = (Labels, u64)>) {
        let rows = Rows::Counter(rows.into_iter().collect());
        self.0.push(Series { name: format!("floodway_{name}"), help, rows });
    }

    /// A gauge under a name that others have given it; nothing if it is not known.
    pub(super) fn foreign(&mut self, name: &str, help: &'static str, value: Option<f64>) {
        let rows = Rows::Gauge(value.into_iter().map(|value| (Labels::new(), value)).collect());
        self.0.push(Series { name: name.into(), help, rows });
    }

    /// A counter of seconds likewise.
    pub(super) fn foreign_seconds(&mut self, name: &str, help: &'static str, secs: f64) {
        self.0.push(Series { name: name.into(), help, rows: Rows::Seconds(secs) });
    }
}

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for Series { name, help, rows } in &self.0 {
            match rows {
                Rows::Gauge(rows) => {
                    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
                    for (labels, value) in rows {
                        match labels.is_empty() {
                            true => family.encode_gauge(value)?,
                            false => family.encode_family(labels)?.encode_gauge(value)?,
                        }
                    }
                }
                Rows::Seconds(secs) => {
                    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
                    family.encode_counter::<NoExemplar, _, u64>(secs, None)?;
                }
                Rows::Counter(rows) => {
                    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
                    for (labels, value) in rows {
                        match labels.is_empty() {
                            true => family.encode_counter::<NoExemplar, _, u64>(value, None)?,
                            false => {
                                family.encode_family(labels)?.encode_counter::<NoExemplar, _, u64>(value, None)?;
                            }
                        }
                    }
                }
            }
        }
        Ok(())
    }
}
