//! Boosted regression trees whose leaves move a whole quantile function at once.
//!
//! ```text
//! F₀(x) = init          uᵢ = share of probability that Fₘ gives to values below yᵢ
//! tree: splits that most separate mean(u − ½) and mean(|u − ½| − ¼): where, and how wide
//! leaf: v_q = rate · n/(n + κ/(q(1−q))) · quantile_q{ yᵢ − Fₘ,q(xᵢ) : i in leaf }        Fₘ₊₁ = Fₘ + v
//! ```
//!
//! The gradient of the pinball loss summed over levels depends on `u` alone, so one tree serves all levels,
//! where one boosting per level (Friedman 2001, LightGBM) needs sixteen. Counts and sums of coded `u` are
//! integers packed in one word: one addition per row and feature, exact, hence the same on every machine.
//! Cost per tree: about `n·f·(1 + d/2)` additions and sixteen selections per leaf.

use crate::forecast::bins::{BINS, Binned};
use crate::forecast::quantiles::{LEVELS, N_LEVELS};
use crate::forecast::random;
use crate::forecast::saved::{Reader, Writer};

/// A quantile function in single precision, at [`LEVELS`].
pub type Curve = [f32; N_LEVELS];

/// How to grow. Defaults chosen on rows 42–100 % of the traffic series; the optimum is flat: 150 rounds
/// at 0.08 are no better, 75 at 0.16 lose 0.7 %, other leaves, shares and doubts less than the seed does.
#[derive(Clone, Debug, PartialEq)]
pub struct Growth {
    /// Trees, one after the other.
    pub rounds: usize,
    /// Most leaves of a tree.
    pub leaves: usize,
    /// Least rows in a leaf.
    pub least_rows: usize,
    /// Share of what a leaf finds that it moves by, in `(0, 1]`.
    pub rate: f32,
    /// Share of features each tree looks at, in `(0, 1]`.
    pub features: f64,
    /// What a split of width counts against one of place.
    pub width_gain: f64,
    /// Rows' worth of doubt in every gain.
    pub lambda: f64,
    /// `κ`: rows' worth of doubt in every leaf value; more towards the tails, where a leaf has few.
    pub kappa: f32,
    /// Rows of a leaf looked at for its quantiles.
    pub leaf_sample: usize,
    /// Seed of the choice of features.
    pub seed: u64,
}

impl Default for Growth {
    fn default() -> Self {
        Growth {
            rounds: 120,
            leaves: 12,
            least_rows: 20,
            rate: 0.1,
            features: 0.3,
            width_gain: 0.3,
            lambda: 5.0,
            kappa: 4.0,
            leaf_sample: 256,
            seed: 1,
        }
    }
}

/// Writes a curve for [`restore_curve`].
pub fn save_curve(curve: &Curve, to: &mut Writer) {
    curve.iter().for_each(|v| to.f32(*v));
}

/// Reads a curve that was saved.
pub fn restore_curve(saved: &mut Reader) -> Option<Curve> {
    let mut curve = [0.0; N_LEVELS];
    for v in &mut curve {
        *v = saved.f32()?;
    }
    Some(curve)
}

/// Stands where a saved split has its feature.
const LEAF: usize = u32::MAX as usize;

//----------- Forest ---------------------------------------------------------

/// Grown trees. Adds their leaves to a starting curve.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Forest {
    nodes: Vec<Node>,
    roots: Vec<u32>,
    leaves: Vec<Curve>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Node {
    /// To `left` where the feature is at most the threshold, else to the node after it.
    Split {
        feature: u16,
        threshold: f32,
        left: u32,
    },
    Leaf(u32),
}

impl Forest {
    /// Adds to `curve` what every tree says about `x`, a row of the features it was grown on.
    pub fn add(&self, x: &[f32], curve: &mut Curve) {
        for root in &self.roots {
            let mut at = *root;
            let leaf = loop {
                match self.nodes[at as usize] {
                    Node::Leaf(leaf) => break leaf,
                    Node::Split { feature, threshold, left } => {
                        at = left + u32::from(x[feature as usize] > threshold);
                    }
                }
            };
            curve.iter_mut().zip(&self.leaves[leaf as usize]).for_each(|(c, v)| *c += v);
        }
    }

    /// Bytes held.
    pub fn size(&self) -> usize {
        self.nodes.len() * size_of::<Node>() + self.leaves.len() * size_of::<Curve>() + self.roots.len() * 4
    }

