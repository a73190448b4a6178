//! Snapshots of older forms: what a form did not have yet is filled in while it is read.
//!
//! Owns the lists of what came and went since the oldest form that is read, and the layer over the decoder
//! that heeds it; not what the state means. Fields are known by the names of their structs, so a
//! struct in the list shares its name with no other (`serde(rename)`). Invariant: the newest form is
//! read without this layer, and costs nothing for those before it.

use std::fmt;
use std::slice::Iter;

use crate::engine::rule::origins::Origins;
use crate::engine::rule::temporal::ORIGIN_UNKNOWN;
use serde::Deserialize;
use serde::de::value::{I64Deserializer, UnitDeserializer};
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, SeqAccess, VariantAccess, Visitor,
};

use Before::{Nothing, Number};

/// A field that older forms do not have.
pub(super) struct Later {
    of: &'static str,
    field: &'static str,
    /// The first form that has it.
    since: u32,
    /// What it is where it is missing.
    before: Before,
}

/// A value in the place of one that is missing.
#[derive(Clone, Copy)]
enum Before {
    Number(i64),
    /// Of an option.
    Nothing,
}

/// Every such field. A variant at the end of an enum needs no line: older forms do not use it.
pub(super) const LATER: &[Later] = &[
    // No repeat is due: the next revision sets one.
    later("Episode", "repeat_at", 3, Number(i64::MAX)),
    later("Episode", "repeats", 3, Number(0)),
    later("Episode", "held", 3, Number(0)),
    later("StepSeen", "source", 4, Number(0)),
    later("StepSeen", "partition", 4, Number(0)),
    later("StepSeen", "offset", 4, Number(ORIGIN_UNKNOWN)),
    later("Episode", "earlier", 5, Nothing),
];

/// A field that older forms have, and the newest does not.
pub(super) struct Gone {
    of: &'static str,
    /// The field that it stood before.
    before: &'static str,
    /// The first form without it.
    since: u32,
    was: Was,
}

/// What a field was that is read and dropped.
#[derive(Clone, Copy)]
enum Was {
    Count,
    Origins,
}

/// Every such field, in the order in which they stood.
const GONE: &[Gone] = &[
    gone("TemporalEntry", "text", 4, Was::Count),
    gone("TemporalEntry", "text", 4, Was::Origins),
];

const fn gone(of: &'static str, before: &'static str, since: u32, was: Was) -> Gone {
    Gone {
        of,
        before,
        since,
        was,
    }
}

const fn later(of: &'static str, field: &'static str, since: u32, before: Before) -> Later {
    Later {
        of,
        field,
        since,
        before,
    }
}

/// Takes a value as the form `version` had it; what follows it comes back.
pub(super) fn take<'de, T: Deserialize<'de>>(
    version: u32,
    later: &'static [Later],
    bytes: &'de [u8],
) -> Result<(T, &'de [u8]), postcard::Error> {
    let mut decoder = postcard::Deserializer::from_bytes(bytes);
    let form = Form {
        version,
        later,
        gone: GONE,
    };
    let value = T::deserialize(form.over(&mut decoder))?;
    Ok((value, decoder.finalize()?))
}

/// A form, and what it lacks.
#[derive(Clone, Copy)]
struct Form {
    version: u32,
    later: &'static [Later],
    gone: &'static [Gone],
}

impl Form {
    const fn over<T>(self, inner: T) -> Older<T> {
        Older { inner, form: self }
    }

    /// What the field was before it was, if the form lacks it.
    fn lacks(self, of: &str, field: &str) -> Option<Before> {
        let is_it = |l: &&Later| l.of == of && l.field == field && l.since > self.version;
        self.later.iter().find(is_it).map(|l| l.before)
    }

    /// What the form has more, before this field.
    fn more(self, of: &str, field: &str) -> impl Iterator<Item = Was> {
        let is_it = move |g: &&Gone| g.of == of && g.before == field && g.since > self.version;
        self.gone.iter().filter(is_it).map(|g| g.was)
    }
}

