//! Policies: what operators decide about POPs, target groups, members, routes and steered names.

pub mod value;

pub use value::{
    AllDown, BreakerConfig, Effect, ForecastUse, Group, Member, Pick, Policies, Pop, Role, Route, Steer, SteerBy,
};
