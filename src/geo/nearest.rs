//! Geometry on the sphere: which sites are nearest to a spot, and where the middle of many spots is.

use crate::geo::runs::Interner;
use crate::geo::survey::Spot;
use crate::units::LatLon;

/// The nearest sites of every spot.
pub struct Nearest {
    pub sites: Vec<LatLon>,
    /// For each spot, its tuple.
    pub of_spot: Vec<u32>,
    /// Positions in `sites`, one per view; tuple 0 is empty: no coordinates.
    pub tuples: Interner<Vec<u32>>,
}

impl Nearest {
    pub fn new(spots: &Interner<Spot>, views: &[Vec<LatLon>]) -> Nearest {
        // Sites and views are sorted by what they are, so that names and ties do not hang on their order.
        let order = |a: &LatLon, b: &LatLon| a.lat.total_cmp(&b.lat).then(a.lon.total_cmp(&b.lon));
        let mut sites: Vec<LatLon> = views.iter().flatten().copied().collect();
        sites.sort_by(order);
        sites.dedup();
        let mut views: Vec<Vec<u32>> = views
            .iter()
            .map(|view| {
                let mut idx: Vec<u32> =
                    view.iter().map(|at| sites.partition_point(|s| order(s, at).is_lt()) as u32).collect();
                idx.sort_unstable();
                idx.dedup();
                idx
            })
            .filter(|view| !view.is_empty())
            .collect();
        views.sort_unstable();
        views.dedup();
        let vectors: Vec<[f64; 3]> = sites.iter().map(|&at| on_sphere(at)).collect();
        let mut tuples = Interner::with(vec![vec![]]);
        let of_spot = spots
            .values
            .iter()
            .map(|spot| match spot.at() {
                None => 0,
                Some(at) => {
                    let v = on_sphere(at);
                    let closeness: Vec<f64> = vectors.iter().map(|s| dot(*s, v)).collect();
                    let best = |view: &Vec<u32>| {
                        let better = |a: u32, b: u32| if closeness[b as usize] > closeness[a as usize] { b } else { a };
                        view.iter().copied().reduce(better).unwrap_or(0)
                    };
                    tuples.id(views.iter().map(best).collect())
                }
            })
            .collect();
        Nearest { sites, of_spot, tuples }
    }
}

/// A point as a vector of length 1.
fn on_sphere(at: LatLon) -> [f64; 3] {
    let (lat, lon) = (at.lat.to_radians(), at.lon.to_radians());
    [lat.cos() * lon.cos(), lat.cos() * lon.sin(), lat.sin()]
}

fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/// Weighted mean of points on the sphere: the direction of the sum of their vectors.
#[derive(Clone, Copy, Default)]
pub struct Mean {
    sum: [f64; 3],
    weight: f64,
}

impl Mean {
    pub fn add(&mut self, at: LatLon, weight: f64) {
        let v = on_sphere(at);
        (0..3).for_each(|i| self.sum[i] += weight * v[i]);
        self.weight += weight;
    }

    pub fn at(&self) -> Option<LatLon> {
        let [x, y, z] = self.sum;
        let degrees = |radians: f64| (radians.to_degrees() * 1e4).round() / 1e4;
        (dot(self.sum, self.sum) > 0.0).then(|| LatLon { lat: degrees(z.atan2(x.hypot(y))), lon: degrees(y.atan2(x)) })
    }

    /// Root mean square distance from the mean, in kilometres, along the chord: with mean vector length r,
    /// the mean of |v − m|² over unit vectors is 2 (1 − r).
    pub fn spread_km(&self) -> f64 {
        let r = if self.weight > 0.0 { dot(self.sum, self.sum).sqrt() / self.weight } else { 1.0 };
        6371.0 * (2.0 * (1.0 - r).max(0.0)).sqrt()
    }
}