    /// Writes it for [`restore`](Forest::restore).
    pub fn save(&self, to: &mut Writer) {
        to.list(self.roots.iter(), |to, root| to.u32(*root as usize));
        to.list(self.nodes.iter(), |to, node| match node {
            Node::Leaf(leaf) => {
                to.u32(LEAF);
                to.u32(*leaf as usize);
            }
            Node::Split { feature, threshold, left } => {
                to.u32(usize::from(*feature));
                to.f32(*threshold);
                to.u32(*left as usize);
            }
        });
        to.list(self.leaves.iter(), |to, leaf| save_curve(leaf, to));
    }

    /// Reads what was saved; `None` unless every way down it ends in a leaf and asks for one of `width` features.
    pub fn restore(saved: &mut Reader, width: usize) -> Option<Forest> {
        let roots = saved.list(|r| r.u32().map(|root| root as u32))?;
        let node = |r: &mut Reader| match r.u32()? {
            LEAF => Some(Node::Leaf(r.u32()? as u32)),
            feature => {
                Some(Node::Split { feature: u16::try_from(feature).ok()?, threshold: r.f32()?, left: r.u32()? as u32 })
            }
        };
        let nodes = saved.list(node)?;
        let leaves = saved.list(restore_curve)?;
        let sound = |(at, node): (usize, &Node)| match *node {
            Node::Leaf(leaf) => (leaf as usize) < leaves.len(),
            // Ways lead on, so they end.
            Node::Split { feature, left, .. } => {
                (feature as usize) < width && left as usize > at && left as usize + 1 < nodes.len()
            }
        };
        let is_sound = nodes.iter().enumerate().all(sound) && roots.iter().all(|root| (*root as usize) < nodes.len());
        is_sound.then_some(Forest { nodes, roots, leaves })
    }

    /// Grows on the rows of `binned` with targets `y`, from the curve `init` for all. Fewer than two least
    /// leaves of rows grow nothing.
    pub fn grow(binned: &Binned, y: &[f32], init: &Curve, growth: &Growth) -> Forest {
        let (n, width) = (binned.n, binned.edges.len());
        let mut forest = Forest::default();
        if n < 2 * growth.least_rows || n > MOST_ROWS {
            return forest;
        }
        let codes = codes();
        let mut rng = growth.seed;
        let mut features: Vec<usize> = (0..width).collect();
        let tried = ((width as f64 * growth.features).ceil() as usize).clamp(1, width);
        let mut fitted: Vec<Curve> = vec![*init; n];
        let mut coded = vec![0; n];
        let mut buffer = vec![];
        for _ in 0..growth.rounds {
            for ((code, y), curve) in coded.iter_mut().zip(y).zip(&fitted) {
                *code = codes[curve.iter().map(|v| usize::from(y > v)).sum::<usize>()];
            }
            for k in 0..tried {
                let other = k + below(&mut rng, width - k);
                features.swap(k, other);
            }
            let mut tree = Tree::new(binned, &coded, &features[..tried], growth);
            forest.roots.push(forest.nodes.len() as u32);
            tree.split_all(&mut forest.nodes);
            for branch in &tree.branches {
                let rows = &tree.order[branch.from..branch.to];
                let leaf = leaf(rows, y, &fitted, growth, &mut buffer);
                forest.nodes[branch.node] = Node::Leaf(forest.leaves.len() as u32);
                forest.leaves.push(leaf);
                for row in rows {
                    fitted[*row as usize].iter_mut().zip(&leaf).for_each(|(f, v)| *f += v);
                }
            }
        }
        forest
    }
}

/// The curve by which a leaf with these rows moves.
fn leaf(rows: &[u32], y: &[f32], fitted: &[Curve], growth: &Growth, buffer: &mut Vec<f32>) -> Curve {
    let stride = rows.len().div_ceil(growth.leaf_sample.max(1));
    std::array::from_fn(|q| {
        buffer.clear();
        buffer.extend(rows.iter().step_by(stride).map(|i| y[*i as usize] - fitted[*i as usize][q]));
        let (n, level) = (buffer.len() as f32, LEVELS[q] as f32);
        let at = (level * (n + 1.0) - 0.5).clamp(0.0, n - 1.0) as usize;
        let (_, middle, _) = buffer.select_nth_unstable_by(at, f32::total_cmp);
        let heard = rows.len() as f32 * level * (1.0 - level);
        *middle * growth.rate * heard / (heard + growth.kappa)
    })
}

