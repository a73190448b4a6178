//! A strict streaming JSON reader: walks a text once and shows a visitor its members and leaves.
//!
//! Owns the grammar (RFC 8259) and its limits; knows nothing of events or field names. Builds no
//! tree and allocates nothing per text beyond two buffers the caller lends. Accepts exactly what
//! `serde_json` accepts, save for the limits (a property test holds the two together).

mod cursor;
mod scan;

pub(crate) use scan::Scan;

use cursor::Cursor;

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

/// A string's characters: a part of the text itself, or of the buffer of unescaped ones. Only a
/// position until someone asks for the text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece<'a> {
    whole: &'a str,
    pub at: usize,
    pub len: usize,
    pub unescaped: bool,
}

impl<'a> Piece<'a> {
    pub(crate) fn get(self) -> &'a str {
        self.whole
            .get(self.at..self.at + self.len)
            .unwrap_or_default()
    }
}

/// A value without parts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scalar<'a> {
    Text(Piece<'a>),
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
/// whether any array is around it. Packed into one word, since every part of a text carries one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place(u32);

impl Place {
    const fn new(object: u32, in_array: bool) -> Self {
        Self(object << 1 | in_array as u32)
    }

    pub(crate) const fn object(self) -> u32 {
        self.0 >> 1
    }

    pub(crate) const fn in_array(self) -> bool {
        self.0 & 1 == 1
    }
}

/// Sees the parts of a text in order. A `Node` stands for a path without array indexes.
pub(crate) trait Visitor {
    type Node: Copy;
    /// The path of the text's outermost value.
    fn root(&self) -> Self::Node;
    /// A member's key, which is UTF-8: the node below `parent`.
    fn member(&mut self, parent: Self::Node, place: Place, key: &[u8]) -> Self::Node;
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
/// `scan` was prepared for this text.
pub(crate) fn walk<V: Visitor>(
    (text, scan): (&str, &Scan),
    start: usize,
    budget: Budget,
    stack: &mut Vec<Frame<V::Node>>,
    unescaped: &mut String,
    visitor: &mut V,
) -> Result<usize, Fault> {
    stack.clear();
    let cursor = Cursor::new(text, scan, start);
    let mut walker = Walker {
        cursor,
        budget,
        members: 0,
        objects: 0,
        stack,
        unescaped,
        visitor,
        fault: None,
    };
    match walker.run() {
        Some(()) => Ok(walker.cursor.at),
        None => Err(walker
            .fault
            .unwrap_or_else(|| walker.cursor.fault("a value was expected"))),
    }
}

/// Skips white space from `at`.
pub(crate) fn skip_space(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest
        .iter()
        .take_while(|b| matches!(b, b' ' | b'\n' | b'\r' | b'\t'))
        .count()
}

/// The hot loop. Steps return `None` on a fault and leave it in `fault`: small values travel in
/// registers, and the text's position is written once.
struct Walker<'t, 'w, V: Visitor> {
    cursor: Cursor<'t>,
    budget: Budget,
    members: usize,
    objects: u32,
    stack: &'w mut Vec<Frame<V::Node>>,
    unescaped: &'w mut String,
    visitor: &'w mut V,
    fault: Option<Fault>,
}

impl<V: Visitor> Walker<'_, '_, V> {
    fn run(&mut self) -> Option<()> {
        let mut node = self.visitor.root();
        let mut place = Place::default();
        let mut key_first = false;
        loop {
            if key_first {
                node = self.member(node, place)?;
                key_first = false;
            }
            self.cursor.space();
            match self.cursor.peek() {
                b'"' => self.string(node, place)?,
                b'{' => {
                    self.objects += 1;
                    let inside = Place::new(self.objects, place.in_array());
                    self.open(node, place, inside, Container::Object)?;
                    if self.cursor.peek() != b'}' {
                        place = inside;
                        key_first = true;
                        continue;
                    }
                }
                b'[' => {
                    let inside = Place::new(place.object(), true);
                    self.open(node, place, inside, Container::Array)?;
                    if self.cursor.peek() != b']' {
                        self.count()?;
                        place = inside;
                        continue;
                    }
                }
                _ => self.plain(node, place)?,
            }
            loop {
                let Some(frame) = self.stack.last() else {
                    return Some(());
                };
                (node, place) = (frame.node, frame.place);
                let object = frame.object;
                self.cursor.space();
                match self.cursor.peek() {
                    b',' => {
                        self.cursor.at += 1;
                        if object {
                            self.cursor.space();
                            key_first = true;
                        } else {
                            self.count()?;
                        }
                        break;
                    }
                    b'}' if object => self.cursor.at += 1,
                    b']' if !object => self.cursor.at += 1,
                    _ => return self.fail("a comma or a closing bracket was expected"),
                }
                self.stack.pop();
            }
        }
    }

    /// A number or a literal.
    fn plain(&mut self, node: V::Node, place: Place) -> Option<()> {
        match self.cursor.peek() {
            b'-' | b'0'..=b'9' => match self.cursor.number() {
                Ok(number) => self.visitor.leaf(node, place, number),
                Err(fault) => {
                    self.fault = Some(fault);
                    return None;
                }
            },
            b't' => self.literal("true", node, place, Scalar::Bool(true))?,
            b'f' => self.literal("false", node, place, Scalar::Bool(false))?,
            b'n' => self.literal("null", node, place, Scalar::Null)?,
            _ => return self.fail("a value was expected"),
        }
        Some(())
    }

    #[cold]
    fn fail<T>(&mut self, what: &'static str) -> Option<T> {
        self.fault = Some(self.cursor.fault(what));
        None
    }

    #[cold]
    fn stop<T>(&mut self, kind: FaultKind) -> Option<T> {
        self.fault = Some(Fault {
            kind,
            at: self.cursor.at,
        });
        None
    }

    fn literal(
        &mut self,
        word: &'static str,
        node: V::Node,
        place: Place,
        value: Scalar<'_>,
    ) -> Option<()> {
        if !self.cursor.rest().starts_with(word.as_bytes()) {
            return self.fail("not a JSON literal");
        }
        self.cursor.at += word.len();
        self.visitor.leaf(node, place, value);
        Some(())
    }

    #[inline]
    fn string(&mut self, node: V::Node, place: Place) -> Option<()> {
        let keep = !self.visitor.ignores(node);
        if let Some((at, len)) = self.cursor.plain_string() {
            if keep {
                let piece = Piece {
                    whole: self.cursor.text,
                    at,
                    len,
                    unescaped: false,
                };
                self.visitor.leaf(node, place, Scalar::Text(piece));
            }
            return Some(());
        }
        self.escaped_value(node, place, keep)
    }

    #[cold]
    fn escaped_value(&mut self, node: V::Node, place: Place, keep: bool) -> Option<()> {
        let at = self.unescaped.len();
        self.escaped(keep)?;
        if keep {
            let len = self.unescaped.len() - at;
            let piece = Piece {
                whole: self.unescaped,
                at,
                len,
                unescaped: true,
            };
            self.visitor.leaf(node, place, Scalar::Text(piece));
        }
        Some(())
    }

    /// Reads a string that has escapes, to the end of the buffer.
    #[cold]
    fn escaped(&mut self, keep: bool) -> Option<()> {
        match self.cursor.escaped_string(self.unescaped, keep) {
            Ok(()) => Some(()),
            Err(fault) => {
                self.fault = Some(fault);
                None
            }
        }
    }

    /// Opens a container; its empty form is closed again by the caller's next turn.
    #[inline]
    fn open(&mut self, node: V::Node, place: Place, inside: Place, kind: Container) -> Option<()> {
        self.visitor.open(node, place, kind, self.cursor.at);
        if self.stack.len() >= self.budget.depth {
            return self.stop(FaultKind::TooDeep);
        }
        self.stack.push(Frame {
            node,
            place: inside,
            object: kind == Container::Object,
        });
        self.cursor.at += 1;
        self.cursor.space();
        Some(())
    }

    #[inline]
    fn count(&mut self) -> Option<()> {
        self.members += 1;
        if self.members > self.budget.members {
            return self.stop(FaultKind::TooManyMembers);
        }
        Some(())
    }

    /// Reads `"key":` and returns the node of its value.
    #[inline]
    fn member(&mut self, parent: V::Node, inside: Place) -> Option<V::Node> {
        self.count()?;
        if self.cursor.peek() != b'"' {
            return self.fail("a key was expected");
        }
        let keep = !self.visitor.ignores(parent);
        let node = match self.cursor.plain_string() {
            Some((at, len)) if keep => {
                let key = self.cursor.bytes.get(at..at + len).unwrap_or_default();
                self.visitor.member(parent, inside, key)
            }
            Some(_) => parent,
            None => self.escaped_key(parent, inside, keep)?,
        };
        self.cursor.space();
        if self.cursor.peek() != b':' {
            return self.fail("a colon was expected");
        }
        self.cursor.at += 1;
        Some(node)
    }

    #[cold]
    fn escaped_key(&mut self, parent: V::Node, inside: Place, keep: bool) -> Option<V::Node> {
        let begin = self.unescaped.len();
        self.escaped(keep)?;
        let key = self.unescaped.as_bytes().get(begin..).unwrap_or_default();
        let node = if keep {
            self.visitor.member(parent, inside, key)
        } else {
            parent
        };
        self.unescaped.truncate(begin);
        Some(node)
    }
}

#[cfg(test)]
mod tests;
