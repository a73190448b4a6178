//! A strict streaming JSON reader: walks a text once and shows a visitor its members and leaves.
//!
//! Owns the grammar (RFC 8259) and its limits; knows nothing of events or field names. Builds no
//! tree and allocates nothing per text beyond two buffers the caller lends. Accepts exactly what
//! `serde_json` accepts, save for the limits (a property test holds the two together).

mod cursor;

use cursor::{Cursor, Found};

/// What a text may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    /// Deepest nesting of objects and arrays.
    pub depth: usize,
    /// Object members and array elements together.
    pub members: usize,
}

/// Why a text was refused, and at which byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub kind: FaultKind,
    pub at: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// Not JSON; the text says what was found or expected.
    Syntax(&'static str),
    TooDeep,
    TooManyMembers,
}

/// Where a string's characters are: in the text itself, or unescaped in the lent buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Body(usize),
    Unescaped(usize),
}

/// A value without parts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scalar<'a> {
    Text(&'a str, Origin),
    Int(i64),
    Float(f64),
    Bool(bool),
    Null,
}

/// Which kind of container opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Container {
    Object,
    Array,
}

/// Where a value stands: the object it is in (numbered from 1 in the order of the text) and
/// whether any array is around it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub object: u32,
    pub in_array: bool,
}

/// Sees the parts of a text in order. A `Node` stands for a path without array indexes.
pub(crate) trait Visitor {
    type Node: Copy;
    /// The path of the text's outermost value.
    fn root(&self) -> Self::Node;
    /// A member's key: the node below `parent`.
    fn member(&mut self, parent: Self::Node, place: Place, key: &str) -> Self::Node;
    /// Whether nothing at or below the node is of interest; its text is then only checked.
    fn ignores(&self, node: Self::Node) -> bool;
    /// A container begins at byte `at`.
    fn open(&mut self, node: Self::Node, place: Place, container: Container, at: usize);
    fn leaf(&mut self, node: Self::Node, place: Place, value: Scalar<'_>);
}

/// An open container while walking.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<N> {
    node: N,
    place: Place,
    object: bool,
}

/// Walks the one value that begins at `start` (after white space) and returns where it ends.
pub(crate) fn walk<V: Visitor>(
    text: &str,
    start: usize,
    budget: Budget,
    stack: &mut Vec<Frame<V::Node>>,
    unescaped: &mut String,
    visitor: &mut V,
) -> Result<usize, Fault> {
    stack.clear();
    let cursor = Cursor::new(text, start);
    let mut walker = Walker {
        cursor,
        budget,
        members: 0,
        objects: 0,
        stack,
        unescaped,
        visitor,
    };
    walker.run()?;
    Ok(walker.cursor.at)
}

/// Skips white space from `at`.
pub(crate) fn skip_space(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest
        .iter()
        .take_while(|b| matches!(b, b' ' | b'\n' | b'\r' | b'\t'))
        .count()
}

struct Walker<'t, 'w, V: Visitor> {
    cursor: Cursor<'t>,
    budget: Budget,
    members: usize,
    objects: u32,
    stack: &'w mut Vec<Frame<V::Node>>,
    unescaped: &'w mut String,
    visitor: &'w mut V,
}

impl<V: Visitor> Walker<'_, '_, V> {
    fn run(&mut self) -> Result<(), Fault> {
        let mut node = self.visitor.root();
        let mut place = Place::default();
        loop {
            if let Some((inner, inside)) = self.value(node, place)? {
                (node, place) = (inner, inside);
                continue;
            }
            match self.after_value()? {
                Some(next) => (node, place) = next,
                None => return Ok(()),
            }
        }
    }

    /// Reads a scalar or an empty container, or opens a container and returns its first value's place.
    #[inline]
    fn value(&mut self, node: V::Node, place: Place) -> Result<Option<(V::Node, Place)>, Fault> {
        self.cursor.space();
        match self.cursor.peek() {
            b'"' => self.string(node, place)?,
            b'{' => return self.open_object(node, place),
            b'[' => return self.open_array(node, place),
            b'-' | b'0'..=b'9' => {
                let number = self.cursor.number()?;
                self.visitor.leaf(node, place, number);
            }
            b't' => self.literal("true", node, place, Scalar::Bool(true))?,
            b'f' => self.literal("false", node, place, Scalar::Bool(false))?,
            b'n' => self.literal("null", node, place, Scalar::Null)?,
            _ => return Err(self.cursor.fault("a value was expected")),
        }
        Ok(None)
    }

