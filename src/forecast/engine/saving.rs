//! What a forecaster has learnt, kept from one process to the next ([`saved`](crate::forecast::saved)).

use super::Forecaster;
use crate::forecast::saved::{Reader, Writer};

impl Forecaster {
    /// What members have learnt, as octets; `None` before there is any of which something is kept.
    pub fn save_models(&self) -> Option<Vec<u8>> {
        let mut to = Writer::default();
        to.f64(self.history.secs(self.fitted_at?) as f64);
        to.list(self.leads.iter(), |to, lead| to.u32(*lead));
        let mut n = 0;
        to.list(self.settings.members.iter().zip(&self.members), |to, (method, member)| {
            to.text(method.name());
            let mut own = Writer::default();
            let saved = member.as_ref().is_some_and(|m| m.save(&mut own)).then(|| own.done());
            n += usize::from(saved.is_some());
            to.list(saved.iter(), |to, saved| to.octets(saved));
        });
        (n > 0).then(|| to.done())
    }

    /// What outcomes have taught about members and levels, as octets.
    pub fn save_records(&self) -> Vec<u8> {
        let mut to = Writer::default();
        to.list(self.records.iter(), |to, record| record.save(to));
        to.done()
    }

    /// Goes on with what was saved by a forecaster with the same members and leads. To be called when the past has been
    /// observed and nothing was fitted yet; members of which nothing is kept are fitted by the next [`fit`](Self::fit), which
    /// is wanted then and leaves the others as they are.
    ///
    /// # Errors
    /// Why it cannot be; then nothing has changed.
    pub fn restore(&mut self, models: &[u8], records: Option<&[u8]>) -> Result<(), &'static str> {
        const ODD: &str = "it is not as it was written";
        let mut r = Reader::open(models)?;
        let at =
            (r.f64().ok_or(ODD)? as i64).saturating_sub(self.history.start_secs) / i64::from(self.history.step_secs);
        if r.list(Reader::u32).ok_or(ODD)? != self.leads {
            return Err("it is for other leads");
        }
        let each: Vec<(&str, Vec<&[u8]>)> = r.list(|r| Some((r.text()?, r.list(Reader::octets)?))).ok_or(ODD)?;
        if !each.iter().map(|(name, _)| *name).eq(self.settings.members.iter().map(|m| m.name())) {
            return Err("it is of other members");
        }
        let at = usize::try_from(at).ok().filter(|at| (1..=self.history.len()).contains(at));
        let at = at.ok_or("the stored past does not reach back to it")?;
        let mut members = vec![];
        for ((_, saved), method) in each.iter().zip(&self.settings.members) {
            members.push(match saved.first() {
                Some(octets) => {
                    let restored = method.restore(&self.history, &mut Reader::open(octets)?);
                    Some(restored.ok_or("the stored past is too short for it, or it is of another form")?)
                }
                None if method.is_quick() => method.fit(&self.history, &self.known, &self.leads),
                None => None,
            });
        }
        if let Some(octets) = records {
            let mut r = Reader::open(octets)?;
            let own = &self.records;
            let mut k = 0..own.len();
            let restored = r.list(|r| own[k.next()?].restore(r)).filter(|records| records.len() == own.len());
            self.records = restored.ok_or(ODD)?;
        }
        self.is_partial = members.iter().any(Option::is_none);
        (self.members, self.fitted_at, self.next) = (members, Some(at), self.history.len());
        if let Some(t) = self.history.len().checked_sub(1) {
            self.follow(t);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::settings::Settings;
    use std::sync::Arc;

    fn value(i: usize) -> f64 {
        100.0 + (i as f64 * 0.022).sin() * 20.0 + (i * i % 13) as f64
    }

    fn seen(n: usize, without: &str) -> Forecaster {
        let settings = Settings::default().without(without).unwrap();
        let mut forecaster = Forecaster::new(1_000_000, 300, &[1, 3], settings.into());
        (0..n).for_each(|i| forecaster.observe(value(i)));
        forecaster
    }

    /// What goes on with saved models says what the one that saved them says, and trusts them as much.
    #[test]
    fn saved_models_say_the_same() {
        let mut first = seen(900, "holt-winters");
        first.fit();
        (900..960).for_each(|i| first.observe(value(i)));
        let said = first.forecast(&[1, 2, 3]);
        let (models, records) = (first.save_models().unwrap(), first.save_records());
        let mut second = seen(960, "holt-winters");
        assert_eq!(second.restore(&models, Some(&records)), Ok(()));
        assert!(!second.wants_fit() && second.fitted_at() == Some(900));
        assert_eq!(second.forecast(&[1, 2, 3]), said);
        assert_eq!(second.accuracy(0), first.accuracy(0));
        assert!(models.len() < 300_000 && records.len() < 3_000, "{} {}", models.len(), records.len());
    }

    /// A member of which nothing is kept is fitted when it is its turn, and the others stay as they are.
    #[test]
    fn what_is_missing_is_fitted_alone() {
        let mut first = seen(900, "calibration");
        first.fit();
        let mut second = seen(920, "calibration");
        second.restore(&first.save_models().unwrap(), None).unwrap();
        assert!(second.wants_fit() && second.members[0].is_some());
        second.fit();
        assert_eq!((second.wants_fit(), second.fitted_at()), (false, Some(900)));
        assert!(second.explain(0).unwrap().parts.iter().all(|part| part.fitted));
    }

    #[test]
    fn what_does_not_fit_is_refused_and_changes_nothing() {
        let mut first = seen(900, "holt-winters");
        first.fit();
        let models = first.save_models().unwrap();
        let mut bad = models.clone();
        bad[5000] ^= 1;
        let mut other =
            Forecaster::new(1_000_000, 300, &[1, 6], Arc::new(Settings::default().without("holt-winters").unwrap()));
        let cases = [
            (seen(900, "holt-winters").restore(&bad, None), "checksum"),
            (seen(900, "holt-winters").restore(&models, Some(&models)), "as it was written"),
            (seen(900, "calibration").restore(&models, None), "other members"),
            (other.restore(&models, None), "other leads"),
            (seen(300, "holt-winters").restore(&models, None), "reach back"),
            (seen(900, "holt-winters").restore(&[], None), "cut off"),
        ];
        for (got, why) in cases {
            assert!(got.is_err_and(|e| e.contains(why)), "{why}");
        }
        let mut second = seen(900, "holt-winters");
        second.restore(&bad, None).unwrap_err();
        assert!(second.wants_fit() && second.members[0].is_none());
    }
}
