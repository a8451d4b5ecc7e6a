//! `deploy/floodway.toml` is what operators learn the settings from: every key is in it, and what it says is so.
//!
//! Which keys there are is asked of the types themselves: a deserializer that has no document goes down a path of keys, and
//! serde hands it the names of the fields that it finds there.

use floodway::cli::config::Config;
use serde::Deserialize;
use serde::de::value::{Error, StrDeserializer};
use serde::de::{DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use std::cell::RefCell;

/// The key that stands for those that operators choose, such as the name of a zone.
const ANY: &str = "*";

fn file() -> String {
    std::fs::read_to_string("deploy/floodway.toml").expect("the file is part of the source")
}

//----------- What there is --------------------------------------------------

/// What is found at the end of a path.
#[derive(Default)]
struct Found {
    /// Fields of the struct there; empty for a plain value.
    fields: Vec<&'static str>,
    /// Whether keys are chosen by operators there.
    is_map: bool,
}

/// Goes down `path` and notes what is there.
#[derive(Clone, Copy)]
struct Probe<'a> {
    path: &'a [&'static str],
    found: &'a RefCell<Found>,
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("a plain value"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if self.path.is_empty() {
            self.found.borrow_mut().fields = fields.to_vec();
            return Err(Error::custom("the end of the path"));
        }
        visitor.visit_map(Step(self))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.path.is_empty() {
            self.found.borrow_mut().is_map = true;
            return Err(Error::custom("the end of the path"));
        }
        visitor.visit_map(Step(self))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(Step(self))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf unit unit_struct tuple tuple_struct
        enum identifier ignored_any
    }
}

/// One entry: the first key of the path, or an element of a list.
struct Step<'a>(Probe<'a>);

impl<'de> MapAccess<'de> for Step<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let key: StrDeserializer<'_, Error> = self.0.path[0].into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(Probe { path: &self.0.path[1..], ..self.0 })
    }
}

impl<'de> SeqAccess<'de> for Step<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        seed.deserialize(self.0).map(Some)
    }
}

/// Every key that holds a plain value, as a path.
fn keys() -> Vec<Vec<&'static str>> {
    let (mut open, mut keys) = (vec![Vec::new()], Vec::new());
    while let Some(path) = open.pop() {
        let found = RefCell::new(Found::default());
        let end = Config::deserialize(Probe { path: &path, found: &found });
        assert!(end.is_err(), "{path:?} leads nowhere");
        let Found { fields, is_map } = found.into_inner();
        match (fields.is_empty(), is_map) {
            (true, false) => keys.push(path),
            (true, true) => open.push([&path[..], &[ANY]].concat()),
            (false, _) => open.extend(fields.into_iter().map(|field| [&path[..], &[field]].concat())),
        }
    }
    keys
}

//----------- What the file says ---------------------------------------------

/// A line without the mark of a setting that is commented out, within a table that is, too.
fn bare(line: &str) -> &str {
    line.trim_start_matches("# ")
}

/// The path of a table's header, `None` for other lines: `[zone."example.com."]` is `zone.*`.
fn header(line: &str) -> Option<Vec<String>> {
    let inner = bare(line).strip_prefix('[')?.split(" #").next()?.trim_end();
    let inner = inner.strip_suffix(']')?;
    let inner = inner.strip_prefix('[').map_or(inner, |list| list.strip_suffix(']').unwrap_or(list));
    let mut path = Vec::new();
    for (i, part) in inner.split('"').enumerate() {
        match i % 2 {
            1 => path.push(ANY.to_owned()),
            _ => path.extend(part.split('.').filter(|key| !key.is_empty()).map(str::to_owned)),
        }
    }
    Some(path)
}

/// Every key that the file has a line for, set or commented out.
fn told(text: &str) -> Vec<Vec<String>> {
    let (mut table, mut told) = (Vec::new(), Vec::new());
    for line in text.lines() {
        if let Some(path) = header(line) {
            table = path;
        } else if let Some((key, _)) = bare(line).split_once(" = ")
            && key.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        {
            told.push([&table[..], &[key.to_owned()]].concat());
        }
    }
    told
}

#[test]
fn every_key_stands_in_the_file() {
    let told = told(&file());
    let keys = keys();
    assert!(keys.len() > 80, "only {} keys were found: {keys:?}", keys.len());
    let missing: Vec<_> = keys.iter().filter(|key| !told.iter().any(|told| told == *key)).collect();
    assert!(missing.is_empty(), "deploy/floodway.toml lacks {missing:?}");
    let strange: Vec<_> = told.iter().filter(|told| !keys.iter().any(|key| *told == key)).collect();
    assert!(strange.is_empty(), "deploy/floodway.toml has {strange:?}, which are no settings");
}

#[test]
fn what_is_set_in_the_file_is_the_default() {
    assert_eq!(Config::parse(&file(), "deploy/floodway.toml"), Ok(Config::default()));
}

#[test]
fn what_is_commented_out_can_be_taken_as_it_stands() {
    let is_setting = |line: &str| {
        let key = line.split_once(" = ").map(|(key, _)| key);
        header(line).is_some() || key.is_some_and(|key| !key.contains(' '))
    };
    let uncomment = |line: &str| if is_setting(bare(line)) { bare(line).to_owned() } else { line.to_owned() };
    let text: Vec<String> = file().lines().map(uncomment).collect();
    Config::parse(&text.join("\n"), "deploy/floodway.toml").unwrap();
}