    fn literal(
        &mut self,
        word: &'static str,
        node: V::Node,
        place: Place,
        value: Scalar<'_>,
    ) -> Result<(), Fault> {
        if !self.cursor.rest().starts_with(word.as_bytes()) {
            return Err(self.cursor.fault("not a JSON literal"));
        }
        self.cursor.at += word.len();
        self.visitor.leaf(node, place, value);
        Ok(())
    }

    fn string(&mut self, node: V::Node, place: Place) -> Result<(), Fault> {
        let keep = !self.visitor.ignores(node);
        let begin = self.unescaped.len();
        match self.cursor.string(self.unescaped, keep)? {
            Found::Plain(text, at) if keep => {
                self.visitor
                    .leaf(node, place, Scalar::Text(text, Origin::Body(at)));
            }
            Found::Unescaped if keep => {
                let text = self.unescaped.get(begin..).unwrap_or_default();
                self.visitor
                    .leaf(node, place, Scalar::Text(text, Origin::Unescaped(begin)));
            }
            Found::Plain(..) | Found::Unescaped => {}
        }
        Ok(())
    }

    fn push(&mut self, node: V::Node, place: Place, object: bool) -> Result<(), Fault> {
        if self.stack.len() >= self.budget.depth {
            return Err(Fault {
                kind: FaultKind::TooDeep,
                at: self.cursor.at,
            });
        }
        self.stack.push(Frame {
            node,
            place,
            object,
        });
        self.cursor.at += 1;
        self.cursor.space();
        Ok(())
    }

    fn open_object(
        &mut self,
        node: V::Node,
        place: Place,
    ) -> Result<Option<(V::Node, Place)>, Fault> {
        self.visitor
            .open(node, place, Container::Object, self.cursor.at);
        self.objects += 1;
        let inside = Place {
            object: self.objects,
            in_array: place.in_array,
        };
        self.push(node, inside, true)?;
        if self.cursor.peek() == b'}' {
            self.cursor.at += 1;
            self.stack.pop();
            return Ok(None);
        }
        self.member(node, inside).map(Some)
    }

    fn open_array(
        &mut self,
        node: V::Node,
        place: Place,
    ) -> Result<Option<(V::Node, Place)>, Fault> {
        self.visitor
            .open(node, place, Container::Array, self.cursor.at);
        let inside = Place {
            object: place.object,
            in_array: true,
        };
        self.push(node, inside, false)?;
        if self.cursor.peek() == b']' {
            self.cursor.at += 1;
            self.stack.pop();
            return Ok(None);
        }
        self.count()?;
        Ok(Some((node, inside)))
    }

    fn count(&mut self) -> Result<(), Fault> {
        self.members += 1;
        if self.members > self.budget.members {
            return Err(Fault {
                kind: FaultKind::TooManyMembers,
                at: self.cursor.at,
            });
        }
        Ok(())
    }

    /// Reads `"key":` and returns where its value stands.
    #[inline]
    fn member(&mut self, parent: V::Node, inside: Place) -> Result<(V::Node, Place), Fault> {
        self.count()?;
        if self.cursor.peek() != b'"' {
            return Err(self.cursor.fault("a key was expected"));
        }
        let keep = !self.visitor.ignores(parent);
        let begin = self.unescaped.len();
        let node = match self.cursor.string(self.unescaped, keep)? {
            _ if !keep => parent,
            Found::Plain(key, _) => self.visitor.member(parent, inside, key),
            Found::Unescaped => {
                let key = self.unescaped.get(begin..).unwrap_or_default();
                let node = self.visitor.member(parent, inside, key);
                self.unescaped.truncate(begin);
                node
            }
        };
        self.cursor.space();
        if self.cursor.peek() != b':' {
            return Err(self.cursor.fault("a colon was expected"));
        }
        self.cursor.at += 1;
        Ok((node, inside))
    }

    /// Closes what ends here and finds the next value; `None` when the outermost one is complete.
    #[inline]
    fn after_value(&mut self) -> Result<Option<(V::Node, Place)>, Fault> {
        loop {
            let Some(&frame) = self.stack.last() else {
                return Ok(None);
            };
            self.cursor.space();
            match (self.cursor.peek(), frame.object) {
                (b',', true) => {
                    self.cursor.at += 1;
                    self.cursor.space();
                    return self.member(frame.node, frame.place).map(Some);
                }
                (b',', false) => {
                    self.cursor.at += 1;
                    self.count()?;
                    return Ok(Some((frame.node, frame.place)));
                }
                (b'}', true) | (b']', false) => {
                    self.cursor.at += 1;
                    self.stack.pop();
                }
                _ => {
                    return Err(self
                        .cursor
                        .fault("a comma or a closing bracket was expected"));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