/// Each part of serde's conversation, with the form beside it.
struct Older<T> {
    inner: T,
    form: Form,
}

macro_rules! ask {
    ($($method:ident($($name:ident: $type:ty),*);)*) => {
        $(fn $method<V: Visitor<'de>>(self, $($name: $type,)* visitor: V) -> Result<V::Value, D::Error> {
            self.inner.$method($($name,)* self.form.over(visitor))
        })*
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Older<D> {
    type Error = D::Error;

    ask! {
        deserialize_any();
        deserialize_bool();
        deserialize_i8();
        deserialize_i16();
        deserialize_i32();
        deserialize_i64();
        deserialize_u8();
        deserialize_u16();
        deserialize_u32();
        deserialize_u64();
        deserialize_f32();
        deserialize_f64();
        deserialize_char();
        deserialize_str();
        deserialize_string();
        deserialize_bytes();
        deserialize_byte_buf();
        deserialize_option();
        deserialize_unit();
        deserialize_unit_struct(name: &'static str);
        deserialize_newtype_struct(name: &'static str);
        deserialize_seq();
        deserialize_tuple(len: usize);
        deserialize_tuple_struct(name: &'static str, len: usize);
        deserialize_map();
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
        deserialize_identifier();
        deserialize_ignored_any();
    }

    /// A struct is written as a tuple of its fields: of those that the form has.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let Self { inner, form } = self;
        let has = |field: &&str| usize::from(form.lacks(name, field).is_none());
        let len = fields
            .iter()
            .map(|field| has(field) + form.more(name, field).count())
            .sum();
        let fields = Fields {
            inner: visitor,
            form,
            name,
            fields: fields.iter(),
        };
        inner.deserialize_tuple(len, fields)
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

/// A struct while it is read: its visitor, then what the visitor asks for the fields.
struct Fields<T> {
    inner: T,
    form: Form,
    name: &'static str,
    fields: Iter<'static, &'static str>,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Fields<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, values: A) -> Result<V::Value, A::Error> {
        self.inner.visit_seq(Fields {
            inner: values,
            form: self.form,
            name: self.name,
            fields: self.fields,
        })
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Fields<A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        let Some(field) = self.fields.next() else {
            return Ok(None);
        };
        for was in self.form.more(self.name, field) {
            match was {
                Was::Count => drop(self.inner.next_element::<u32>()?),
                Was::Origins => drop(self.inner.next_element::<Origins>()?),
            }
        }
        match self.form.lacks(self.name, field) {
            None => self.inner.next_element_seed(self.form.over(seed)),
            Some(Number(before)) => seed.deserialize(I64Deserializer::new(before)).map(Some),
            Some(Nothing) => seed.deserialize(UnitDeserializer::new()).map(Some),
        }
    }
}

macro_rules! answer {
    ($($method:ident: $type:ty;)*) => {
        $(fn $method<E: Error>(self, value: $type) -> Result<V::Value, E> {
            self.inner.$method(value)
        })*
    };
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Older<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    answer! {
        visit_bool: bool;
        visit_i8: i8;
        visit_i16: i16;
        visit_i32: i32;
        visit_i64: i64;
        visit_u8: u8;
        visit_u16: u16;
        visit_u32: u32;
        visit_u64: u64;
        visit_f32: f32;
        visit_f64: f64;
        visit_char: char;
        visit_str: &str;
        visit_borrowed_str: &'de str;
        visit_bytes: &[u8];
        visit_borrowed_bytes: &'de [u8];
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_some<D: Deserializer<'de>>(self, value: D) -> Result<V::Value, D::Error> {
        self.inner.visit_some(self.form.over(value))
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, value: D) -> Result<V::Value, D::Error> {
        self.inner.visit_newtype_struct(self.form.over(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, values: A) -> Result<V::Value, A::Error> {
        self.inner.visit_seq(self.form.over(values))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, variant: A) -> Result<V::Value, A::Error> {
        self.inner.visit_enum(self.form.over(variant))
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Older<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<S::Value, D::Error> {
        self.inner.deserialize(self.form.over(value))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Older<A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.inner.next_element_seed(self.form.over(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, A: EnumAccess<'de>> EnumAccess<'de> for Older<A> {
    type Error = A::Error;
    type Variant = Older<A::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self::Variant), A::Error> {
        let (value, variant) = self.inner.variant_seed(self.form.over(seed))?;
        Ok((value, self.form.over(variant)))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Older<A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        self.inner.newtype_variant_seed(self.form.over(seed))
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        self.inner.tuple_variant(len, self.form.over(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.inner.struct_variant(fields, self.form.over(visitor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<'de, T: Deserialize<'de>>(
        version: u32,
        later: &'static [Later],
        bytes: &'de [u8],
    ) -> Result<T, postcard::Error> {
        take(version, later, bytes).map(|(value, _)| value)
    }
    use serde::Serialize;

    /// The parts of a state, as the first form had them and as the second has them.
    mod one {
        use super::*;

        #[derive(Serialize)]
        pub struct Thing {
            pub a: u8,
            pub last: Option<Box<Thing>>,
        }
        #[derive(Serialize)]
        pub enum Shape {
            Plain,
            Of(Thing),
            Pair(Thing, f64),
            Named { thing: Thing, text: String },
        }
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Thing {
        first: u32,
        a: u8,
        last: Option<Box<Thing>>,
        end: i64,
        next: Next,
    }
    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(transparent)]
    struct Next(Option<Vec<u8>>);
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Wrapped(Vec<Shape>);
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Shape {
        Plain,
        Of(Thing),
        Pair(Thing, f64),
        Named { thing: Thing, text: String },
    }

    const TEST: &[Later] = &[
        later("Thing", "first", 2, Number(7)),
        later("Thing", "end", 2, Number(i64::MAX)),
        later("Thing", "next", 2, Nothing),
    ];

    fn old(a: u8) -> one::Thing {
        let last = Some(Box::new(one::Thing {
            a: a + 1,
            last: None,
        }));
        one::Thing { a, last }
    }

    fn new(a: u8) -> Thing {
        let thing = |a, last| Thing {
            first: 7,
            a,
            last,
            end: i64::MAX,
            next: Next::default(),
        };
        thing(a, Some(Box::new(thing(a + 1, None))))
    }

    #[test]
    fn what_is_missing_is_filled_in_wherever_it_stands() {
        let text = "held".to_owned();
        let shapes = vec![
            one::Shape::Plain,
            one::Shape::Of(old(1)),
            one::Shape::Pair(old(3), 0.5),
            one::Shape::Named {
                thing: old(5),
                text: text.clone(),
            },
        ];
        let bytes = postcard::to_stdvec(&(shapes, [1u16, 2], 'x')).unwrap();
        let want = Wrapped(vec![
            Shape::Plain,
            Shape::Of(new(1)),
            Shape::Pair(new(3), 0.5),
            Shape::Named {
                thing: new(5),
                text,
            },
        ]);
        let got: (Wrapped, [u16; 2], char) = read(1, TEST, &bytes).unwrap();
        assert_eq!(got, (want, [1, 2], 'x'));
        assert!(read::<(Wrapped, [u16; 2], char)>(1, TEST, &bytes[..20]).is_err());
    }

    #[test]
    fn a_form_that_has_a_field_reads_it() {
        let next = Next(Some(vec![1, 2]));
        let thing = Thing {
            end: 3,
            next,
            ..new(1)
        };
        let bytes = postcard::to_stdvec(&thing).unwrap();
        assert_eq!(read::<Thing>(2, TEST, &bytes).unwrap(), thing);
        assert_eq!(postcard::from_bytes::<Thing>(&bytes).unwrap(), thing);
    }
}
