//! Fits forecasters beside the control loop, within a budget of CPU time.
//!
//! The loop hands over one job at a time and goes on; what comes back is taken over at a later beat. After a job
//! the fitter rests as long as its budget asks: `cost · (60 / budget − 1)` seconds. With many groups, fits are then
//! older, and new groups are forecast by what was learnt from the others until it is their turn.

use crate::clock::Now;
use crate::control::outlook::Urgency;
use crate::control::state::State;
use crate::forecast::direct::{Direct, Shared};
use crate::forecast::engine::{Fits, Fitting};
use crate::forecast::history::History;
use crate::wire::Name;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};

/// Series that shared models are learnt from, at most.
const MOST_TEACHERS: usize = 16;
/// Steps of history that make a teacher: half a day of minutes.
const TEACHER_STEPS: usize = 720;
/// Seconds after which shared models are learnt anew; at first sooner, since teachers are young.
const SHARED_SECS: [f64; 2] = [3_600.0, 86_400.0];

//----------- Job ------------------------------------------------------------

/// Something to be fitted.
#[derive(Debug)]
pub enum Job {
    /// The members of one group.
    Group(Name, Box<Fitting>),
    /// The shared models, from the histories of some groups.
    Shared(Vec<History>, Vec<usize>),
}

/// What came of a job.
#[derive(Debug)]
pub enum Done {
    /// See [`Job::Group`].
    Group(Name, Box<Fits>),
    /// See [`Job::Shared`].
    Shared(Box<Shared>),
}

impl Job {
    /// Does it. Milliseconds to seconds.
    pub fn run(self) -> Done {
        match self {
            Job::Group(name, fitting) => Done::Group(name, Box::new(fitting.run())),
            Job::Shared(histories, leads) => {
                let histories: Vec<&History> = histories.iter().collect();
                Done::Shared(Box::new(Shared::learn(&Direct::default(), &histories, &leads)))
            }
        }
    }
}

/// The job that is wanted most: shared models when they are due, then groups without a fit, then the oldest fit.
pub fn wanted(state: &State, now: Now) -> Option<Job> {
    let layout = state.layout.as_ref()?;
    let groups = || layout.policies.groups.iter().zip(&state.groups);
    let teachers = || groups().filter(|(_, g)| g.outlook.forecaster().history().age() >= TEACHER_STEPS);
    let due = match state.shared_at {
        None => teachers().count() >= 2,
        Some(at) => {
            let young = teachers().all(|(_, g)| g.outlook.forecaster().history().age() < 4 * TEACHER_STEPS);
            now.since(at) >= SHARED_SECS[usize::from(!young)]
        }
    };
    if due && layout.policies.groups.len() >= 2 {
        let stride = teachers().count().div_ceil(MOST_TEACHERS).max(1);
        let histories = teachers().step_by(stride).map(|(_, g)| g.outlook.forecaster().history().clone()).collect();
        let leads = state.groups.iter().flat_map(|g| g.outlook.forecaster().leads().iter().copied());
        let leads: std::collections::BTreeSet<usize> = leads.collect();
        return Some(Job::Shared(histories, leads.into_iter().collect()));
    }
    let wanting = groups().filter_map(|(spec, g)| Some((spec, g.outlook.fitting()?)));
    let (spec, (_, fitting)) = wanting.max_by_key(|(_, (urgency, _)): &(_, (Urgency, _))| *urgency)?;
    Some(Job::Group(spec.name.clone(), Box::new(fitting())))
}

/// Takes over what was fitted; a group that is gone meanwhile is passed over.
pub fn take_over(state: &mut State, done: Done, now: Now) {
    match done {
        Done::Group(name, fits) => {
            let at = state.layout.as_ref().and_then(|layout| layout.group_idx.get(&name));
            if let Some(group) = at.and_then(|g| state.groups.get_mut(g.idx())) {
                group.outlook.adopt(*fits);
            }
        }
        Done::Shared(shared) => {
            state.shared_at = Some(now);
            state.thrift.shared = shared.into();
            equip(state);
        }
    }
}

/// Gives every outlook the members and the length of history that so many groups can have.
pub fn equip(state: &mut State) {
    let settings = state.thrift.settings(state.groups.len());
    state.groups.iter_mut().for_each(|group| group.outlook.equip(&settings));
    state.tier = state.thrift.tier(state.groups.len());
}

//----------- Fitter ---------------------------------------------------------

/// The thread that fits, as the loop sees it.
#[derive(Debug)]
pub struct Fitter {
    jobs: Sender<Job>,
    results: Receiver<Result<(Done, f64), ()>>,
    /// Since when it has been at the job that is not done.
    busy: Option<Now>,
    not_before: f64,
    /// Seconds of CPU time per minute.
    budget: f64,
    /// Jobs done, and those that panicked.
    pub done: u64,
    /// See `done`.
    pub failed: u64,
    /// Seconds of CPU time spent.
    pub spent_secs: f64,
}

impl Fitter {
    /// Starts the thread; it ends when this is dropped, after the job it is in.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn start(budget: f64) -> std::io::Result<Fitter> {
        let (jobs, handed) = channel::<Job>();
        let (tell, results) = channel();
        let work = move || {
            crate::control::live::give_way();
            for job in handed {
                let began = cpu_secs();
                let done = catch_unwind(AssertUnwindSafe(|| job.run())).map_err(|_| ());
                if tell.send(done.map(|done| (done, cpu_secs() - began))).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("fitter".into()).spawn(work)?;
        Ok(Fitter { jobs, results, busy: None, not_before: 0.0, budget, done: 0, failed: 0, spent_secs: 0.0 })
    }

    /// Since when it has been at the job that is not done.
    pub fn busy_since(&self) -> Option<Now> {
        self.busy
    }

    /// One beat: takes over what is done, and hands over the next job when the budget allows one.
    pub fn step(&mut self, state: &mut State, now: Now) {
        match self.results.try_recv() {
            Ok(Ok((done, cost))) => {
                self.busy = None;
                self.done += 1;
                self.spent_secs += cost;
                self.not_before = now.mono + cost * (60.0 / self.budget - 1.0).max(0.0);
                take_over(state, done, now);
            }
            Ok(Err(())) => {
                self.busy = None;
                self.failed += 1;
                // What made it panic will be there for a while.
                self.not_before = now.mono + 60.0;
                tracing::error!("a fit of a forecaster panicked; the last one goes on");
            }
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => {}
        }
        if self.busy.is_some() || now.mono < self.not_before {
            return;
        }
        if let Some(job) = wanted(state, now) {
            // A thread that is gone is busy for ever.
            let _ = self.jobs.send(job);
            self.busy = Some(now);
        }
    }
}

/// CPU time of the calling thread, seconds.
fn cpu_secs() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec of ours; the clock exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}
