//! HTTP for people and scrapers.