//----------- Tree -----------------------------------------------------------

/// One tree while it grows: best gain first.
struct Tree<'a> {
    binned: &'a Binned,
    coded: &'a [u64],
    features: &'a [usize],
    growth: &'a Growth,
    /// Rows, those of one branch side by side.
    order: Vec<u32>,
    branches: Vec<Branch>,
    spare: Vec<u32>,
}

struct Branch {
    from: usize,
    to: usize,
    node: usize,
    histogram: Vec<u64>,
    best: Option<Split>,
}

#[derive(Clone, Copy)]
struct Split {
    gain: f64,
    feature: usize,
    bin: usize,
}

impl Tree<'_> {
    fn new<'a>(binned: &'a Binned, coded: &'a [u64], features: &'a [usize], growth: &'a Growth) -> Tree<'a> {
        let order = (0..binned.n as u32).collect();
        Tree { binned, coded, features, growth, order, branches: vec![], spare: Vec::with_capacity(binned.n) }
    }

    /// Splits until no split gains or the leaves are as many as allowed; nodes go to the end of `nodes`,
    /// branches that are left are the leaves.
    fn split_all(&mut self, nodes: &mut Vec<Node>) {
        let all = self.histogram(0, self.order.len());
        let best = self.best(&all);
        self.branches.push(Branch { from: 0, to: self.order.len(), node: nodes.len(), histogram: all, best });
        nodes.push(Node::Leaf(0));
        while self.branches.len() < self.growth.leaves {
            let gain = |b: &Branch| b.best.map_or(0.0, |s| s.gain);
            let next =
                (0..self.branches.len()).max_by(|a, b| gain(&self.branches[*a]).total_cmp(&gain(&self.branches[*b])));
            let Some(next) = next.filter(|k| self.branches[*k].best.is_some()) else { return };
            let parent = self.branches.swap_remove(next);
            self.split(parent, nodes);
        }
    }

    fn split(&mut self, parent: Branch, nodes: &mut Vec<Node>) {
        let Some(split) = parent.best else { return };
        let middle = self.part(parent.from, parent.to, split);
        let left = nodes.len();
        nodes[parent.node] = Node::Split {
            feature: split.feature as u16,
            threshold: self.binned.edges[split.feature][split.bin],
            left: left as u32,
        };
        nodes.extend([Node::Leaf(0), Node::Leaf(0)]);
        // The smaller side is counted, the larger is what remains.
        let sides = [(parent.from, middle, left), (middle, parent.to, left + 1)];
        let [small, large] = if middle - parent.from <= parent.to - middle { sides } else { [sides[1], sides[0]] };
        let counted = self.histogram(small.0, small.1);
        let mut rest = parent.histogram;
        rest.iter_mut().zip(&counted).for_each(|(r, c)| *r -= c);
        for ((from, to, node), histogram) in [(small, counted), (large, rest)] {
            let best = self.best(&histogram);
            self.branches.push(Branch { from, to, node, histogram, best });
        }
    }

    /// Puts rows at or under the split first, in order; returns where the others begin.
    fn part(&mut self, from: usize, to: usize, split: Split) -> usize {
        let column = self.binned.column(split.feature);
        self.spare.clear();
        let mut middle = from;
        for k in from..to {
            let row = self.order[k];
            if usize::from(column[row as usize]) <= split.bin {
                self.order[middle] = row;
                middle += 1;
            } else {
                self.spare.push(row);
            }
        }
        self.order[middle..to].copy_from_slice(&self.spare);
        middle
    }

    /// Codes summed by bin, for each feature tried.
    fn histogram(&self, from: usize, to: usize) -> Vec<u64> {
        let mut sums = vec![0; self.features.len() * BINS];
        for (sums, feature) in sums.chunks_mut(BINS).zip(self.features) {
            let column = self.binned.column(*feature);
            let sums: &mut [u64; BINS] = sums.try_into().expect("a chunk has BINS sums");
            for row in &self.order[from..to] {
                sums[usize::from(column[*row as usize]) % BINS] += self.coded[*row as usize];
            }
        }
        sums
    }

    fn best(&self, histogram: &[u64]) -> Option<Split> {
        let growth = self.growth;
        let score = |sums: u64| {
            let (n, place, width) = unpack(sums);
            let (place, width) = (place - CODE_MIDDLE * n, width - CODE_MIDDLE * n);
            (place * place + growth.width_gain * width * width) / (n + growth.lambda)
        };
        let all: u64 = histogram[..BINS].iter().sum();
        let (n, whole, least) = (unpack(all).0, score(all), growth.least_rows as f64);
        let mut best: Option<Split> = None;
        for (sums, feature) in histogram.chunks(BINS).zip(self.features) {
            let mut left = 0;
            for (bin, sum) in sums[..self.binned.edges[*feature].len()].iter().enumerate() {
                left += sum;
                let n_left = unpack(left).0;
                if *sum == 0 || n_left < least {
                    continue;
                }
                if n - n_left < least {
                    break;
                }
                let gain = score(left) + score(all - left) - whole;
                if gain > best.map_or(0.0, |b| b.gain) {
                    best = Some(Split { gain, feature: *feature, bin });
                }
            }
        }
        best
    }
}

