//! Connections that should end: of members that get no new answers, at POPs that are still asked.
//!
//! Answers leave a member within a TTL, connections stay. A POP that is told an age beyond which its connections should be closed
//! (gRPC `GOAWAY`, HTTP/2 `GOAWAY`, `Connection: close`) lets go of its clients with the answers. No sooner: a client whose
//! connection ends while its resolver still holds the answer comes back.

use crate::policy::Policies;
use crate::steering::Plan;
use crate::telemetry::board::Drain;

/// What is asked of POPs by a plan, in the order of the policies; the same until it changes.
pub fn drains(plan: &Plan, policies: &Policies) -> Vec<Drain> {
    let mut drains = Vec::new();
    for (group, spec) in plan.groups.iter().zip(&policies.groups) {
        for (member, of) in spec.members.iter().zip(&group.members) {
            let (Some(pop), Err(why)) = (member.pop, of.usable) else { continue };
            let reason = match why {
                "Drained" => "an operator drains it",
                "Open" => "its breaker is Open",
                "Draining" => "it is no longer needed",
                // Who has not begun has nobody.
                _ => continue,
            };
            drains.push(Drain {
                pop: policies.pops[pop.idx()].name.clone(),
                group: spec.name.clone(),
                member: member.name.clone(),
                max_connection_age_secs: spec.ttl_max,
                reason,
            });
        }
    }
    drains
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::declared::declared_plan;
    use crate::control::fixture;

    #[test]
    fn who_gets_no_answers_but_may_have_clients_is_told() {
        let (policies, cells) = (fixture::policies(), fixture::cells());
        let mut plan = declared_plan(&policies, &cells);
        assert_eq!(drains(&plan, &policies), [], "a Cold shadow has no clients");
        for (m, why) in [(0, "Drained"), (2, "Open"), (4, "Draining"), (5, "Drained")] {
            plan.groups[0].members[m].usable = Err(why);
        }
        let told: Vec<_> = drains(&plan, &policies)
            .into_iter()
            .map(|d| (d.pop.to_string(), d.max_connection_age_secs, d.reason))
            .collect();
        assert_eq!(
            told,
            [
                ("ams.pop.example.com.".to_string(), 60, "an operator drains it"),
                ("iad.pop.example.com.".to_string(), 60, "its breaker is Open"),
                ("dub.pop.example.com.".to_string(), 60, "it is no longer needed"),
            ],
            "an external member has no POP to tell"
        );
    }
}