//----------- Codes ----------------------------------------------------------

/// Bits of the count and of the sum of places in a packed word; the sum of widths takes the rest.
const COUNT_BITS: u32 = 20;
const SUM_BITS: u32 = 22;
/// Codes run from 0 to twice this.
const CODE_MIDDLE: f64 = 15.0;
/// More rows could overflow a sum.
const MOST_ROWS: usize = (1 << SUM_BITS) / 30;

/// For each number of levels below an outcome, packed: one row, `u` and `2·|u − ½|` on 0 to 30, where `u`
/// is the middle of the probability between the neighbouring levels.
fn codes() -> [u64; N_LEVELS + 1] {
    std::array::from_fn(|rank| {
        let low = if rank == 0 { 0.0 } else { LEVELS[rank - 1] };
        let high = LEVELS.get(rank).copied().unwrap_or(1.0);
        let u = (low + high) / 2.0;
        let place = (2.0 * CODE_MIDDLE * u).round() as u64;
        let width = (4.0 * CODE_MIDDLE * (u - 0.5).abs()).round() as u64;
        1 | place << COUNT_BITS | width << (COUNT_BITS + SUM_BITS)
    })
}

fn unpack(sums: u64) -> (f64, f64, f64) {
    let count = sums & ((1 << COUNT_BITS) - 1);
    let place = sums >> COUNT_BITS & ((1 << SUM_BITS) - 1);
    (count as f64, place as f64, (sums >> (COUNT_BITS + SUM_BITS)) as f64)
}

/// A number below `n > 0`.
fn below(state: &mut u64, n: usize) -> usize {
    (((random::next(state) >> 32) * n as u64) >> 32) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One feature says where, another how wide; the forest must find both from the same trees.
    #[test]
    fn leaves_learn_place_and_width() {
        let mut rng = 5;
        let mut unit = || below(&mut rng, 1 << 20) as f32 / (1 << 20) as f32;
        let (mut x, mut y) = (vec![], vec![]);
        for _ in 0..4000 {
            let (a, b, e) = (unit(), unit(), unit() - 0.5);
            x.extend([a, b]);
            y.push(if a > 0.5 { 10.0 } else { 0.0 } + e * if b > 0.5 { 8.0 } else { 1.0 });
        }
        let samples: Vec<Vec<f32>> = (0..2)
            .map(|f| {
                let mut s: Vec<f32> = x.iter().skip(f).step_by(2).copied().collect();
                s.sort_unstable_by(f32::total_cmp);
                s
            })
            .collect();
        let growth = Growth { features: 1.0, ..Growth::default() };
        let forest = Forest::grow(&Binned::new(&x, &samples), &y, &[5.0; N_LEVELS], &growth);
        let at = |x: [f32; 2]| {
            let mut curve = [5.0; N_LEVELS];
            forest.add(&x, &mut curve);
            curve
        };
        let (wide, narrow) = (at([0.9, 0.9]), at([0.1, 0.1]));
        assert!((wide[7] - 10.0).abs() < 1.0 && narrow[7].abs() < 0.5, "{wide:?} {narrow:?}");
        assert!((wide[11] - wide[3] - 6.4).abs() < 1.0 && (narrow[11] - narrow[3] - 0.8).abs() < 0.5);
    }

    #[test]
    fn too_few_rows_grow_nothing() {
        let x: Vec<f32> = (0..30).map(|i| i as f32).collect();
        let forest = Forest::grow(&Binned::new(&x, std::slice::from_ref(&x)), &x, &[0.0; N_LEVELS], &Growth::default());
        assert_eq!(forest, Forest::default());
    }
}
